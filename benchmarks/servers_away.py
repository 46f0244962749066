"""Both servers of a study stop in its middle: `servers_away.py [SECONDS]`, 60 unless given.

A study records into an `mlflow server` on PostgreSQL and tells its trials to PostgreSQL. Once it
has recorded networks, PostgreSQL is stopped as if its machine had failed, and started again after
so many seconds; then the `mlflow server` is. Counted is what both stores have at the end: each
network must be there once, as a run and as a trial that name each other.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from measure import Figure, write  # noqa: E402

SEEDS = 4
STUDY = """
# Is a network lost while servers are away?
data: {data}
target: TenYearCHD
categories: [education]
genotypes: none
sampler: grid
configurations: {configurations}
seeds: {seeds}
baselines: none
space:
  regularizer: [group_lasso]
  lambda_group: [0.01]
  batch_size: {sizes}
network: {{hidden_layer_sizes: [50]}}
training: {{epochs: 100}}
"""
"""Networks train together that share a batch size: populations of so many seeds."""


def until(what: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait for it; an error where the study ends first."""
    while True:
        with suppress(Exception):  # a server that is just starting
            if what():
                return
        if process.poll() is not None:
            raise SystemExit("the study ended before both servers were away: give fewer SECONDS")
        time.sleep(0.5)


def away(seconds: float, stop: Callable[[], object], start: Callable[[], object]) -> None:
    stop()
    time.sleep(seconds)
    start()


def outcome(tracking: str, storage: str) -> tuple[Counter, Counter, bool]:
    """(configuration, seed) of runs and of trials, and whether each names the other."""
    import optuna

    from pipeline.tracking.reader import load_study

    networks = load_study("away", tracking).networks
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    return (
        Counter((n.configuration, n.seed) for n in networks),
        Counter((t.params["configuration"], t.params["seed"]) for t in trials),
        {t.number: t.user_attrs["run_id"] for t in trials} == {n.trial: n.run_id for n in networks},
    )


def main(seconds: float) -> int:
    """Prints and writes the table; 0 where nothing is lost or doubled."""
    from pipeline.process import load_driver

    load_driver()  # before TensorFlow
    from postgres_server import postgres, programs
    from study_runs import environment, mlflow_server

    configurations = max(6, round(1.5 * seconds))
    wanted = Counter((c, s) for c in range(configurations) for s in range(SEEDS))
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lariat-away-")))
        database = stack.enter_context(postgres(programs()))
        storage, runs = database.database("trials"), database.database("runs")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        backend = {"MLFLOW_BACKEND_STORE_URI": runs}
        tracking = stack.enter_context(ExitStack())
        address = tracking.enter_context(mlflow_server(place, port, backend))
        (place / "away.yaml").write_text(
            STUDY.format(
                data=HERE.parent / "data/framingham.csv",
                configurations=configurations,
                seeds=SEEDS,
                sizes=[128 + i for i in range(configurations)],
            )
        )
        said = place / "said.txt"
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, HERE.parent / "scripts/search.py", "--study", "away.yaml"],
            cwd=place,
            env=environment() | {"LARIAT_STORAGE": storage, "MLFLOW_TRACKING_URI": address},
            stdout=said.open("w"),
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.kill)

        def recorded() -> int:
            query = "SELECT count(*) FROM tags WHERE key = 'kind' AND value = 'network'"
            return database.sql(query, database="runs")[0][0]

        until(lambda: recorded() >= SEEDS, process)
        away(seconds, database.stop, database.start)
        before = recorded()
        until(lambda: recorded() > before, process)
        start = lambda: stack.enter_context(mlflow_server(place, port, backend))  # noqa: E731
        away(seconds, tracking.close, start)
        while_away = process.poll() is None
        status = process.wait()
        took = time.monotonic() - began
        if status:
            print(said.read_text())
            return 1
        found_runs, found_trials, agree = outcome(address, storage)
    whole = found_runs == wanted and found_trials == wanted and agree
    rows = [
        ("networks asked for", len(wanted)),
        ("runs on the MLflow server, each network once", _once(found_runs, wanted)),
        ("trials in PostgreSQL, each network once", _once(found_trials, wanted)),
        ("run and trial name each other", "yes" if agree else "NO"),
        ("the study still trained when the second server was back", _yes(while_away)),
        ("seconds of the study, and its exit status", f"{took:.0f}, {status}"),
    ]
    words = (
        f"PostgreSQL stopped for {seconds:.0f} seconds in the middle of a study (immediately, as "
        f"if its machine had failed), then the `mlflow server` for {seconds:.0f}."
    )
    table = pd.DataFrame(rows, columns=["", "found"])
    lost = sum(found[key] != 1 for found in (found_runs, found_trials) for key in wanted)
    figure = Figure(f"runs and trials lost or doubled, each server away {seconds:.0f} s", lost, 0)
    write("Both servers of a study away", "servers_away.py", words, table, [figure])
    return 0 if whole else 1


def _once(found: Counter, wanted: Counter) -> str:
    return f"{sum(found[key] == 1 for key in wanted)} of {len(wanted)}, {found.total()} in all"


def _yes(so: bool) -> str:
    return "yes" if so else "no"


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main(float((sys.argv[1:] or ["60"])[0])))
