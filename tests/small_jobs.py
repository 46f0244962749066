"""Jobs for workers in tests: they import next to nothing, so that workers start soon."""

from __future__ import annotations

import errno
import os
import signal
import time

from pipeline.workers.packed import Packed


def double(shared: dict, job: int, tell) -> tuple[int, int]:
    """(2 × the shared number × job, process)."""
    tell(1.0)
    return 2 * shared["number"] * job, os.getpid()


def die(shared: dict, job: int, tell) -> int:
    """The job `shared["fatal"]` kills its worker whenever it is tried; others wait a little."""
    time.sleep(0.3)
    if job == shared["fatal"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


class Unspeakable(Exception):
    """That no process can tell another."""

    def __reduce__(self):
        raise TypeError("no pickle")


def fail(shared: dict, job: int, tell) -> int:
    """In one of four ways."""
    if job == 1:
        return fail(shared, job, tell)
    if job == 2:
        raise Unspeakable("no pickle")
    if job == 3:
        raise OSError(errno.ENOSPC, "No space left on device")
    raise ArithmeticError(f"job {job} cannot be")


def wait(shared: dict, job: int, tell) -> tuple[int, str]:
    """Its number, after half a second; the hash of what it was given."""
    time.sleep(0.5)
    return job, Packed.of(shared["matrix"]).fingerprint


def held(shared: dict, job: int, tell) -> int:
    """Where in memory this process has what is shared."""
    time.sleep(0.2)
    return shared["matrix"].__array_interface__["data"][0]


def die_always(shared: dict, job: int, tell) -> int:
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)
    return job
