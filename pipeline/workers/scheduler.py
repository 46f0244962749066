"""`scheduler:` → the crew that it names."""

from __future__ import annotations

import gc
import importlib.util
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.process import cores, first_line, part_name
from pipeline.workers.cluster_file import ClusterFile, read_cluster_file
from pipeline.workers.crew import Crew, Here
from pipeline.workers.dask_crew import Cluster, DaskCrew, Say
from pipeline.workers.on_worker import FIRST
from pipeline.workers.same_program import ask_scheduler

if TYPE_CHECKING:
    from distributed import Client

CLUSTER_SUFFIXES = (".yaml", ".yml")
CONNECT_SECONDS = 10.0
CLOSE_SECONDS, STARTING_SECONDS = 3.0, 20.0
"""How long the end of workers is waited for, and of those that are still starting: less, and Dask
leaves them behind."""

START_SECONDS = 300.0
"""How long the first worker of this machine may take to start."""

_SCHEDULER: dict[str, object] = {
    # A death is told at once; how often a job is tried again is `deaths`' to say.
    "distributed.scheduler.allowed-failures": 0,
    # A worker that trains for long, or a laptop that slept, is no worker lost: its socket tells.
    "distributed.scheduler.worker-ttl": None,
    # What all jobs share stays where it is: each worker gets it once.
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    # On a busy machine a worker takes long to start again.
    "distributed.deploy.lost-worker-timeout": "60s",
}
"""Settings of schedulers that are started here, and of their workers."""

_LOGGERS = ("distributed", "distributed.scheduler", "distributed.nanny", "distributed.worker",
            "distributed.client", "distributed.core", "distributed.comm", "tornado.application",
            "dask_jobqueue", "asyncio")  # fmt: skip


def check_scheduler(scheduler: str) -> None:
    """InputError unless what `scheduler:` names can be used here; nothing is started."""
    if scheduler != "local":
        _cluster(scheduler, lambda sentence: None)


@contextmanager
def open_crew(scheduler: str, say: Say, first: Callable[[], None] | None = None) -> Iterator[Crew]:
    """The crew of `local`, `processes:N`, `tcp://host:port`, `tls://host:port` or a cluster file.

    say(sentence) is told what becomes of workers. Processes of this machine start at once, and call
    first, a function of a module, before their first job: imports that take seconds are done by
    then. Workers that were started here end with the block.
    """
    if scheduler == "local":
        yield Here()
        return
    with _quiet(), DaskCrew(_cluster(scheduler, say, first), say) as crew:
        crew.begin()
        yield crew


def _cluster(scheduler: str, say: Say, first: Callable[[], None] | None = None) -> Cluster:
    _require("distributed", scheduler)
    if scheduler.startswith("processes:"):
        return _Processes(int(scheduler.removeprefix("processes:")), first)
    if scheduler.endswith(CLUSTER_SUFFIXES):
        return _Managed(read_cluster_file(Path(scheduler)), Path(scheduler).name, say)
    return _Running(scheduler)


