"""Schedulers that run already, and batch systems: who joins, who leaves, and what is refused."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from dask_processes import Dask
from distributed import Client
from small_jobs import double, wait
from study_runs import PROJECT, run_here
from tiny_study import assert_same_tables_there, write_study

from pipeline.errors import InputError
from pipeline.workers import open_crew
from pipeline.workers.cluster_file import read_cluster_file
from pipeline.workers.packed import Packed

PATIENCE_SECONDS = 120.0


def test_a_worker_that_joins_is_used_and_a_scheduler_lost_and_back_is_survived(
    dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins without workers; one comes, another joins; the scheduler is killed, its workers
    with it, and both return."""
    monkeypatch.setattr("pipeline.workers.dask_crew.SAY_SECONDS", 0.0)
    told: list[str] = []
    matrix, sent, left = np.arange(1000.0), 0, 500

    def jobs() -> Iterator[int]:
        nonlocal sent, left
        while left > 0:
            sent, left = sent + 1, left - 1
            yield sent

    scheduler = dask.scheduler()
    ended, is_killed = [], False
    with open_crew(dask.address, told.append) as crew:
        worker = dask.worker()
        for done in crew.each(wait, {"matrix": matrix}, jobs()):
            ended.append(done.result)
            if len(ended) == 1:
                dask.worker()
            if crew.size == 2 and not is_killed:
                is_killed, left = True, 6
                scheduler.kill()
                os.killpg(worker.pid, signal.SIGKILL)
                scheduler.wait()
                dask.scheduler()
                dask.worker()
    assert is_killed
    assert sorted(ended) == [(job, Packed.of(matrix).fingerprint) for job in range(1, sent + 1)]
    assert any(line.startswith("waiting for workers") for line in told)


def test_a_worker_of_another_program_is_refused(
    dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.scheduler()
    dask.worker()
    monkeypatch.setattr("pipeline.workers.same_program.program", lambda: "another")
    with (
        pytest.raises(InputError, match="the Dask scheduler has other code of Lariat"),
        open_crew(dask.address, print) as crew,
    ):
        list(crew.each(double, {"number": 1}, [1]))


SLURM = {
    # A job's number is that of its processes' group; its script is gone once it is submitted.
    "sbatch": 'job="$SLURM_JOBS/${1##*/}"; cp "$1" "$job"; setsid bash "$job" >/dev/null 2>&1 & '
    'echo "Submitted batch job $!"',
    "scancel": 'echo "$@" >> "$SLURM_JOBS"/cancelled; for job; do kill -- "-$job"; done',
}


"""What dask-jobqueue calls, in place of a batch system: jobs run here, at once."""


CLUSTER = """
cluster: SLURMCluster
workers: 2
options:
  {queue: short, cores: 1, processes: 1, memory: 2GB, walltime: 02:00:00, account: heart}
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder with the scripts of jobs."""
    programs, jobs = tmp_path / "programs", tmp_path / "jobs"
    for folder in (programs, jobs):
        folder.mkdir()
    for name, words in SLURM.items():
        (programs / name).write_text(f"#!/bin/bash\n{words}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOBS", str(jobs))
    monkeypatch.setenv("PYTHONPATH", f"{PROJECT}:{PROJECT / 'tests'}")
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path / "scratch"))
    yield jobs
    # A job ends with its study, and its place in the batch system with it.
    until = time.monotonic() + 30
    while left := [p for p in psutil.process_iter(["cmdline", "environ"]) if _is_job(p, jobs)]:
        assert time.monotonic() < until, left
        time.sleep(0.2)


def _is_job(process: psutil.Process, jobs: Path) -> bool:
    words, environ = process.info["cmdline"] or [], process.info["environ"] or {}
    return "distributed.cli.dask_worker" in words and environ.get("SLURM_JOBS") == str(jobs)


