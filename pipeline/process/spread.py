"""Calls spread over processes of this machine, where threads would only wait for each other.

Work of many small NumPy calls holds Python's lock nearly all the time, and hands it on at each of
them: two threads of it took half as long again as one. Here one process a core has a lock of its
own, this one among them; the others are loky's. They need no `__main__` guard, are kept for the
next calls, end with the process that started them, however that ends, or after some minutes without
calls. They have one BLAS thread each, so the digits are those that a call has here under
`one_blas_thread`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import suppress
from importlib import import_module
from pickle import PicklingError
from typing import TypeVar

from loky import get_reusable_executor

from pipeline.process.cores import cores
from pipeline.process.long_calls import one_blas_thread

T = TypeVar("T")

MOST = 16
"""Processes at most, of some 100 MB each."""

AHEAD = 3
"""Calls that each other process has been given, so that it need not wait for the next."""

IDLE_SECONDS, PARENT_SECONDS = 300.0, 1.0
"""A process ends after so long without a call, and looks so often whether its parent is there."""

TRACKED = "ignore:resource_tracker:UserWarning"

NO_PROCESSES = (BrokenExecutor, PicklingError, OSError, ImportError, AssertionError)
"""What ends in one of these elsewhere is done here."""


def processes_here() -> int:
    """How many processes calls can be spread over: 1, this one, where it is itself a worker of
    others, who has its share of the machine already."""
    return 1 if multiprocessing.parent_process() is not None else min(cores(), MOST)


def make_ready(module: str, processes: int) -> None:
    """Have the others of so many processes start and import a module meanwhile; what fails there is
    nothing yet. Not in a thread: what trains next would go on half as fast for half a second."""
    with suppress(*NO_PROCESSES):
        others = _others(processes)
        for _ in range(processes - 1):
            others.submit(_imported, module)


def spread(
    function: Callable[..., T],
    arguments_of: Callable[[int], tuple],
    count: int,
    processes: int,
) -> list[T]:
    """function(*arguments_of(i)) for i = 0 … count − 1, on so many processes, this one among them.

    Arguments are made here, a few calls ahead. A call whose process died, or that no process can
    be given, is made here, and so are all that follow. What a call raises is raised.
    """
    calls, results = deque(range(count)), dict[int, T]()
    given: dict[Future[T], int] = {}
    try:
        others = _others(processes) if processes > 1 else None
        while others is not None and (calls or given):
            while calls and len(given) < AHEAD * (processes - 1):
                i = calls.popleft()
                given[others.submit(function, *arguments_of(i))] = i
            if calls:
                i = calls.pop()
                results[i] = function(*arguments_of(i))
            else:
                wait(given, return_when=FIRST_COMPLETED)
            for future in [each for each in given if each.done()]:
                results[given[future]] = future.result()
                del given[future]
    except NO_PROCESSES:
        pass
    finally:
        for future in given:
            future.cancel()
    for i in range(count):
        if i not in results:
            results[i] = function(*arguments_of(i))
    return [results[i] for i in range(count)]


def _others(processes: int) -> Executor:
    if TRACKED not in sys.warnoptions:
        # loky's tracker removes what a process that was stopped leaves, and need not say so.
        sys.warnoptions.append(TRACKED)
    settled = {"initializer": _settle_in, "initargs": (os.getpid(),)}
    return get_reusable_executor(processes - 1, timeout=IDLE_SECONDS, **settled)


def _imported(module: str) -> None:
    import_module(module)


def _settle_in(parent: int) -> None:
    """Ctrl-C is for the parent, and where that is gone, whatever ended it, so is this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_blas_thread()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
