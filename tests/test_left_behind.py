"""What a study leaves in its folder may go, another person may come, and file systems differ."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from kill_study import TABLE, faults, prepare, start, tables, writes
from study_runs import complete_trials, of_kind

from pipeline.errors import InputError
from pipeline.study.lock import alone


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has ended; beside it `empty`, in which it has not begun."""
    place = tmp_path_factory.mktemp("left_behind")
    (place / "empty").mkdir()
    prepare(place / "empty")
    shutil.copytree(place / "empty", place / "whole")
    assert start(place / "whole") == 0, (place / "whole.log").read_text()
    return place / "whole"


def run_ids(folder: Path) -> set[str]:
    return {run.run_id for run in of_kind(folder, "network")}


@pytest.mark.parametrize("point", [2, 4])
def test_without_the_cache_a_killed_study_ends_as_if_nothing_had_happened(
    undisturbed: Path, tmp_path: Path, point: int
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(undisturbed.with_name("empty"), folder)
    assert start(folder, 1 + writes(undisturbed) * point // 5) == 9
    finished = {n.run_id for n in of_kind(folder, "network") if n.status == "FINISHED"}
    shutil.rmtree(folder / ".lariat", ignore_errors=True)
    assert start(folder) == 0, folder.with_name("study.log").read_text()
    assert faults(folder) == []
    assert finished <= run_ids(folder)  # what was finished is the same run, not one anew
    assert tables(folder) == tables(undisturbed)


def test_without_the_cache_a_finished_study_stays_as_it_is(
    undisturbed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(undisturbed, folder)
    before = run_ids(folder)
    shutil.rmtree(folder / ".lariat")
    shutil.rmtree(folder / "reports")
    assert start(folder) == 0, folder.with_name("study.log").read_text()
    assert faults(folder) == [] and run_ids(folder) == before
    assert tables(folder) == tables(undisturbed)


def test_two_people_with_trials_of_their_own_share_the_runs_of_one_store(
    undisturbed: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        shutil.copytree(undisturbed.with_name("empty"), folder)
    (second / "mlflow.db").unlink()
    store = f"sqlite:///{first}/mlflow.db"
    assert start(first, 1 + writes(undisturbed) * 3 // 5) == 9  # in the midst of its networks
    assert start(second, tracking=store) == 0, second.with_name("second.log").read_text()
    done = run_ids(first)
    assert tables(second) == tables(undisturbed)
    assert complete_trials(second) == dict.fromkeys(TABLE, 1)
    assert start(first) == 0, first.with_name("first.log").read_text()
    assert run_ids(first) == done and len(done) == len(TABLE)  # nothing deleted, none twice
    assert complete_trials(first) == dict.fromkeys(TABLE, 1)
    assert tables(first) == tables(undisturbed)
    assert not (second / "mlflow.db").exists()


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no locks, as some network drives."""

    def refused(self: FileLock, **_: object) -> None:
        raise NotImplementedError("flock")

    monkeypatch.setattr(FileLock, "acquire", refused)


def test_where_files_cannot_be_locked_a_file_is_the_lock(no_flock: None, tmp_path: Path) -> None:
    with alone("0123abcd", tmp_path):
        refused = pytest.raises(InputError, match=rf"process {os.getpid()}, since .* here; wait")
        with refused, alone("0123abcd", tmp_path):
            pass
        with alone("another", tmp_path):
            pass
    with alone("0123abcd", tmp_path):  # released
        pass


def test_the_lock_file_of_a_killed_process_is_taken_over(no_flock: None, tmp_path: Path) -> None:
    hold = (
        "import sys, time; from pathlib import Path; from filelock import FileLock\n"
        "def refused(self, **_): raise NotImplementedError('flock')\n"
        "FileLock.acquire = refused\n"
        "from pipeline.study.lock import alone\n"
        "with alone('0123abcd', Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(600)\n"
    )
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    refused = pytest.raises(InputError, match=rf"process {process.pid}, since")
    with refused, alone("0123abcd", tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 30
    while True:  # some seconds, in which a dead holder is told from one that is slow
        try:
            with alone("0123abcd", tmp_path):
                break
        except InputError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