def test_slurm_s_jobs_are_workers_by_a_cluster_file_and_tls(
    slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing dask-jobqueue points Ctrl-C elsewhere, which must not stay."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("cluster.yaml").write_text(CLUSTER)
    with open_crew("cluster.yaml", print) as crew:
        done = list(crew.each(wait, {"matrix": np.zeros(3)}, range(6)))
        assert sorted(d.job for d in done) == list(range(6))
        assert crew._cluster._cluster.scheduler.address.startswith("tls://")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert {path.name for path in Path().iterdir()} == {"cluster.yaml", ".lariat"}
    assert all(path.name.startswith(".part-") for path in Path(".lariat").iterdir())
    scripts = [path.read_text() for path in slurm.iterdir() if path.suffix == ".sh"]
    assert len(scripts) == 2
    for script in scripts:
        for directive in ("-p short", "-A heart", "--cpus-per-task=1", "--mem=2G", "-t 02:00:00"):
            assert f"#SBATCH {directive}\n" in script
        assert f"{sys.executable} -m distributed.cli.dask_worker tls://" in script
        for option in ("--nthreads 1", "--memory-limit 1.86GiB", "--tls-key", "--tls-ca-file"):
            assert option in script
    assert len((slurm / "cancelled").read_text().split()) == 2


def test_a_study_on_slurm_gives_the_tables_of_this_process(slurm: Path, tmp_path: Path) -> None:
    assert_same_tables_there(tmp_path, CLUSTER.replace("workers: 2", "workers: 1"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cluster: SlurmCluster\nworkers: 2", "`cluster` must be one of SLURMCluster"),
        ("cluster: SLURMCluster\nworkers: none", "`workers` must be a whole number"),
        ("cluster: SLURMCluster\nworkers: 2\noption: {}", "`option` is no key of a cluster file"),
        (
            "cluster: SLURMCluster\nworkers: 2\noptions: {quee: short}",
            "no parameter of SLURMCluster: expected one of account",
        ),
        ("cluster: SLURMCluster\nworkers: 2\noptions: {quee: short}", "did you mean `queue`?"),
        ("- a", "must be a mapping"),
    ],
)
def test_a_wrong_cluster_file_is_told_in_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(InputError) as refusal:
        read_cluster_file(tmp_path / "cluster.yaml")
    assert part in str(refusal.value)


def test_a_cluster_file_gives_the_class_its_options(tmp_path: Path) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(
        "cluster: SLURMCluster\nworkers: 20\n"
        "options: {queue: short, cores: 4, memory: 16GB, walltime: 02:00:00}\n"
    )
    content = read_cluster_file(path)
    assert content.options["walltime"] == "02:00:00"
    assert (content.cluster, content.workers) == ("SLURMCluster", 20)


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.workers.dask_crew.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("pipeline.workers.scheduler.CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(InputError, match=r"the Dask scheduler tcp://127\.0\.0\.1:9 must answer"),
        open_crew("tcp://127.0.0.1:9", print) as crew,
    ):
        list(crew.each(double, {}, [1]))


def test_a_worker_in_whose_python_lariat_is_not_is_refused(dask: Dask, tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()  # of somebody else
    dask.scheduler()
    dask.worker(PYTHONPATH=str(tmp_path))
    with (
        pytest.raises(InputError, match=r"the worker tcp://\S+ has no Lariat: No module named"),
        open_crew(dask.address, print) as crew,
    ):
        list(crew.each(double, {"number": 1}, range(3)))


OTHER_WORKERS = {
    "TensorFlow does not load": (
        """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            raise ImportError("libtensorflow_cc.so.2: cannot open shared object file")
sys.meta_path.insert(0, Without())
""",
        r"TensorFlow must load where networks train, but on \S+ it ends in ImportError: libtens",
    ),
    "TensorFlow is not installed": (
        """
import importlib.metadata
version = importlib.metadata.version
def version_of(name):
    if name == "tensorflow":
        raise importlib.metadata.PackageNotFoundError(name)
    return version(name)
importlib.metadata.version = version_of
""",
        r"the worker tcp://\S+ has tensorflow none in place of \d",
    ),
    "another Python": (
        "import platform; platform.python_version = lambda: '3.9.1'",
        r"the worker tcp://\S+ has python 3\.9\.1 in place of \d",
    ),
}


@pytest.mark.parametrize("kind", OTHER_WORKERS)
def test_a_worker_that_cannot_train_ends_the_study_in_a_sentence(
    dask: Dask, tmp_path: Path, kind: str
) -> None:
    """Python reads `sitecustomize` before anything of a program."""
    code, sentence = OTHER_WORKERS[kind]
    (tmp_path / "sitecustomize.py").write_text(code)
    study = write_study(tmp_path)
    dask.scheduler()
    dask.worker(PYTHONPATH=f"{tmp_path}:{PROJECT}")
    with pytest.raises(InputError, match=sentence):
        run_here(tmp_path, study, scheduler=dask.address)


def test_a_worker_that_may_use_too_little_memory_is_waited_for_with_a_sentence(
    dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask pauses one that has used 80 % of its memory, for ever where that is little; another
    joins, and the work goes on."""
    monkeypatch.setattr("pipeline.workers.dask_crew.SAY_SECONDS", 0.0)
    joined: list[str] = []

    def say(sentence: str) -> None:
        if "Dask has paused all 1, which have used most of the memory" in sentence and not joined:
            joined.append(sentence)
            dask.worker()

    dask.scheduler()
    dask.worker("--no-nanny", "--memory-limit", "20MB")
    with Client(dask.address, timeout=PATIENCE_SECONDS) as client:
        until = time.monotonic() + PATIENCE_SECONDS
        while not client.nthreads() or client.sync(client.scheduler.ncores_running):
            assert time.monotonic() < until
            time.sleep(0.05)  # until Dask has looked at its memory
    with open_crew(dask.address, say) as crew:
        assert [d.job for d in crew.each(double, {"number": 1}, [5])] == [5]
    assert joined


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"", "does not speak as a Dask scheduler within"),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n" * 40, "must be the address of a Dask scheduler"),
    ],
)
def test_something_else_that_listens_is_no_scheduler(
    answer: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a web server, which waits for a line, and as a program that speaks first."""
    monkeypatch.setattr("pipeline.workers.dask_crew.FIRST_SECONDS", 0.0)
    monkeypatch.setattr("pipeline.workers.scheduler.CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(answer)

        held: list[socket.socket] = []
        threading.Thread(target=speak, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match=sentence), open_crew(address, print) as crew:
            list(crew.each(double, {}, [1]))


def test_tls_without_certificates_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(InputError, match="check certificates of Dask's configuration"),
        open_crew("tls://127.0.0.1:9", print) as crew,
    ):
        list(crew.each(double, {}, [1]))


def test_a_scheduler_of_another_dask_is_refused(
    dask: Dask, monkeypatch: pytest.MonkeyPatch
) -> None:
    dask.scheduler()
    version = importlib.metadata.version
    monkeypatch.setattr(
        "pipeline.workers.same_program.importlib.metadata.version",
        lambda name: "1.0" if name == "distributed" else version(name),
    )
    with (
        pytest.raises(
            InputError, match=r"scheduler tcp://\S+ has distributed \S+ in place of 1\.0"
        ),
        open_crew(dask.address, print) as crew,
    ):
        list(crew.each(double, {}, [1]))
