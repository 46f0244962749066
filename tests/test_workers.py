"""Jobs in real processes on real sockets: they come back, whatever dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from dask_processes import Dask
from small_jobs import die, die_always, double, fail, held, wait
from study_runs import (
    PROJECT,
    environment,
    of_kind,
    run_here,
    start,
    study_run,
    trials,
    working_in,
)
from tiny_study import tables, write_study

from pipeline.data import load_cohort, read_table
from pipeline.errors import InputError
from pipeline.genetics import Filters, Joined, block_columns, genotypes
from pipeline.genetics.plink import write_blocks
from pipeline.provenance import processor
from pipeline.report.summary import summarize
from pipeline.serving import Variants, open_fileset
from pipeline.study import People
from pipeline.study.crew import by_workers
from pipeline.tracking.reader import load_study
from pipeline.workers import Done, Here, check_scheduler, open_crew
from pipeline.workers.dask_crew import DaskCrew, _Round, _Ticket
from pipeline.workers.deaths import Deaths
from pipeline.workers.packed import Packed

PATIENCE_SECONDS = 120.0


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def crew(told: list[str]) -> Iterator:
    """Two processes, started once."""
    with open_crew("processes:2", told.append) as crew:
        yield crew


def workers(crew) -> list[int]:
    """Process ids of the workers that are there."""
    return [nanny.pid for nanny in crew._cluster._cluster.workers.values() if nanny.pid]


def test_jobs_are_done_by_two_processes_and_each_comes_back_once(crew) -> None:
    done = list(crew.each(double, {"number": 3}, range(20)))
    assert sorted((d.job, d.result[0]) for d in done) == [(job, 6 * job) for job in range(20)]
    processes = {d.result[1] for d in done}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert {d.processor for d in done} == {processor()}
    assert crew.size == 2


def test_a_script_without_a_guard_starts_workers_once(tmp_path: Path) -> None:
    """Python's `spawn` would run it again in each worker, and that would start workers, ...."""
    (tmp_path / "script.py").write_text(
        "from small_jobs import double\n"
        "from pipeline.workers import open_crew\n"
        "print('begins')\n"
        "with open_crew('processes:2', print) as crew:\n"
        "    done = sorted(d.result[0] for d in crew.each(double, {'number': 1}, range(3)))\n"
        "print(done)\n"
    )
    ended = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment() | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ended.stdout, ended.stderr) == ("begins\n[0, 2, 4]\n", "")


def test_workers_that_are_still_starting_end_with_the_block() -> None:
    """As where the table turns out to be wrong."""
    before = set(psutil.Process().children(recursive=True))
    with open_crew("processes:2", print):
        pass
    assert not [
        process
        for process in set(psutil.Process().children(recursive=True)) - before
        if process.status() != psutil.STATUS_ZOMBIE
        and "resource_tracker" not in " ".join(process.cmdline())
    ]


def test_at_most_two_jobs_a_worker_are_on_their_way(crew) -> None:
    taken = 0

    def jobs() -> Iterator[int]:
        nonlocal taken
        for job in range(12):
            taken += 1
            yield job

    ended = 0
    for _ in crew.each(wait, {"matrix": np.zeros(2)}, jobs()):
        assert taken - ended <= 2 * 2
        ended += 1
    assert ended == 12


def test_killed_workers_cost_time_alone_even_all_at_once(crew, told: list[str]) -> None:
    matrix = np.random.default_rng(0).normal(size=(200, 50))
    ended = []
    for i, done in enumerate(crew.each(wait, {"matrix": matrix}, range(14))):
        ended.append(done.result)
        if i in (2, 6):
            os.kill(workers(crew)[0], signal.SIGKILL)
        if i == 10:
            for process in workers(crew):
                os.kill(process, signal.SIGKILL)
    assert sorted(ended) == [(job, Packed.of(matrix).fingerprint) for job in range(14)]
    assert any("died; what it was doing is done again" in line for line in told)


def test_what_all_jobs_share_travels_once_also_for_later_jobs(crew) -> None:
    """A later call finds it where it was, in each of both processes."""
    shared = {"matrix": np.ones(1000)}
    places = [{d.result for d in crew.each(held, shared, range(8))} for _ in range(2)]
    assert len(places[0]) == 2
    assert places[0] == places[1]


def test_a_job_that_kills_its_worker_is_given_up_after_three_deaths(crew) -> None:
    done = list(crew.each(die, {"fatal": 4}, range(8)))
    (given_up,) = [d for d in done if d.given_up]
    assert sorted(d.job for d in done) == list(range(8))
    assert given_up.job == 4
    assert given_up.result is None
    assert "its worker died" in given_up.given_up


