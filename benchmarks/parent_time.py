"""The parent's own time for each network: `parent_time.py [NETWORKS [here]]`, 2,000 unless given.

One parent asks for configurations, sends populations to two workers, receives, records and tells.
The workers train one network and give it back for every other at once, so that the parent hardly
waits; measured is all that it does itself, by step, in milliseconds a network. Runs and trials go
into SQLite files of a new folder, and once more into PostgreSQL, runs by an `mlflow server`; with
`here` alone where MLFLOW_TRACKING_URI and LARIAT_STORAGE say.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from pipeline.study import work  # noqa: E402

STUDY = """
# What does the parent cost?
data: {data}
target: TenYearCHD
categories: [education]
genotypes: none
configurations: {configurations}
seeds: 10
baselines: none
space: {{regularizer: [group_lasso], lambda_group: {{low: 0.004, high: 0.025, log: true}}}}
network: {{hidden_layer_sizes: [50]}}
training: {{epochs: 60, batch_size: 128}}
"""
AIMS = {"SQLite": 15, "PostgreSQL and MLflow server": 40}
"""Milliseconds a network."""

WAITING = "waiting for workers"
_real = work.train_elsewhere
_once: dict = {}


def at_once(shared, population, tell):
    """In place of training: one network is trained, and stands for all others."""
    if not _once:
        some = replace(population, replicates=population.replicates[:1])
        _once["network"] = _real(shared, some, tell).results[0]
    network = _once["network"]
    results = [
        replace(
            network,
            params={
                **r.configuration.params,
                "seed": r.seed,
                "configuration": r.configuration.number,
            },
        )
        for r in population.replicates
    ]
    return work.Trained(results)


class Clock:
    """Seconds by step, without those of the steps within, of the main thread; and of others, that
    is `beside` it, those of their processor.

    Processor seconds of the main thread's steps are those that the whole process used meanwhile.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.beside: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)
        self._within = threading.local()

    def time(self, owner: type, name: str, step: str) -> None:
        """Count calls of a method under this step."""
        method: Callable = getattr(owner, name)

        @functools.wraps(method)
        def timed(*given, **named):
            if threading.current_thread() is not threading.main_thread():
                began_beside = time.thread_time()
                try:
                    return method(*given, **named)
                finally:
                    self.beside[step] += time.thread_time() - began_beside
            above = getattr(self._within, "taken", (0.0, 0.0))
            self._within.taken, began = (0.0, 0.0), (time.perf_counter(), time.process_time())
            try:
                return method(*given, **named)
            finally:
                took = time.perf_counter() - began[0], time.process_time() - began[1]
                self.seconds[step] += took[0] - self._within.taken[0]
                self.processor[step] += took[1] - self._within.taken[1]
                self._within.taken = above[0] + took[0], above[1] + took[1]

        setattr(owner, name, timed)


