"""A tiny study that is killed, or whose disk fails, at its i-th write, and looked at after the next
start. What is tested is what is kept: networks come from a stand-in of the engine."""

from __future__ import annotations

import errno
import io
import os
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import sqlalchemy as sa
from planted_study import network
from rich.console import Console
from study_runs import complete_trials, of_kind, trials, working_in
from tiny_study import write_study

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"}
TABLE = {(c, s) for c in (0, 1) for s in (0, 1)}


def results_of(
    population, people, objective, on_epoch=None, on_encoder=None, checkpoint=None,
    on_predictions=None,
):  # fmt: skip
    """In place of `pipeline.study.populations.train`: of a key always the same network."""
    results = []
    if on_predictions is not None:
        rows = len(people.cohort.outcome)
        drawn = [np.random.default_rng([9, *(k + 1 for k in r.key)]) for r in population.replicates]
        predictions = np.stack([rng.normal(size=(1, rows)) for rng in drawn])
        on_predictions(population.replicates, predictions)
    for replicate in population.replicates:
        configuration, seed = replicate.configuration, replicate.seed
        inputs = people.inputs(configuration.inputs, 0)
        strength = configuration.params["lambda_l1"]
        result = network(inputs, configuration.number, seed, keep_best=inputs.variable_names,
                         keep_last=inputs.variable_names[:seed], val=0.6 + strength + seed / 100,
                         units=3)  # fmt: skip
        first = np.asarray(result.first_layer, np.float32)
        layers = ((first, np.zeros(3, np.float32)), (np.ones((3, 1), np.float32), np.zeros(1, "f")))
        params = replicate.params
        metrics = {**result.metrics, "train_seconds": 0.5, "left_out_auroc": 0.5 + seed / 100}
        results.append(
            replace(result, params=params, first_layer=first, layers=layers, metrics=metrics)
        )
    return results


def prepare(folder: Path, resamples: int = 0) -> None:
    """The study, its table, and databases without a run: making them is tested elsewhere."""
    import mlflow.pyfunc  # noqa: F401  all that a start imports, once for all of them

    from pipeline.report import page  # noqa: F401
    from pipeline.study import finalists, run  # noqa: F401
    from pipeline.study.trials import make_storage
    from pipeline.tracking import models  # noqa: F401
    from pipeline.tracking.store import RunStore

    drawn = f"subsample:{resamples}" if resamples else "none"
    write_study(folder, configurations=2, resamples=drawn)
    with working_in(folder):
        RunStore()
        make_storage("sqlite:///optuna.db")


def _in_child(run: Callable[[], None]) -> int:
    """Status of a forked process, as `os.waitpid` tells it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    status = 1
    try:
        run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _count_writes(folder: Path, at: int, how: str, said: Path) -> None:
    """Kill this process, or fail, before the at-th change of a file or commit; 0 counts alone."""
    count, failed = 0, False

    def change() -> None:
        nonlocal count, failed
        count += 1
        if count == at and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if at and count >= at and how == "full":
            failed = True
            raise OSError(errno.ENOSPC, "No space left on device")
        if not at:
            os.write(counter, b".")

    counter = os.open(said, os.O_WRONLY | os.O_CREAT)

    def heard(event: str, arguments: tuple) -> None:
        if event == "open":
            writes = isinstance(arguments[2], int) and arguments[2] & WRITES
            if not writes:
                return
        elif event not in CHANGES:
            return
        path = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else ""
        if path and (folder in (p := Path(path).absolute()).parents) and p.suffix != ".pyc":
            change()

    sys.addaudithook(heard)
    sa.event.listen(sa.Engine, "commit", lambda connection: change())


def start(folder: Path, at: int = 0, how: str = "kill", tracking: str | None = None) -> int:
    """One start of the study; its status. at 0: to its end. tracking: another store than here."""
    said = folder.with_name(f"{folder.name}.writes")

    def run() -> None:
        from pipeline.report import page
        from pipeline.study import run as story

        story.train = results_of
        page._page = lambda summaries: (f"<dd>{summaries[0].record.study_id}</dd>", [])
        os.dup2(os.open(folder.with_name(f"{folder.name}.log"), os.O_WRONLY | os.O_CREAT), 2)
        with working_in(folder):
            if tracking:
                os.environ["MLFLOW_TRACKING_URI"] = tracking
            _count_writes(folder, at, how, said)
            story.run_study("tiny.yaml", console=Console(file=io.StringIO()))

    return _in_child(run)


def writes(folder: Path) -> int:
    """How many changes a start from its beginning to its end had."""
    return len(folder.with_name(f"{folder.name}.writes").read_bytes())


def tables(folder: Path) -> dict[str, bytes]:
    """The report's tables."""
    return {p.name: p.read_bytes() for p in (folder / "reports/tiny").glob("*.csv")}


def recorded_predictions(folder: Path) -> int:
    """Networks of which the local cache has what they predict."""
    keys: set[str] = set()
    for path in (folder / ".lariat/predictions").glob("*/*.npz"):
        with np.load(path) as stored:
            keys |= set(stored["keys"].tobytes().decode().split("\n"))
    return len(keys)


def files_of_people(folder: Path) -> dict[str, bytes]:
    """Tables over people, of the study's run."""
    (study,) = of_kind(folder, "study")
    return {p.name: p.read_bytes() for p in (study.artifacts / "people").glob("*.csv")}


def faults(folder: Path, resamples: int = 0) -> list[str]:
    """What is not as after an undisturbed study, but for the tables."""
    networks = of_kind(folder, "network")
    drawn = {(c, s, r) for c, s in TABLE for r in range(resamples)}
    ended = trials(folder)
    with sqlite3.connect(folder / "mlflow.db") as database:
        known = {run for (run,) in database.execute("SELECT run_uuid FROM runs")}
        models = database.execute(
            "SELECT status, source_run_id FROM logged_models WHERE lifecycle_stage = 'active'"
        ).fetchall()
    folders = {p.name for p in (folder / "mlruns/1").iterdir() if len(p.name) == 32}
    wrong = {
        "networks": sorted(n.replicate for n in networks)
        == sorted({(c, s, -1) for c, s in TABLE} | drawn),
        "predictions": not resamples or recorded_predictions(folder) == len(TABLE | drawn),
        "tables over people": not resamples or "cross_validation.csv" in files_of_people(folder),
        "their status": {n.status for n in networks} == {"FINISHED"},
        "their trials": {int(n.tags["trial"]) for n in networks} == {t.number for t in ended},
        "trials": complete_trials(folder) == dict.fromkeys(TABLE | drawn, 1)
        and len(ended) == len(TABLE | drawn),
        "study": [s.status for s in of_kind(folder, "study")] == ["FINISHED"],
        "models": bool(models) and {status for status, _ in models} == {2},
        "one model a run": len({run for _, run in models}) == len(models),
        "orphans": folders <= known,
        "parts": not [*folder.rglob(".part-*"), *folder.rglob(".report-*")],
        "weights": all((n.artifacts / "weights/network.npz").is_file() for n in networks),
    }
    return [name for name, right in wrong.items() if not right]