@pytest.mark.parametrize(
    ("job", "kind", "words"),
    [
        (0, ArithmeticError, "job 0 cannot be"),
        (1, RecursionError, "maximum recursion depth"),  # its traceback is too much for Dask
        (2, RuntimeError, "Unspeakable: no pickle"),
        (
            3,
            InputError,
            r"workers must be able to .* but tls://\S+ says: .*No space left on device",
        ),
    ],
)
def test_an_error_of_a_job_is_raised_after_its_third(
    crew, job: int, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words) as raised:
        list(crew.each(fail, {}, [job]))
    if kind is not InputError:
        assert "small_jobs.py" in "".join(raised.value.__notes__)
    assert [d.job for d in crew.each(double, {"number": 1}, [5])] == [5]  # and the crew goes on


def test_the_crew_of_this_process_does_jobs_in_their_order() -> None:
    done = list(Here().each(double, {"number": 1}, [3, 1, 2]))
    assert [d.job for d in done] == [3, 1, 2]
    assert done[0] == Done(3, (6, os.getpid()), processor=processor())


@pytest.mark.parametrize(
    ("others", "deaths", "allowed"),
    [
        (0, 0, 3),
        (100, 0, 3),
        (100, 10, 3),
        (100, 12, 4),
        (100, 21, 5),
        (1000, 504, 10),
        (50, 50, 10),
    ],
)
def test_a_job_is_given_up_when_chance_alone_would_hardly_kill_so_often(
    others: int, deaths: int, allowed: int
) -> None:
    """By hand: the least k with ((deaths + 1)/(others + 10))^k ≤ 1/1000, from 3 to 10."""
    counted = Deaths()
    for _ in range(others - deaths):
        counted.ended()
    for _ in range(deaths + 2):
        counted.died()
    assert counted.allowed(own=2) == allowed


def test_what_is_packed_is_the_same_again_on_the_same_memory() -> None:
    shared = {"a": np.arange(5.0), "b": [np.ones((2, 3), np.float32)], "c": "text"}
    packed = Packed.of(shared)
    again = packed.unpacked()
    assert np.array_equal(again["a"], shared["a"])
    assert np.shares_memory(again["a"], shared["a"])
    assert packed.fingerprint == Packed.of(shared).fingerprint
    assert packed.fingerprint != Packed.of({**shared, "a": np.arange(5.0) + 1}).fingerprint


COUNTS = np.random.default_rng(4).binomial(2, 0.3, (170, 900)).astype(np.int8)


TRAIN = np.arange(0, 170, 2)


@pytest.fixture
def fileset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """170 people and 900 variants on the disk, more than one machine is to have at once."""
    variants = Variants(
        np.full(900, "7", object),
        np.arange(900),
        *(np.full(900, t, object) for t in ("v", "A", "C")),
    )
    people = [f"p{i}" for i in range(len(COUNTS))]
    assert list(write_blocks(tmp_path / "cohort", people, [(COUNTS, variants)])) == [900]
    monkeypatch.setattr(genotypes, "TOGETHER", 100)
    monkeypatch.setattr(block_columns, "COLUMN_PEOPLE", 48)
    # Blocks of 235 variants: numbers are summed over several.
    monkeypatch.setattr("pipeline.genetics.relationship.BLOCK_BYTES", 4 * 170 * 235)
    return tmp_path / "cohort"


def in_columns(fileset: Path, cache: Path, **who: object) -> np.ndarray:
    joined = Joined(open_fileset(fileset), np.arange(len(COUNTS)))
    found = genotypes.load_genotypes(joined, np.zeros(0), TRAIN, cache, Filters(0.01), **who)
    assert found.variants + sum(found.left_out) == 900
    return np.array(found.relationship)


