"""What runs in a Dask worker.

A worker does one job at a time, on as many cores as it has Dask threads: a worker with more of them
does no two jobs side by side, each of which would use all its cores.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.process import CORES
from pipeline.provenance import processor, program, versions
from pipeline.workers.packed import Packed
from pipeline.workers.same_program import OTHER_CODE, differences, refuse

if TYPE_CHECKING:
    from distributed import Worker

FIRST = "LARIAT_FIRST"
"""Environment variable of workers of this machine: `module:function`, called as they start."""

BEGAN, SHARE = "began", "share"
TELL_SECONDS = 0.5
"""How often a job tells how far it is."""

_one_at_a_time = threading.Lock()
_unpacked: dict[str, Any] = {}
"""Fingerprint → what was unpacked last."""


@dataclass(frozen=True)
class Order:
    """A job on its way: `work` is the pickled (function, job), read where `program` is the same."""

    key: str
    topic: str
    program: str
    versions: dict[str, str]
    work: bytes


@dataclass(frozen=True)
class Broken:
    """error: of a job, pickled, with its traceback as a note."""

    error: bytes

    @classmethod
    def of(cls, error: Exception) -> Broken:
        """One that cannot be pickled is told in words."""
        error.add_note("".join(traceback.format_exception(error)))
        try:
            pickled = pickle.dumps(error.with_traceback(None))
            pickle.loads(pickled)
        except Exception:
            told = RuntimeError(f"{type(error).__name__}: {error}")
            told.add_note("".join(error.__notes__))
            pickled = pickle.dumps(told)
        return cls(pickled)


def carry_out(order: Order, packed: Packed) -> tuple[Any, str] | Broken:
    """(result, processor of this machine) of a job, or its error.

    An error is a result: one that is raised here, and its traceback, need not reach the process
    that asks, which would wait for ever. It is an InputError where this worker has another program.
    """
    try:
        return _carried_out(order, packed)
    except Exception as error:
        return Broken.of(error)


def _carried_out(order: Order, packed: Packed) -> tuple[Any, str]:
    from distributed import get_worker

    worker = get_worker()
    with _one_at_a_time:
        worker.log_event(order.topic, {"key": order.key, BEGAN: worker.address})
        if order.program != program():  # it joined after all others were asked
            other = differences(versions(), order.versions) or OTHER_CODE
            refuse(f"the worker {worker.address}", other)
        prepare(worker.state.nthreads)
        do, job = pickle.loads(order.work)
        if packed.fingerprint not in _unpacked:
            _unpacked.clear()  # memory for the new before the old is needed again
            _unpacked[packed.fingerprint] = packed.unpacked()
        result = do(_unpacked[packed.fingerprint], job, _teller(worker, order))
    return result, processor()


def prepare(cores: int) -> None:
    """Each core trains networks of its own, as in a process that `guarded` runs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ[CORES] = str(cores)


def _teller(worker: Worker, order: Order) -> Callable[[float], None]:
    told = time.monotonic()

    def tell(done: float) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_SECONDS:
            told = now
            worker.log_event(order.topic, {"key": order.key, SHARE: float(done)})

    return tell


def dask_setup(worker: Worker) -> None:
    """Of a worker process of this machine, when it starts: quiet, and deaf to the Ctrl-C of a
    terminal, which its parent hears, and ends it. What FIRST names is done before the first job,
    while the worker joins its scheduler."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    prepare(worker.state.nthreads)
    if first := os.environ.get(FIRST):
        _one_at_a_time.acquire()
        threading.Thread(target=_do_first, args=(first,), daemon=True).start()


def _do_first(first: str) -> None:
    """What goes wrong here goes wrong in the first job again, which tells it."""
    try:
        module, _, name = first.partition(":")
        getattr(importlib.import_module(module), name)()
    except Exception:
        logging.getLogger(__name__).debug("the first job does it again", exc_info=True)
    finally:
        _one_at_a_time.release()
