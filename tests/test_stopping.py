"""A signal ends a process in one line, at any moment; all other ends are told as what they are."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from study_runs import PATIENCE_SECONDS, PROJECT, environment, start

from pipeline import command_line
from pipeline.errors import InputError
from pipeline.process import Beside, faults, stopping
from pipeline.process.masking import has_password, masked

AFTER_A_STOP = "stopped; the same command goes on from here\n"
ENDS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]


def test_what_is_done_beside_gives_its_result_or_raises_its_error() -> None:
    went_on = threading.Event()
    begun = Beside(lambda: went_on.wait(PATIENCE_SECONDS) and threading.current_thread().daemon)
    assert not begun.is_done
    went_on.set()
    assert begun.result() is True
    with pytest.raises(ZeroDivisionError):
        Beside(lambda: 1 / 0).result()


def wait_until(true: Callable[[], bool], process: subprocess.Popen) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see an import")
@pytest.mark.parametrize("number,status", ENDS)
def test_a_signal_while_modules_are_imported_ends_in_one_line(
    tmp_path: Path, number: int, status: int
) -> None:
    process = start(tmp_path, "--study", "group_lasso")
    maps = Path(f"/proc/{process.pid}/maps")
    wait_until(lambda: "tensorflow" in maps.read_text(), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=stopping.PATIENCE_SECONDS + 30)
    assert (process.returncode, err) == (status, AFTER_A_STOP)
    assert "Traceback" not in out


DEAF = """
import sys, time
sys.path.insert(0, {project!r})
from pipeline.process import stopping
stopping.PATIENCE_SECONDS = 0.2
stopping.heed_signals("stopped; again")
from pathlib import Path
from pipeline.command_line import guarded

def run():
    part = Path("unfinished.part")
    part.write_text("half")
    with stopping.unfinished(part.unlink):
        print("ready", flush=True)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass  # as a library may

guarded(run, "again")
"""


@pytest.mark.parametrize("number,status", ENDS)
def test_a_process_that_does_not_hear_ends_too_and_leaves_no_unfinished_file(
    tmp_path: Path, number: int, status: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF.format(project=str(PROJECT))],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, "stopped; again\n")
    assert list(tmp_path.iterdir()) == []


DROPPED = """
import sys, time, weakref
sys.path.insert(0, {project!r})
from pipeline.process import stopping
stopping.PATIENCE_SECONDS = 60.0
stopping.heed_signals("stopped; again")
from pipeline.command_line import guarded

class Thing:
    pass

def run():
    def collected(ref):
        print("ready", flush=True)
        time.sleep(60)  # what a signal raises here, Python drops

    thing = Thing()
    ref = weakref.ref(thing, collected)
    del thing
    while True:
        time.sleep(0.01)

guarded(run, "again")
"""


def test_a_signal_while_garbage_is_collected_is_heard_all_the_same(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DROPPED.format(project=str(PROJECT))],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=40)
    assert (process.returncode, err) == (143, "stopped; again\n")


def ended(run: Callable[[], object], capsys: pytest.CaptureFixture) -> tuple[int, str]:
    """Exit status and the only line on standard error."""
    with pytest.raises(SystemExit) as end:
        command_line.guarded(run)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Traceback" not in told
    return end.value.code, told


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _full() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 2")
    connection.execute("CREATE TABLE t (x)")
    try:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    except sqlite3.Error as error:
        raise RuntimeError("a driver's page of words") from error


def _closing_a_file_on_a_full_disk() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device", "weights.npz")
    finally:
        raise ValueError("cannot close an archive while it is written")  # as zipfile does


def _denied() -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "/data/reports")


@pytest.mark.parametrize(
    ("fails", "part"),
    [
        (_full, "database or disk is full"),
        (_closing_a_file_on_a_full_disk, "No space left on device: weights.npz"),
        (_denied, "Permission denied: /data/reports"),
    ],
)
def test_a_full_or_closed_disk_is_told_in_one_sentence(
    fails: Callable, part: str, capsys: pytest.CaptureFixture
) -> None:
    status, told = ended(fails, capsys)
    assert status == 2
    assert told.startswith("error: a file cannot be written or read: ")
    assert part in told


def _wrong_statement() -> None:
    sqlite3.connect(":memory:").execute("SELECT no_such_column")


def _defect_while_a_refusal_is_handled() -> None:
    try:
        _denied()
    except PermissionError:
        None.strip()


def _file_that_was_never_written() -> None:
    Path("never/written").read_bytes()


def _constraint() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (x UNIQUE)")
    connection.executemany("INSERT INTO t VALUES (?)", [(1,), (1,)])


@pytest.mark.parametrize(
    "fails",
    [
        lambda: 1 / 0,
        _wrong_statement,
        _defect_while_a_refusal_is_handled,
        _file_that_was_never_written,
        _constraint,
    ],
)
def test_a_defect_is_told_as_one_and_its_traceback_is_kept(
    fails: Callable, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    status, told = ended(fails, capsys)
    assert status == 1
    assert "a defect of Lariat or of a library" in told
    (log,) = (tmp_path / ".lariat/log").iterdir()
    assert str(log.relative_to(tmp_path)) in told
    assert "Traceback (most recent call last)" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_bad_input_needs_no_log(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    def refuse() -> None:
        raise InputError("storage must be one, but got postgresql://me:secret@host/db")

    status, told = ended(refuse, capsys)
    assert (status, "secret" in told) == (2, False)
    assert not (tmp_path / ".lariat").exists()


def test_the_newest_tracebacks_are_kept_and_older_ones_are_not(tmp_path: Path) -> None:
    faults.LOGS.mkdir(parents=True)
    for i in range(30):
        (faults.LOGS / f"2000-01-01_00-00-{i:02}_1.log").touch()
    newest = faults.keep_traceback(RuntimeError("now"))
    kept = sorted(faults.LOGS.iterdir())
    assert len(kept) == faults.KEPT_LOGS
    assert kept[-1] == newest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@ss@host/db", "postgresql://u:***@host/db"),
        ("'mysql+pymysql://u:p/w@h:3306/d'", "'mysql+pymysql://u:***@h:3306/d'"),
        ("https://a-token@host/x", "https://***@host/x"),
        ("mysql://h/d?ssl=1&password=abc", "mysql://h/d?ssl=1&password=***"),
        ("https://a:b@c and https://d:e@f", "https://a:***@c and https://d:***@f"),
        ("postgresql://user@host/db", None),
        ("sqlite:///optuna.db", None),
        ("http://host:8080/page@x and me@home.org", None),
    ],
)
def test_passwords_are_masked_and_nothing_else(text: str, shown: str | None) -> None:
    assert masked(text) == (shown or text)
    assert has_password(text) == (shown is not None)


def test_secrets_of_the_environment_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "abcdef123")
    assert masked("Bearer abcdef123 refused") == "Bearer *** refused"
    assert "abcdef123" not in masked(os.environ["MLFLOW_TRACKING_TOKEN"])
