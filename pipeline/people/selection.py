"""How often each variable is kept over resamples, along λ, and which are stable.

Shapes: N networks, R resamples, S seeds, L configurations along λ, g variables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.people.false_selections import FalseSelections, false_selections

THRESHOLD = 0.75
"""τ of a stable variable: the middle of the 0.6 to 0.9 that Meinshausen and Bühlmann advise."""

MOST_FALSE = 1.0
"""Variables that may be stable by chance, on expectation, where nobody asks for another number."""

ASSUMPTION = "unimodal"
"""The bound that is held to where there are complementary pairs. The r-concave one is tighter, but
highly correlated variables exceed it (docs/who-was-in-the-table.md)."""


@dataclass(frozen=True, eq=False)
class SelectionPath:
    """What networks of the same configurations and seeds keep, from resample to resample.

    kept            (R, S, L, g) booleans; a network that failed keeps nothing.
    finished        (R, S, L) booleans.
    configurations  (L,) their numbers, the strongest penalty first.
    resamples       (R,) their numbers: where `pairs`, 2j and 2j + 1 stand side by side.
    pairs           complementary pairs B; 0 where resamples are not paired.
    dropped         resamples left out, since they or their other half have no network of a seed.
    """

    kept: np.ndarray
    finished: np.ndarray
    configurations: tuple[int, ...]
    resamples: tuple[int, ...]
    pairs: int
    dropped: int

    @property
    def probability(self) -> np.ndarray:
        """(L, g) Π̂: the share of finished networks of each configuration that keep a variable."""
        networks = self.finished.sum(axis=(0, 1))[:, None]
        return self.kept.sum(axis=(0, 1)) / np.where(networks, networks, np.nan)

    @property
    def kept_on_average(self) -> np.ndarray:
        """(L,) q(λ): the mean number of variables that a network of each configuration keeps."""
        return self.probability.sum(axis=1)

    def anywhere(self, first: int) -> np.ndarray:
        """(R, S, g) booleans: kept by any of the first configurations of the path."""
        return np.asarray(self.kept[:, :, :first].any(axis=2))


def selection_path(
    selected: np.ndarray,
    configuration: Sequence[int],
    seed: Sequence[int],
    resample: Sequence[int],
    order: Sequence[int] | None = None,
    paired: bool = False,
) -> SelectionPath:
    """Networks, one a row and in any order, as a `SelectionPath`.

    selected       (N, g) booleans: what each finished network keeps.
    configuration, seed, resample
                   (N,) whole numbers; of one combination the last row counts.
    order          configurations along λ, the strongest penalty first; by default those that keep
                   fewest variables on average.
    paired         resamples 2j and 2j + 1 are disjoint halves of the people.
    """
    selected = np.asarray(selected, bool)
    numbers = np.asarray(configuration, int)
    if order is None:
        mean = {c: selected[numbers == c].sum(axis=1).mean() for c in np.unique(numbers).tolist()}
        order = sorted(mean, key=lambda c: (mean[c], c))
    seeds, drawn = np.unique(np.asarray(seed, int)), np.unique(np.asarray(resample, int))
    place = {int(number): i for i, number in enumerate(order)}
    known = np.isin(numbers, list(place))
    at = (
        np.searchsorted(drawn, np.asarray(resample, int)[known]),
        np.searchsorted(seeds, np.asarray(seed, int)[known]),
        np.array([place[c] for c in numbers[known].tolist()], int),
    )
    shape = (len(drawn), len(seeds), len(place))
    kept, finished = np.zeros((*shape, selected.shape[1]), bool), np.zeros(shape, bool)
    kept[at], finished[at] = selected[known], True
    whole = np.all(np.any(finished, axis=2), axis=1)
    if paired:
        whole_numbers = set(drawn[whole].tolist())
        both = [r in whole_numbers and r ^ 1 in whole_numbers for r in drawn.tolist()]
        whole = np.array(both, bool)
    return SelectionPath(
        kept[whole],
        finished[whole],
        tuple(place),
        tuple(int(r) for r in drawn[whole]),
        int(whole.sum()) // 2 if paired else 0,
        int(len(drawn) - whole.sum()),
    )


@dataclass(frozen=True, eq=False)
class StableSet:
    """Variables that are kept whoever was in the table, with what is expected to be false of them.

    configurations  the part of the path that was looked at: from the strongest penalty on, as far
                    as the bound allows. None where even the strongest keeps too many variables.
    probability     (g,) share of resamples and seeds that keep a variable anywhere on that part.
    stable          (g,) booleans: probability ≥ threshold.
    kept            q: mean number of variables that a resample keeps anywhere on that part.
    false           the bounds on the expected number of false ones among the stable.
    assumption      which of the bounds was held below `most_false`.
    """

    threshold: float
    most_false: float
    assumption: str
    configurations: tuple[int, ...]
    probability: np.ndarray
    stable: np.ndarray
    kept: float
    false: FalseSelections
    pairs: int
    resamples: int

    @property
    def expected_false(self) -> float:
        """The bound that was held to."""
        return self.false.under(self.assumption)


def stable_set(
    path: SelectionPath,
    threshold: float = THRESHOLD,
    most_false: float = MOST_FALSE,
    assumption: str = ASSUMPTION,
) -> StableSet:
    """The stable variables of the longest part of the path, from the strongest penalty on, of which
    the bound on expected false ones is at most `most_false`.

    The base procedure is: train on a resample, from a seed, along that part, and take what any of
    those networks keeps. With several seeds Π̂ is the mean over them: 2·Π̂ − 1 is at most the share
    of pairs that keep a variable in both halves, from different seeds too, so that the bounds hold
    as for a single one. B stays the number of pairs, to which seeds do not add.
    """
    variables = path.kept.shape[3]
    known = ("any_distribution", "unimodal", "r_concave")
    if assumption not in known:
        raise ValueError(f"assumption must be one of {known}, but got {assumption!r}")

    def look(first: int) -> tuple[np.ndarray, float, FalseSelections]:
        probability = path.anywhere(first).mean(axis=(0, 1))
        kept = float(probability.sum())
        return probability, kept, false_selections(kept, variables, threshold, path.pairs)

    low, high = 0, len(path.configurations) if len(path.resamples) else 0
    while low < high:  # q grows along the path, and every bound with q
        middle = (low + high + 1) // 2
        within = look(middle)[2].under(assumption) <= most_false
        low, high = (middle, high) if within else (low, middle - 1)
    if low:
        probability, kept, false = look(low)
    else:
        probability, kept, false = np.zeros(variables), 0.0, FalseSelections(0.0, 0.0, 0.0)
    return StableSet(
        threshold, most_false, assumption, path.configurations[:low], probability,
        probability >= threshold - 1e-9, kept, false, path.pairs, len(path.resamples),
    )  # fmt: skip
