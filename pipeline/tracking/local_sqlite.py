"""A tracking store or a storage in an SQLite file: made whole, and right where it lies now."""

from __future__ import annotations

import os
import re
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import sqlalchemy as sa
from filelock import FileLock, SoftFileLock

from pipeline.errors import InputError
from pipeline.process import part_name, sweep

FIRST_START_SECONDS = 300.0
"""How long a start waits for another one that makes the same database."""

_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""(table, column) in which MLflow keeps absolute addresses of artifacts."""


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite URI; None of any other, and of one in memory.

    As SQLAlchemy reads it, whose versions differ in whether `%20` is a space; SQLite itself decodes
    what is behind `file:`.
    """
    if not re.match(r"sqlite(?:[+]\w+)?:///", uri):
        return None
    database = sa.make_url(uri).database
    if not database or database.startswith(":memory:"):
        return None
    if database.startswith("file:"):
        return Path(urllib.request.url2pathname(database.removeprefix("file:")))
    return Path(database)


def _uri_of(uri: str, path: Path) -> str:
    """The same URI of another file."""
    url = sa.make_url(uri)
    assert url.database is not None  # `sqlite_path` found one
    scheme = "file:" if url.database.startswith("file:") else ""
    written = urllib.request.pathname2url(str(path)) if scheme else str(path)
    return url.set(database=f"{scheme}{written}").render_as_string(hide_password=False)


@contextmanager
def file_lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock file; raises `filelock.Timeout` when another process has it for so long.

    Where the file system has no locks, the file's being there is the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock: FileLock | SoftFileLock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except (NotImplementedError, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        lock = SoftFileLock(path.with_name(f"{path.name}.soft"))
        lock.acquire(timeout=seconds)
    try:
        yield
    finally:
        lock.release()


def make_whole(uri: str, make: Callable[[str], None]) -> None:
    """Where an SQLite URI names no file yet, have `make(URI)` make the database beside, and move
    it in when it is whole: a stop leaves none, and of two first starts the second waits.

    A half-made database, as an interrupted start of MLflow's own leaves it, is set aside if no run
    and no trial is in it.
    """
    path = sqlite_path(uri)
    if path is None:
        return
    sweep(path.parent)
    if path.exists() and not _half_made(path):
        return
    lock = path.with_name(f".{path.name}.first-start")
    try:
        with file_lock(lock, FIRST_START_SECONDS):
            if path.exists() and _half_made(path):
                path.rename(path.with_name(f"{path.name}.half-made-{time.time_ns()}"))
            if not path.exists():
                beside = path.with_name(part_name())
                try:
                    make(_uri_of(uri, beside))
                    os.replace(beside, path)
                finally:
                    for end in ("", "-journal", "-wal", "-shm"):
                        Path(f"{beside}{end}").unlink(missing_ok=True)
    finally:
        with suppress(OSError):  # nobody needs it once the database is there
            lock.unlink()


def _half_made(path: Path) -> bool:
    """Whether the file is a database of MLflow or Optuna that an interrupted start left, without
    a run, a trial or anything of another program in it."""
    if path.stat().st_size == 0:
        return True
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            names = _tables(database)
            if not names:
                return True
            mlflow, optuna = {"experiments", "runs"} & names, {"studies", "trials"} & names
            if bool(mlflow) == bool(optuna):
                return False
            filled = [n for n in names if n in _FILLED and _rows(database, n)]
            left_over = [name for name in names if name.startswith("_alembic_tmp_")]
            if mlflow:
                unfinished = not (_rows(database, "alembic_version") and _LAST_MLFLOW <= names)
            else:
                unfinished = not (_rows(database, "alembic_version"))
            return (unfinished or bool(left_over)) and not filled
    except sqlite3.Error:
        return False


_FILLED = {"runs", "params", "metrics", "registered_models", "trials", "studies"}
_LAST_MLFLOW = {"logged_models", "webhooks"}
"""Tables that a finished start of the MLflow versions in use has made."""


def _rows(database: sqlite3.Connection, table: str) -> int:
    try:
        return int(database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0])
    except sqlite3.Error:
        return 0


def refuse_one_file(tracking: str, storage: str) -> None:
    """InputError where both URIs name the same database: each would spoil it for the other."""
    first, second = sqlite_path(tracking), sqlite_path(storage)
    same = tracking == storage if first is None or second is None else (
        first.absolute().resolve() == second.absolute().resolve()
    )  # fmt: skip
    if same:
        raise InputError(
            "MLFLOW_TRACKING_URI and storage must name two databases, since MLflow and Optuna "
            "keep tables of one name, but both name the same; give storage another one, such as "
            "sqlite:///optuna.db"
        )


def mend_addresses(path: Path) -> int:
    """Have the artifacts' addresses of a store that was moved or copied say where they are now.

    An experiment counts as moved where its folder `mlruns/<id>` stands beside the database and
    holds its runs, or where its address is gone; returns how many experiments were.
    """
    here = path.absolute().parent / "mlruns"
    if not path.exists() or not here.is_dir():
        return 0
    with closing(sqlite3.connect(path, timeout=20)) as database:
        experiments = database.execute(
            "SELECT experiment_id, artifact_location FROM experiments"
        ).fetchall()
        roots = {
            _root_of(address)
            for experiment, address in experiments
            if _is_moved(database, experiment, _root_of(address), here)
        }
        moved = [
            (address, str(here / str(experiment)))
            for experiment, address in experiments
            if _root_of(address) in roots
        ]
        for old, new in moved:
            for table, column in _ADDRESSES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
        database.commit()
    return len(moved)


def _root_of(address: str | None) -> Path | None:
    """`…/mlruns` of a local experiment's address `…/mlruns/<id>`; None of any other."""
    local = (address or "").removeprefix("file://")
    path = Path(urllib.request.url2pathname(local))
    return path.parent if "://" not in local and path.parent.name == "mlruns" else None


def _is_moved(database: sqlite3.Connection, experiment: int, was: Path | None, here: Path) -> bool:
    if was is None or was == here:
        return False
    runs = database.execute(
        "SELECT run_uuid FROM runs WHERE experiment_id = ? LIMIT 1000", (experiment,)
    ).fetchall()
    return not was.exists() or any((here / str(experiment) / run).is_dir() for (run,) in runs)


def refuse_foreign(uri: str, program: str) -> None:
    """InputError where an SQLite file holds tables of another program than `mlflow` or `optuna`,
    whichever wants it: both would write into it."""
    path = sqlite_path(uri)
    if path is None or not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            names = _tables(database)
    except sqlite3.Error:  # no database at all, as its opening will say
        return
    refuse_tables(names, str(path), program)


def refuse_tables(names: set[str], shown: str, program: str) -> None:
    """InputError where a database of these tables is another program's than `program`'s."""
    marks = {"mlflow": {"experiments", "runs"}, "optuna": {"studies", "trials"}}
    if names and not names >= marks.pop(program):
        others = [other for other, tables in marks.items() if names >= tables]
        whose = f"of {others[0]}" if others else "of another program"
        if others or "alembic_version" in names:
            raise InputError(
                f"{shown} cannot be used by {program}, since it holds the tables {whose}; give "
                "another database"
            )


def _tables(database: sqlite3.Connection) -> set[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return {name for (name,) in database.execute(query)}
