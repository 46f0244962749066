"""Disks that are full or closed, and files that are damaged: one sentence, and what was finished
stays. A small file system of its own is mounted for it, where that is allowed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy
from study_runs import PROJECT, complete_trials, of_kind, run_here, working_in

from pipeline import command_line
from pipeline.errors import InputError
from pipeline.tracking.local_sqlite import make_whole, sqlite_path

STUDY = """
# Does a full disk lose a network?
data: people.csv
target: ill
inputs: [clinical]
genotypes: none
configurations: 2
seeds: 2
sampler: grid
space:
  regularizer: [l1]
  lambda_l1: [0.003]
  batch_size: [32, 33]
network: {hidden_layer_sizes: [2]}
training: {epochs: 2}
"""
REPLICATES = {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}


def write_study(folder: Path) -> None:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.normal(size=90), "ill": np.arange(90) % 2})
    people.to_csv(folder / "people.csv", index=False)
    (folder / "ask.yaml").write_text(STUDY)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Options of a tmpfs → its folder; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = []

    def mount(options: str) -> Path:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if (
            shutil.which("mount") is None
            or subprocess.run(words, capture_output=True, check=False).returncode
        ):
            pytest.skip("this user may not mount a small file system")
        mounted.append(folder)
        return folder

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=False)


def ended(folder: Path, capsys: pytest.CaptureFixture, **options: object) -> tuple[int, str]:
    """Exit status and standard error of a study there, as the script ends it."""
    status = 0
    with working_in(folder):
        try:
            command_line.guarded(lambda: run_here(folder, "ask.yaml", **options))
        except SystemExit as end:
            status = end.code
    return status, capsys.readouterr().err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one configuration, finished."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    run_here(folder, "ask.yaml", configurations=1)
    return folder


def fill(folder: Path, left: int) -> Path:
    """Leave so many bytes."""
    space = os.statvfs(folder)
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(max(space.f_bavail * space.f_frsize - left, 0)))
    return ballast


@pytest.mark.parametrize("left", [0, 40_000, 400_000])
def test_a_full_disk_is_one_sentence_and_with_space_the_study_goes_on(
    finished: Path,
    small_disk: Callable[[str], Path],
    capsys: pytest.CaptureFixture,
    left: int,
) -> None:
    disk = small_disk("size=24m")
    shutil.copytree(finished, disk, dirs_exist_ok=True)
    before = {run.run_id for run in of_kind(disk, "network")}
    ballast = fill(disk, left)
    status, told = ended(disk, capsys)
    assert status == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert "full" in told or "No space left" in told
    ballast.unlink()
    out = run_here(disk, "ask.yaml")
    assert "going on" in out
    networks = of_kind(disk, "network")
    assert {run.key for run in networks} == REPLICATES.keys()
    assert len(networks) == 4
    assert before <= {run.run_id for run in networks}
    assert complete_trials(disk) == REPLICATES
    assert not [path for path in disk.rglob("*") if ".part" in path.name]


def test_a_disk_that_is_closed_to_writing_is_one_sentence(
    finished: Path, small_disk: Callable[[str], Path], capsys: pytest.CaptureFixture
) -> None:
    disk = small_disk("size=24m")
    shutil.copytree(finished, disk, dirs_exist_ok=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    status, told = ended(disk, capsys)
    assert (status, told.count("\n")) == (2, 1)
    assert told.startswith("error: ")
    assert "read" in told.lower() or "written" in told
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert len(of_kind(disk, "network")) == 2


def test_simulated_genotypes_on_a_full_disk_leave_nothing(
    small_disk: Callable[[str], Path],
) -> None:
    disk = small_disk("size=2m")
    write_study(disk)
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts/simulate_genotypes.py"), "--variants", "200000",
         "--data", "people.csv", "--target", "ill", "--out", "drawn"],
        cwd=disk, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name for path in disk.iterdir()} <= {"people.csv", "ask.yaml", ".lariat"}


def _another_version(folder: Path, name: str) -> None:
    with sqlite3.connect(folder / name) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


def _nonsense(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"no database" * 1000)


def _cut_short(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2 // 4096 * 4096])


@pytest.mark.parametrize("damage", [_another_version, _nonsense, _cut_short])
@pytest.mark.parametrize("name", ["mlflow.db", "optuna.db"])
def test_a_damaged_database_is_one_sentence_and_is_left_as_it_is(
    finished: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    damage: Callable[[Path, str], None],
    name: str,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    damage(folder, name)
    content = (folder / name).read_bytes()
    status, told = ended(folder, capsys)
    assert (status, told.count("\n")) == (2, 1), told
    assert told.startswith("error: ")
    assert "Traceback" not in told
    assert (folder / name).read_bytes() == content


def test_damaged_caches_are_made_anew(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    for path in (folder / ".lariat").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\x00 damaged")
    for place in ("spool", "checkpoints", "encoders", "log"):
        (folder / ".lariat" / place).mkdir(exist_ok=True)
        (folder / ".lariat" / place / "odd.zip").write_bytes(b"odd")
    out = run_here(folder, "ask.yaml")
    assert "going on: 2 of 4" in out
    assert complete_trials(folder) == REPLICATES


def test_a_file_where_the_cache_should_be_is_one_sentence(tmp_path: Path, capsys) -> None:
    write_study(tmp_path)
    (tmp_path / ".lariat").write_text("a file")
    status, told = ended(tmp_path, capsys)
    assert (status, told.count("\n")) == (2, 1)
    assert ".lariat" in told


def test_input_errors_stay_what_they_are(tmp_path: Path) -> None:
    write_study(tmp_path)
    with pytest.raises(InputError):
        run_here(tmp_path, "ask.yaml", data="none.csv")


@pytest.mark.parametrize("name", ["plain.db", "a%20b.db", "100%.db", "with space.db", "ü&#.db"])
@pytest.mark.parametrize("address", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_the_file_of_an_address_is_the_one_that_is_opened(
    tmp_path: Path, name: str, address: str
) -> None:
    def make(uri: str) -> None:
        with sqlalchemy.create_engine(uri).connect() as connection:
            connection.execute(sqlalchemy.text("create table t (a int)"))

    opened, made = tmp_path / "opened", tmp_path / "made"
    for folder in (opened, made):
        folder.mkdir()
    uri = address.format(opened / name)
    if "file:" in uri and "#" in uri:
        return  # a fragment of a file: address is no part of its name
    make(uri)
    (file,) = opened.iterdir()
    assert sqlite_path(uri) == file
    make_whole(address.format(made / name), make)  # beside, and moved in
    assert [path.name for path in made.iterdir()] == [file.name]
    assert sqlite_path("sqlite:///:memory:") is None and sqlite_path("postgresql://h/d") is None
