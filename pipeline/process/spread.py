"""Calls spread over processes of this machine, where threads would only wait for each other.

Work of many small NumPy calls holds Python's lock nearly all the time, and hands it on at each of
them: two threads of it took half as long again as one. Processes of joblib (loky) have a lock each.
They need no `__main__` guard, are kept for the next calls, end with the process that started them,
however that ends, or after some minutes without calls. They have one BLAS thread each, so the
digits are those that a call has here under `one_blas_thread`. Large arrays travel in shared memory,
in a folder of this user's that goes when the processes do.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import closing, suppress
from functools import cache
from importlib import import_module
from pickle import PicklingError
from typing import TypeVar

from joblib import Parallel, delayed

from pipeline.process.beside import Beside
from pipeline.process.cores import cores
from pipeline.process.long_calls import one_blas_thread

T = TypeVar("T")

MOST = 16
"""Processes at most, of some 100 MB each."""

PARENT_SECONDS = 1.0
"""How often a process looks whether its parent is still there."""

TRACKED = "ignore:resource_tracker:UserWarning"

NO_PROCESSES = (BrokenExecutor, PicklingError, OSError, ImportError)
"""What ends in one of these elsewhere is done here."""


def processes_here() -> int:
    """How many processes calls can be spread over: 1, this one, where it is itself a worker of
    others, who has its share of the machine already."""
    return 1 if multiprocessing.parent_process() is not None else min(cores(), MOST)


def made_ready(module: str, processes: int) -> Beside:
    """Have so many processes start and import a module, in a thread; what fails there is nothing
    yet."""

    def start() -> None:
        with suppress(*NO_PROCESSES):
            list(_results(_imported, lambda _: (module,), range(processes), processes))

    return Beside(start)


def _quietly() -> None:
    """joblib's tracker removes what a process that was stopped leaves, and need not say so."""
    if TRACKED not in sys.warnoptions:  # which Python's children are started with
        sys.warnoptions.append(TRACKED)


def _imported(module: str) -> None:
    import_module(module)


def _called(function: Callable[..., T], *arguments: object) -> T:
    """In another process."""
    _settled_in(os.getppid())
    return function(*arguments)


@cache
def _settled_in(parent: int) -> None:
    """Ctrl-C is for the parent, and where that is gone, whatever ended it, so is this process. It
    has one BLAS thread; joblib would give it several where there are more cores than processes."""
    one_blas_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def spread(
    function: Callable[..., T],
    arguments_of: Callable[[int], tuple],
    count: int,
    processes: int,
) -> Iterator[T]:
    """function(*arguments_of(i)) for i = 0 … count − 1, in this order, on so many processes.

    Arguments are made here, a few calls ahead. A call whose process died, or that no process can
    be given, is made here, and so are all that follow. What a call raises is raised.
    """
    done = 0
    if processes > 1:
        with (
            suppress(*NO_PROCESSES),
            closing(_results(function, arguments_of, range(count), processes)) as results,
        ):
            for result in results:
                done += 1
                yield result
    for i in range(done, count):
        yield function(*arguments_of(i))


def _results(
    function: Callable[..., T], arguments_of: Callable[[int], tuple], calls: range, processes: int
) -> Generator[T, None, None]:
    _quietly()
    parallel = Parallel(processes, backend="loky", batch_size=1, return_as="generator")
    return parallel(delayed(_called)(function, *arguments_of(i)) for i in calls)
