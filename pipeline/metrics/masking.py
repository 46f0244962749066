"""Which counts of people are shown: none below five, and none from which such a one follows.

A masked count can follow from a total that is shown, or from several together. Counts are masked in
pairs or more until none of them is determined by the totals: until for every masked count the
equations "these counts add up to that number" have a solution with another value there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FEWEST = 5
"""A count of fewer people is not shown."""

MASK = "✱"
"""In the place of a count that is not shown: a small one, or one that keeps a small one hidden."""


def people_in(which: np.ndarray, people: np.ndarray | None, parts: int) -> np.ndarray:
    """(parts,) how many people have rows in each part; which (n,) is each row's, and people (n,)
    whose row it is, None for one row each."""
    if people is not None:
        which = np.unique(np.stack([which, people]), axis=1)[0]
    return np.bincount(which, minlength=parts)


def masked_counts(
    counts: Sequence[float] | np.ndarray,
    sums: Sequence[Sequence[int]] = (),
    people: np.ndarray | None = None,
) -> np.ndarray:
    """(c,) booleans: which counts are not shown.

    people (c,): how many people the counted rows are of, where people have several.

    sums: each the positions of counts of which the total is known to the reader. A total that is
    itself among the counts belongs to the equation too, with the counts that add up to it: its
    position is given as −1 − position, so that it stands on the other side.
    """
    counts = np.asarray(counts, np.float64)
    hidden = (counts if people is None else np.minimum(counts, people)) < FEWEST
    equations = np.zeros((len(sums), len(counts)))
    for i, members in enumerate(sums):
        for member in members:
            equations[i, member if member >= 0 else -1 - member] = 1.0 if member >= 0 else -1.0
    while len(sums) and hidden.any():
        told = _determined(equations, hidden)
        if not told.any():
            break
        # Beside the first that could be told, the smallest count of one of its equations.
        which = int(np.flatnonzero(told)[0])
        beside = np.any(equations[equations[:, which] != 0] != 0, axis=0) & ~hidden
        if not beside.any():
            beside = ~hidden & np.any(equations != 0, axis=0)
        if not beside.any():
            break
        candidates = np.flatnonzero(beside)
        hidden[candidates[np.argmin(counts[candidates])]] = True
    return hidden


def _determined(equations: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(c,) which hidden counts the equations leave one value: those that are 0 in every direction
    in which the hidden ones may move together."""
    unknown = np.flatnonzero(hidden)
    matrix = equations[:, unknown]
    _, sizes, directions = np.linalg.svd(matrix, full_matrices=True)
    rank = int(np.sum(sizes > 1e-9 * max(sizes.max(initial=0.0), 1.0)))
    free = directions[rank:]  # (dimensions, unknown)
    told = np.zeros(len(hidden), bool)
    told[unknown] = ~np.any(np.abs(free) > 1e-9, axis=0)
    return told


def shown(count: float, hidden: bool) -> str:
    """A count in words: with its thousands apart, or the mask."""
    return MASK if hidden else f"{int(count):,}"