def test_a_relationship_matrix_by_block_columns_is_the_same_on_workers_and_that_of_g_gt(
    crew, fileset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte here and on two workers; G·Gᵀ in float64 and that of today to float32."""
    here = in_columns(fileset, tmp_path / "here")
    elsewhere = in_columns(fileset, tmp_path / "there", each=partial(by_workers, crew))
    assert elsewhere.tobytes() == here.tobytes()
    assert np.array_equal(here, here.T)
    frequency = COUNTS[TRAIN].mean(axis=0) / 2
    g = (COUNTS - 2 * frequency) / np.sqrt(2 * frequency * (1 - frequency) * 900)
    np.testing.assert_allclose(here, g @ g.T, atol=2e-6)
    monkeypatch.setattr(genotypes, "TOGETHER", 1000)
    whole = in_columns(fileset, tmp_path / "whole")
    np.testing.assert_allclose(here, whole, atol=2e-6)
    assert {p.name for p in (tmp_path / "here").iterdir() if p.suffix == ".part"} == set()


def test_workers_that_do_not_see_the_fileset_say_so(crew, fileset: Path, tmp_path: Path) -> None:
    def moved(function, bed, jobs):
        Path(f"{fileset}.bed").rename(tmp_path / "elsewhere.bed")
        return by_workers(crew, function, bed, jobs)

    with pytest.raises(InputError, match=r"under the same path, but one has no such cohort\.bed"):
        in_columns(fileset, tmp_path / "cache", each=moved)
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_what_travels_has_no_file_and_no_value_that_training_does_not_need(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "age": rng.normal(50.0, 9.0, 200),
            "secret": rng.normal(size=200) + 12345.678,
            "sick": rng.integers(0, 2, 200),
        }
    )
    table.to_csv(tmp_path / "people.csv", index=False)
    cohort = load_cohort(read_table(tmp_path / "people.csv"), "sick", drop=("secret",))
    packed = Packed.of(People(cohort, None).for_workers())
    content = packed.content + b"".join(array.tobytes() for array in packed.arrays)
    assert np.float32(cohort.features[3, 0]).tobytes() in content
    assert b"people.csv" not in content
    for kind in (np.float64, np.float32):
        assert kind(table["secret"][7]).tobytes() not in content
        assert kind(table["age"][7]).tobytes() not in content


def test_a_report_flags_networks_of_several_kinds_of_processors(local: Path) -> None:
    with working_in(local):
        results = load_study()
    kinds = {network.processor for network in results.networks}
    assert kinds == {processor()}
    assert not [flag for flag in summarize(results).flags if "processor" in flag]
    others = [replace(network, processor="another kind") for network in results.networks[:3]]
    mixed = replace(results, networks=(*others, *results.networks[3:]))
    (flag,) = [flag for flag in summarize(mixed).flags if "processor" in flag]
    assert flag.startswith("The networks were trained by 2 kinds of processors")
    assert f"9 by {processor()}; 3 by another kind" in flag


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of twelve networks, trained here."""
    folder = tmp_path_factory.mktemp("local")
    run_here(folder, write_study(folder, configurations=3, seeds=4))
    return folder


def copied(local: Path, folder: Path) -> Path:
    for name in ("tiny.yaml", "people.csv"):
        shutil.copy(local / name, folder)
    return folder


def test_tables_of_processes_are_those_of_this_process_byte_by_byte(
    local: Path, tmp_path: Path
) -> None:
    """A study that was begun here goes on by the key in its file; no other file is left."""
    copied(local, tmp_path)
    run_here(tmp_path, "tiny.yaml", configurations=1)
    study = (tmp_path / "tiny.yaml").read_text()
    (tmp_path / "tiny.yaml").write_text(f"{study}scheduler: processes:2\n")
    run_here(tmp_path, "tiny.yaml")
    assert tables(tmp_path) == tables(local)
    networks = of_kind(tmp_path, "network")
    assert {run.tags["processor"] for run in networks} == {processor()}
    assert len(trials(tmp_path)) == 12
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in local.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_study_leaves_no_process(local: Path, tmp_path: Path, number: int) -> None:
    copied(local, tmp_path)
    process = start(
        tmp_path, "--study", "./tiny.yaml", "--scheduler", "processes:2", "--epochs", 4000
    )
    until = time.monotonic() + PATIENCE_SECONDS
    children: list[psutil.Process] = []
    while len(children) < 2 and time.monotonic() < until:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
        children = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if "spawn_main" in " ".join(child.cmdline())
        ]
    assert len(children) == 2
    time.sleep(1.0)
    # Ctrl-C reaches everyone whom the terminal started.
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    process.communicate(timeout=10)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert process.returncode == (128 + number if number == signal.SIGINT else -number)


@pytest.mark.parametrize(
    ("scheduler", "parts"),
    [
        ("dask", ["scheduler", "processes:N", "dask"]),
        ("processes:0", ["scheduler", "processes:N"]),
        ("processes:two", ["scheduler", "processes:N"]),
        ("tcp://host", ["scheduler", "tcp://host:port"]),
        ("nowhere.yaml", ["scheduler", "there is no nowhere.yaml"]),
    ],
)
def test_a_scheduler_that_is_none_is_refused(local: Path, scheduler: str, parts: list[str]) -> None:
    with pytest.raises(InputError) as refusal:
        run_here(local, "tiny.yaml", scheduler=scheduler)
    assert all(part in str(refusal.value) for part in parts)


