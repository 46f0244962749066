"""How many cores this process may use."""

from __future__ import annotations

import os

CORES = "LARIAT_CORES"
"""Environment variable: at most so many."""


def cores() -> int:
    """Those of the machine that the system lets this process use, or fewer by LARIAT_CORES."""
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    asked = os.environ.get(CORES, "")
    return min(int(asked), usable) if asked.isdigit() and int(asked) else usable
