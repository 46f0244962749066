"""Real studies for the tests: started like a user would, and looked at in the stores themselves."""

from __future__ import annotations

import io
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna
import pandas as pd
import pytest
from rich.console import Console

PROJECT = Path(__file__).resolve().parents[1]
TABLE = PROJECT / "data/framingham.csv"
PATIENCE_SECONDS = 180.0
SERVER_START_SECONDS = 60
OWN = {"storage", "scheduler", "output"}
"""Parameters that no study file has."""


@dataclass(frozen=True)
class Run:
    """A row of MLflow's table of runs, with all that belongs to it."""

    run_id: str
    name: str
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: Path

    @property
    def key(self) -> tuple[int, int]:
        return int(self.params["configuration"]), int(self.params["seed"])

    @property
    def replicate(self) -> tuple[int, int, int]:
        """(configuration, seed, resample), −1 for the table as it is split."""
        return *self.key, int(self.params.get("resample", -1))

    @property
    def parent(self) -> str | None:
        return self.tags.get("mlflow.parentRunId")

    def columns(self, name: str) -> pd.DataFrame:
        """First-layer weights, a row a column of the input."""
        return pd.read_csv(self.artifacts / "weights" / name).set_index("column")


def runs(folder: Path) -> list[Run]:
    """All runs that are not deleted, read without MLflow."""
    with sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True) as database:

        def pairs(table: str, run_id: str) -> dict:
            return dict(
                database.execute(f"SELECT key, value FROM {table} WHERE run_uuid = ?", (run_id,))
            )

        rows = database.execute(
            "SELECT run_uuid, name, status, artifact_uri FROM runs "
            "WHERE lifecycle_stage = 'active' ORDER BY start_time"
        ).fetchall()
        return [
            Run(
                run_id,
                name,
                status,
                pairs("params", run_id),
                pairs("latest_metrics", run_id),
                pairs("tags", run_id),
                Path(uri.removeprefix("file://")),
            )
            for run_id, name, status, uri in rows
        ]


def of_kind(folder: Path, kind: str) -> list[Run]:
    """`study`, `network` or `continuation`."""
    return [run for run in runs(folder) if run.tags.get("kind") == kind]


def study_run(folder: Path) -> Run:
    (run,) = of_kind(folder, "study")
    return run


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Every trial of every study in the folder's optuna.db."""
    storage = f"sqlite:///{folder / 'optuna.db'}"
    names = optuna.get_all_study_names(storage)
    return [t for name in names for t in optuna.load_study(study_name=name, storage=storage).trials]


def complete_trials(folder: Path) -> Counter:
    """(configuration, seed) → COMPLETE trials; with the resample behind them where one has it."""
    names = ("configuration", "seed", "resample")
    return Counter(
        tuple(t.params[name] for name in names if name in t.params)
        for t in trials(folder)
        if t.state == optuna.trial.TrialState.COMPLETE
    )


def environment() -> dict[str, str]:
    """This process's, with MLflow's own choice of a store, and Ctrl-C as in a terminal."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}


@contextmanager
def mlflow_server(
    folder: Path, port: int | None = None, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Address of an `mlflow server` of the folder, on loopback, until the block ends.

    more: environment variables, such as MLFLOW_BACKEND_STORE_URI.
    """
    if port is None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"],
        cwd=folder,
        env=environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | dict(more or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + SERVER_START_SECONDS
        while time.monotonic() < until:
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/health", timeout=1).close()
                break
            time.sleep(0.3)
        else:
            pytest.fail(f"`mlflow server` did not start within {SERVER_START_SECONDS} seconds")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def start(folder: Path, *options: object) -> subprocess.Popen:
    """`python scripts/search.py …` in the folder, not waited for."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts/search.py"), *map(str, options)],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A job in the background would hand down that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def command(folder: Path, script: str, *options: object) -> subprocess.CompletedProcess:
    """`python scripts/<script> …` in the folder, to its end."""
    return subprocess.run(
        [sys.executable, str(PROJECT / "scripts" / script), *map(str, options)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The folder as working directory, with MLflow's own choice of a store."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        patch.chdir(folder)
        yield


def run_here(folder: Path, study: str, **options: object) -> str:
    """A study in this process, for the seconds that imports take; returns what it printed.

    options are parameters of the main entry point.
    """
    from pipeline.study.run import run_study

    printed = io.StringIO()
    own = {name: options.pop(name) for name in OWN & options.keys()}
    with working_in(folder):
        run_study(study, given=options, console=Console(file=printed, width=200), **own)
    return printed.getvalue()


def wait_for_networks(process: subprocess.Popen, folder: Path, count: int) -> None:
    """Until so many networks are recorded and told, as Optuna's database says."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"ended too early: {process.communicate()}")
        try:
            with sqlite3.connect(f"file:{folder / 'optuna.db'}?mode=ro", uri=True) as database:
                query = "SELECT COUNT(*) FROM trials WHERE state = 'COMPLETE'"
                if database.execute(query).fetchone()[0] >= count:
                    return
        except sqlite3.OperationalError:  # no database, or none of its tables, yet
            pass
        time.sleep(0.05)
    raise AssertionError(f"no {count} networks were recorded in {PATIENCE_SECONDS} seconds")


def files_of(folder: Path) -> set[str]:
    """Names in the folder, but for what can be computed again."""
    return {path.name for path in folder.iterdir()} - {".lariat"}