def _require(package: str, scheduler: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InputError(
            f"`scheduler: {scheduler}` needs Dask, which is not installed: "
            "pip install -r requirements-cluster.txt, or leave the key out to train here"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Dask's own words about workers that come and go: we say what matters."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mismatched versions found")
            yield
    finally:
        # Not down to INFO: connections that close a moment later would be told, with tracebacks.
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(max(level, logging.WARNING) if level else level)


class _Processes:
    """A scheduler in this process, and N workers beside it that end with it, however it ends.

    They talk over the loopback interface alone, by TLS with keys of this start: another user of
    the machine cannot join.
    """

    may_be_away = False

    def __init__(self, workers: int, first: Callable[[], None] | None = None):
        self.name, self.expected = f"processes:{workers}", workers
        self._first = "" if first is None else f"{first.__module__}:{first.__qualname__}"
        self._cluster: Any = None
        self._security: Any = None
        self._without_main = ExitStack()
        self._began = 0.0

    def begin(self) -> None:
        """Start scheduler and workers, unless they are there; they are not waited for."""
        if self._cluster is not None:
            return
        import dask
        from distributed import Nanny, Scheduler, Security, SpecCluster

        self._security = security = Security.temporary()
        shared = {
            "host": "127.0.0.1",
            "protocol": "tls://",
            "security": security,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",  # its server of pages, without any
        }
        of_workers = {
            **shared,
            "nthreads": max(1, cores() // self.expected),
            "memory_limit": 0,  # the system's limits are the machine's
            "silence_logs": logging.CRITICAL + 1,
            "preload": ["pipeline.workers.on_worker"],
            "env": {FIRST: self._first},
        }
        with dask.config.set(_SCHEDULER):
            self._cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": {**shared, "port": 0}},
                worker={"cls": Nanny, "options": of_workers},
                security=security,
                silence_logs=logging.CRITICAL + 1,
            )
            self._without_main.enter_context(_without_main())
            self._cluster.scale(self.expected)
        self._began = time.monotonic()

    def connect(self) -> Client:
        from distributed import Client

        self.begin()
        # Of the cluster itself, it would raise for a worker that dies while it starts.
        return Client(
            self._cluster.scheduler_address, security=self._security, set_as_default=False
        )

    def mend(self, workers: int) -> None:
        """A worker that dies is started again by its nanny, unless it died while it started."""
        if workers >= self.expected or self._cluster is None:
            self._began = time.monotonic()
            return
        if not workers and time.monotonic() > self._began + START_SECONDS:
            raise InputError(
                f"workers of {self.name} must start, but none did within {START_SECONDS:.0f} "
                "seconds; take scheduler: local, or fewer of them"
            )
        import dask
        from distributed import Status

        def start_again(cluster: Any) -> None:
            for name, nanny in list(cluster.workers.items()):
                if nanny.status in (Status.closed, Status.failed):
                    del cluster.workers[name]
            with dask.config.set(_SCHEDULER):
                cluster.scale(self.expected)

        self._cluster.loop.add_callback(start_again, self._cluster)

    def close(self) -> None:
        if self._cluster is None:
            return
        running = [n.status.name == "running" for n in self._cluster.workers.values()]
        for nanny in self._cluster.workers.values():
            with suppress(Exception):
                nanny.auto_restart = False
                nanny.process.process._process.kill()  # it may be deep in a library
        with suppress(Exception):
            self._cluster.close(
                timeout=CLOSE_SECONDS if sum(running) == self.expected else STARTING_SECONDS
            )
        self._without_main.close()
        self._cluster = None


@contextmanager
def _without_main() -> Iterator[None]:
    """Workers that start inside do not run the program's own file first, as processes of Python's
    `spawn` do: a script that calls `run_study` outside of `if __name__ == "__main__":` would start
    the study once more in each."""
    prepared = spawn.get_preparation_data

    def without_main(name: str) -> dict[str, Any]:
        data = prepared(name)
        if name.startswith("Dask Worker process"):
            data.pop("init_main_from_path", None)
            data.pop("init_main_from_name", None)
        return data

    spawn.get_preparation_data = without_main
    try:
        yield
    finally:
        spawn.get_preparation_data = prepared


class _Running:
    """A scheduler that runs already, with the workers that it has and gets."""

    may_be_away = True

    expected = 1

    def __init__(self, address: str):
        self.name, self._address = f"the Dask scheduler {address}", address

    def begin(self) -> None:
        """It runs."""

    def connect(self) -> Client:
        from distributed import Client

        ask_scheduler(self._address, CONNECT_SECONDS)
        return Client(self._address, timeout=CONNECT_SECONDS, set_as_default=False)

    def mend(self, workers: int) -> None:
        """Its workers are not ours."""

    def close(self) -> None:
        """It stays, and so do its workers."""


class _Managed:
    """Workers that a batch system or Kubernetes starts, as a cluster file says."""

    may_be_away, expected = True, 1

    def __init__(self, content: ClusterFile, name: str, say: Say):
        self.name, self._content, self._say = f"the cluster of {name}", content, say
        self._keys = Path(".lariat").absolute() / part_name()  # swept later, if we are killed
        self._cluster: Any = None

    def begin(self) -> None:
        """Not before there is work: others wait for the machines."""

    def connect(self) -> Client:
        import dask
        from distributed import Client

        if self._cluster is None:
            try:
                with dask.config.set(_SCHEDULER):
                    self._cluster = self._content.start(self._keys, self._say)
            except Exception as error:  # each batch system raises its own
                raise InputError(
                    f"{self.name} must start, but {type(error).__name__}: {first_line(error)}; "
                    "check its `options`"
                ) from error
        return Client(self._cluster, timeout=CONNECT_SECONDS, set_as_default=False)

    def mend(self, workers: int) -> None:
        """Its own `adapt` does that."""

    def close(self) -> None:
        if self._cluster is not None:
            with suppress(Exception):
                self._cluster.close(timeout=CLOSE_SECONDS)
        self._cluster = None
        gc.collect()  # the files of keys go with the objects that made them
        with suppress(OSError):
            self._keys.rmdir()
