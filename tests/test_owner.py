"""One process at a time runs a study, databases are made whole, and a store may move."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from study_runs import of_kind, run_here, start, study_run, trials
from tiny_study import write_study

from pipeline.errors import InputError
from pipeline.process import files
from pipeline.study.lock import StorageLock, alone
from pipeline.study.trials import make_storage
from pipeline.tracking.holder import Holder
from pipeline.tracking.local_sqlite import make_whole, refuse_one_file
from pipeline.tracking.store import RunStore


@pytest.fixture
def dead() -> int:
    """The number of a process that runs no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def holder(process: int, host: str | None = None, heard: float | None = None) -> Holder:
    now = time.time()
    return Holder(
        "ann", host or socket.gethostname(), process, now, now if heard is None else heard
    )


def claim(storage: str, by: Holder) -> None:
    """A lock of `s 1` in the storage that another process has left."""
    study = optuna.create_study(study_name="s 1 owner 7", storage=storage)
    study.set_user_attr("owner", json.dumps(by.__dict__))


def test_a_second_process_is_refused_in_the_folder_and_told_who_has_it(tmp_path: Path) -> None:
    with alone("0123abcd", tmp_path):
        refused = pytest.raises(InputError, match=rf"process {os.getpid()}, since .* here; wait")
        with refused, alone("0123abcd", tmp_path):
            pass
        with alone("another", tmp_path):
            pass
    with alone("0123abcd", tmp_path):
        pass


