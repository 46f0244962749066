"""Python's search for cycles of objects nobody uses, as seldom as a study needs it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = 20_000
"""New objects after which the young are looked through; 700 or 2,000 unless it is said."""


@contextmanager
def seldom_searched() -> Iterator[None]:
    """Within the block the search leaves out what is there already, and comes less often.

    The libraries of a study are a million objects that stay to the end. Every rows' object that a
    database gives back counts towards walking through all of them again, which took a sixth of
    what a study does besides training. Memory is given back as before where no cycle holds it.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(max(before[0], SELDOM) if before[0] else 0, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