def test_without_dask_a_sentence_says_what_to_install(
    local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install -r requirements-cluster\.txt"):
        check_scheduler("processes:2")


def test_workers_that_all_die_end_the_study_and_no_job_is_blamed(
    crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_deaths", Deaths())  # of a study that begins
    with pytest.raises(InputError, match="they died 10 times and finished none"):
        list(crew.each(die_always, {}, range(4)))
    assert [d.job for d in crew.each(double, {"number": 1}, [5])] == [5]


def test_where_other_jobs_lose_their_workers_too_one_is_given_up_later() -> None:
    """By hand: 8 of 16 tries of others ended in a death, (8 + 1)/(16 + 10) = 0.35, and 0.35⁷ is the
    first power below 1/1000; of 1,000 and 500, 0.50¹⁰ is."""
    for others, allowed in ((8, 7), (500, 10), (0, 3)):
        crew = DaskCrew(None, list)
        for _ in range(others):
            crew._deaths.died()
            crew._deaths.ended()
        ticket, round_ = _Ticket("job", began_on="tcp://there:1"), _Round(double, Packed.of(0))
        outcomes = [crew._died(round_, ticket, 1) for _ in range(allowed)]
        assert outcomes[:-1] == [None] * (allowed - 1)
        assert f"its worker died {allowed} times" in outcomes[-1].given_up


DEADLY = """
import os, signal, time
from pathlib import Path
from pipeline.study import work

train = work.__dict__.setdefault("really_train", work.train)  # it may be loaded twice


def deadly(population, *others, **named):
    if population.replicates[0].configuration.number == 1 and Path("deadly").exists():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return train(population, *others, **named)


work.train = deadly
"""


"""Loaded by a worker as it starts: it dies of one configuration while there is a file `deadly`."""


def test_networks_whose_worker_dies_are_failed_trials_that_the_same_command_tries_again(
    dask: Dask, local: Path, tmp_path: Path
) -> None:
    copied(local, tmp_path)
    (dask.scratch / "preload.py").write_text(DEADLY)
    (dask.scratch / "deadly").touch()
    dask.scheduler()
    dask.worker("--preload", "preload.py")
    with pytest.MonkeyPatch.context() as patch:
        # Four networks of a configuration are a population here.
        patch.setattr("pipeline.study.populations.networks_at_once", lambda *_: 4)
        out = run_here(tmp_path, "tiny.yaml", scheduler=dask.address)
        reason = "its worker died 3 times while it trained"
        assert out.count("died; what it was doing is done again") == 2
        failed = [run for run in of_kind(tmp_path, "network") if run.status == "FAILED"]
        assert {run.key for run in failed} == {(1, seed) for seed in range(4)}
        assert all(run.tags["failure"].startswith(reason) for run in failed)
        states = Counter(trial.state.name for trial in trials(tmp_path))
        assert states == {"COMPLETE": 8, "FAIL": 4}
        page = (tmp_path / "reports/tiny/report.html").read_text()
        for shown in (page, study_run(tmp_path).tags["mlflow.note.content"]):
            assert f"4 of 12 networks failed: 4 × {reason}" in shown
            assert "the same command trains it again" in shown
        (dask.scratch / "deadly").unlink()
        out = run_here(tmp_path, "tiny.yaml", scheduler=dask.address)
    assert "trained again: 4 networks whose workers died" in out
    assert tables(tmp_path) == tables(local)
    assert Counter(trial.state.name for trial in trials(tmp_path)) == {"COMPLETE": 12, "FAIL": 4}
    networks = of_kind(tmp_path, "network")
    assert {run.status for run in networks} == {"FINISHED"}
    assert len({run.tags["trial"] for run in networks}) == len(networks) == 12


class Dying:
    """A crew none of whose workers lives."""

    size = cores = 1

    def each(self, do, shared, jobs, on_progress=None) -> Iterator[Done]:
        for job in jobs:
            yield Done(job, None, given_up="its worker died 3 times")

    def rest(self) -> None:
        """There is nobody."""


def test_a_study_all_of_whose_networks_lost_their_workers_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = write_study(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.study.run.study_crew", lambda *_: nullcontext(Dying()))
        with pytest.raises(InputError, match="those of all 2 networks died"):
            run_here(tmp_path, study, scheduler="processes:1")
    assert study_run(tmp_path).status == "FAILED"
    assert "trained again: 2 networks" in run_here(tmp_path, study)
    assert study_run(tmp_path).status == "FINISHED"