def test_a_second_process_is_refused_in_the_storage_and_told_who_has_it(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    make_storage(storage)
    with StorageLock("s 1", storage) as lock:
        refused = pytest.raises(InputError, match=rf"process {os.getpid()}, .* with this storage")
        with refused, StorageLock("s 1", storage):
            pass
        with StorageLock("s 2", storage):
            lock.check()
    assert optuna.get_all_study_names(storage) == []


@pytest.mark.parametrize("how", ["dead", "silent", "elsewhere"])
def test_what_a_dead_process_holds_is_taken_over(tmp_path: Path, dead: int, how: str) -> None:
    storage = f"sqlite:///{tmp_path}/optuna.db"
    make_storage(storage)
    others = {
        "dead": holder(dead),
        "silent": holder(os.getpid(), "far away", time.time() - 1000),
        "elsewhere": holder(os.getpid(), "far away"),
    }
    claim(storage, others[how])
    if how == "elsewhere":
        with pytest.raises(InputError, match="ann on far away"), StorageLock("s 1", storage):
            pass
        return
    with StorageLock("s 1", storage) as lock:
        assert optuna.get_all_study_names(storage) == ["s 1 owner 8"]
        lock.check()
        optuna.create_study(study_name="s 1 owner 9", storage=storage)
        with pytest.raises(InputError, match="one process at a time"):
            lock.check()


def test_a_study_that_another_process_runs_in_the_same_store_is_refused(folder: Path) -> None:
    run = study_run(folder)
    with sqlite3.connect(folder / "mlflow.db") as database:
        text = json.dumps(holder(1, "far away").__dict__)
        database.execute("UPDATE runs SET status = 'RUNNING' WHERE run_uuid = ?", (run.run_id,))
        database.execute("UPDATE tags SET value = ? WHERE key = 'owner'", (text,))
    with pytest.raises(InputError, match=r"ann on far away .* in this tracking store"):
        run_here(folder, "tiny.yaml", storage="sqlite:///b.db")
    assert study_run(folder).status == "RUNNING"


def test_a_copied_folder_finds_its_artifacts_and_leaves_the_original_alone(
    first: Path, folder: Path
) -> None:
    before = {p: p.stat().st_mtime_ns for p in first.rglob("*")}
    run_here(folder, "tiny.yaml", seeds=3)
    assert {p: p.stat().st_mtime_ns for p in first.rglob("*")} == before
    assert all(n.artifacts.is_relative_to(folder) for n in of_kind(folder, "network"))


def test_a_renamed_folder_goes_on_and_its_old_path_does_not_come_back(folder: Path) -> None:
    run_here(folder, "tiny.yaml")
    renamed = folder.with_name("renamed")
    folder.rename(renamed)
    run_here(renamed, "tiny.yaml", seeds=3)
    assert not folder.exists()
    networks = of_kind(renamed, "network")
    assert len(networks) == 3
    assert all((n.artifacts / "weights/network.npz").exists() for n in networks)
    with sqlite3.connect(renamed / "mlflow.db") as database:
        for table in ("experiments", "logged_models", "model_versions"):
            column = "storage_location" if table == "model_versions" else "artifact_location"
            for (address,) in database.execute(f"SELECT {column} FROM {table}"):
                assert Path(address).is_relative_to(renamed)


def test_one_database_for_both_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for tracking, storage in (
        ("sqlite:///a.db", "sqlite:///./a.db"),
        (f"sqlite:///{tmp_path}/a.db", f"sqlite:////{tmp_path}/x/../a.db"),
        ("postgresql://h/d", "postgresql://h/d"),
    ):
        with pytest.raises(InputError, match="must name two databases"):
            refuse_one_file(tracking, storage)
    refuse_one_file("sqlite:///mlflow.db", "sqlite:///optuna.db")


def test_two_first_starts_at_once_both_end(tmp_path: Path) -> None:
    write_study(tmp_path, "one")
    write_study(tmp_path, "two", epochs=2)
    processes = [start(tmp_path, "--study", f"{name}.yaml") for name in ("one", "two")]
    ends = [(process.communicate(timeout=180)[1], process.returncode) for process in processes]
    assert ends == [("", 0), ("", 0)]
    assert len(of_kind(tmp_path, "network")) == len(trials(tmp_path)) == 4
    assert {p.name for p in tmp_path.iterdir()} == {
        "one.yaml", "two.yaml", "people.csv", "mlflow.db", "mlruns", "optuna.db", "reports",
        ".lariat",
    }  # fmt: skip


def test_a_cache_is_swept_of_what_is_old_of_what_is_too_much_and_of_dead_processes(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CACHE_BYTES", 25)
    day = 24 * 3600
    for age, name in ((100, "x-old"), (3, "x-first"), (2, "x-second"), (1, "x-third"), (200, "y")):
        (tmp_path / name).write_bytes(b"0123456789")
        os.utime(tmp_path / name, (time.time() - age * day,) * 2)
    mine = tmp_path / files.part_name()
    theirs = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{dead}-")
    for part in (mine, theirs, Path(f"{theirs}-journal")):  # as SQLite names its own beside
        part.write_bytes(b"")
    assert files.sweep_cache(tmp_path, ["x-*"]) == 4
    assert {p.name for p in tmp_path.iterdir()} == {"x-second", "x-third", "y", mine.name}


def test_a_stop_while_a_database_is_made_leaves_none(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/made.db"

    def stopped(beside: str) -> None:
        with sqlite3.connect(beside.removeprefix("sqlite:///")) as database:
            database.execute("CREATE TABLE experiments (a)")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_whole(uri, stopped)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statements", "half_made"),
    [
        ((), True),
        (("CREATE TABLE experiments (a)", "CREATE TABLE runs (a)"), True),
        (("CREATE TABLE studies (a)", "CREATE TABLE trials (a)"), True),
        (("CREATE TABLE experiments (a)", "CREATE TABLE runs (a)",
          "INSERT INTO runs VALUES (1)"), False),
        (("CREATE TABLE people (a)", "INSERT INTO people VALUES (1)"), False),
    ],
)  # fmt: skip
def test_a_half_made_database_is_set_aside_and_any_other_is_left(
    tmp_path: Path, statements: tuple[str, ...], half_made: bool
) -> None:
    path = tmp_path / "made.db"
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
        database.execute("PRAGMA user_version = 1")
    content = path.read_bytes()
    make_whole(
        f"sqlite:///{path}", lambda uri: Path(uri.removeprefix("sqlite:///")).write_text("new")
    )
    assert (path.read_bytes() == b"new") == half_made
    aside = [p.read_bytes() for p in tmp_path.glob("made.db.half-made-*")]
    assert aside == ([content] if half_made else [])


def test_a_database_may_have_the_name_of_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "study.db" / "study.db"
    path.parent.mkdir()
    make_whole(
        f"sqlite:///{path}", lambda uri: Path(uri.removeprefix("sqlite:///")).write_text("new")
    )
    assert path.read_text() == "new"


def test_a_foreign_database_is_refused_and_left_as_it_is(folder: Path) -> None:
    for name, use in (("optuna.db", RunStore), ("mlflow.db", make_storage)):
        content = (folder / name).read_bytes()
        with pytest.raises(InputError, match="since it holds the tables of"):
            use(f"sqlite:///{folder / name}")
        assert (folder / name).read_bytes() == content
