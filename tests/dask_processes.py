"""A Dask scheduler and its workers, each a process of its own, as on other machines."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from study_runs import PROJECT, environment


class Dask:
    """A scheduler and its workers, each a process of its own, as on other machines."""

    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self.scratch = scratch
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[subprocess.Popen] = []

    def _start(self, *command: str, **more: str) -> subprocess.Popen:
        scratch = {"DASK_TEMPORARY_DIRECTORY": str(self.scratch)}
        path = {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment() | scratch | path | more,
            cwd=self.scratch,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        options = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        return self._start("distributed.cli.dask_scheduler", *options)

    def worker(self, *more: str, **environment: str) -> subprocess.Popen:
        options = ("--nthreads", "1", "--no-dashboard", "--death-timeout", "60", *more)
        return self._start("distributed.cli.dask_worker", self.address, *options, **environment)

    def end(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