def here(networks: int) -> dict[str, float]:
    """Prints the table; returns milliseconds a network, in all and of the processor alone."""
    from pipeline.search_space import Sampling
    from pipeline.study import recording, run
    from pipeline.study.trials import Trials
    from pipeline.tracking import StudyRun
    from pipeline.workers.dask_crew import DaskCrew

    clock, place = Clock(), tempfile.mkdtemp(prefix="lariat-parent-")
    os.chdir(place)
    data = PROJECT / "data/framingham.csv"
    Path("parent.yaml").write_text(STUDY.format(data=data, configurations=networks // 10))
    import parent_time  # workers import it by this name

    run.train_elsewhere = parent_time.at_once
    for owner, name, step in (
        (Sampling, "next", "ask"),
        (DaskCrew, "_fill", "group and send"),
        (DaskCrew, "_connected", WAITING),
        (DaskCrew, "_count", "look for workers"),
        (DaskCrew, "_ended", WAITING),
        (DaskCrew, "_done", "receive"),
        (recording.Recorder, "adopt", "look for known networks"),
        (recording.Recorder, "_pictures", "draw heat maps"),
        (recording.Recorder, "record", "record"),
        (StudyRun, "record_all", "record"),
        (recording.Recorder, "_wait_for_trials", "wait until it is told"),
        (Trials, "add", "tell"),
    ):
        clock.time(owner, name, step)
    train_all = run._train_all
    took: list[float] = []

    def timed_train_all(*given):
        began, used = time.perf_counter(), time.process_time()
        train_all(*given)
        took.extend((time.perf_counter() - began, time.process_time() - used))
        raise SystemExit  # no report is wanted

    run._train_all = timed_train_all
    with suppress(SystemExit):
        run.run_study("./parent.yaml", scheduler="processes:2")
    waiting = clock.seconds.pop(WAITING)
    clock.seconds["all else"] = took[0] - waiting - sum(clock.seconds.values())
    print(
        f"{networks} networks, {1000 * (took[0] - waiting) / networks:.1f} ms of the parent each "
        "(of its processor, where that is counted):"
    )
    for step, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1]):
        used = clock.processor[step]
        print(f"  {step:24} {1000 * seconds / networks:6.2f} ms ({1000 * used / networks:.2f})")
    for step, seconds in clock.beside.items():
        print(f"  {step + ', in a thread':24} ({1000 * seconds / networks:.2f})")
    print(f"  ({WAITING}: {waiting:.0f} s of {took[0]:.0f} s)")
    print(f"  processor of the parent, its Dask scheduler too: {1000 * took[1] / networks:.1f} ms")
    return {
        "ms": 1000 * (took[0] - waiting) / networks,
        "processor": 1000 * took[1] / networks,
        "longest": "; ".join(
            f"{step} {1000 * seconds / networks:.1f}"
            for step, seconds in sorted(clock.seconds.items(), key=lambda item: -item[1])[:3]
        ),
    }


def elsewhere(networks: int, where: dict[str, str]) -> dict[str, float]:
    """`here` in a process of its own, with these stores."""
    known = {"MLFLOW_TRACKING_URI", "LARIAT_STORAGE"}
    environment = {k: v for k, v in os.environ.items() if k not in known} | where
    command = [sys.executable, __file__, str(networks), "here"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout)
    return json.loads(done.stdout.splitlines()[-1])


def main(networks: int) -> None:
    """Both stores, and the section of benchmarks/README.md."""
    from pipeline.process import load_driver

    load_driver()  # before TensorFlow
    import pandas as pd
    from measure import Figure, write
    from postgres_server import postgres, programs
    from study_runs import mlflow_server

    found = {"SQLite": elsewhere(networks, {})}
    if programs() is not None:
        with ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory())
            server = stack.enter_context(postgres(programs()))
            trials, runs = server.database("trials"), server.database("runs")
            backend = {"MLFLOW_BACKEND_STORE_URI": runs}
            address = stack.enter_context(mlflow_server(Path(place), None, backend))
            where = {"LARIAT_STORAGE": trials, "MLFLOW_TRACKING_URI": address}
            found["PostgreSQL and MLflow server"] = elsewhere(networks, where)
    rows = [
        (store, f"{of['processor']:.1f}", AIMS[store], f"{of['ms']:.1f}", of["longest"])
        for store, of in found.items()
    ]
    names = ["store", "processor ms a network", "asked", "ms on the clock", "the longest steps, ms"]
    write(
        "The parent's own time for a network",
        "parent_time.py",
        f"{networks:,} networks of the clinical table on two workers that give a network back at "
        "once: asking, sending, receiving, heat maps, recording and telling, of the parent alone, "
        "its Dask scheduler too. Asked is the parent's own time, its processor's; on the clock it "
        "also waits for the server and the database, which here answer on the same cores.",
        pd.DataFrame(rows, columns=names),
        [
            Figure(f"processor ms of the parent for a network, {store}", of["processor"],
                   AIMS[store], because=of["longest"])
            for store, of in found.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    given = sys.argv[1:] or ["2000"]
    if given[1:] == ["here"]:
        print(json.dumps(here(int(given[0]))))
    else:
        main(int(given[0]))
