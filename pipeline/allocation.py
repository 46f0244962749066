"""Memory that training frees stays with the process, for the next step to use.

Every step of a population allocates and frees the same tensors of some MiB. glibc gives such blocks
back to the kernel at once, and every new one costs a page fault each 4 KiB: measured here, that was
a third of a step's time.
"""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
"""Parameters of mallopt(3), from glibc's malloc.h."""


@cache
def keep_freed_memory() -> None:
    """Tell glibc's malloc, once a process; does nothing where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_MMAP_THRESHOLD, 2**30)
    mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_TOP_PAD, 64 * 2**20)
    mallopt(_ARENA_MAX, 1)
