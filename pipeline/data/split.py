"""The rows of training, validation and test: stratified by class, or plain for quantities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from pipeline.data.features import varies
from pipeline.data.outcome import REGRESSION, Outcome
from pipeline.errors import InputError

CASES_PER_PART = 2  # fewer, and an AUROC hangs on one person, or an R² on nobody


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of rows: sorted, disjoint, and together all n."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_rows(
    outcome: Outcome, validation_fraction: float, test_fraction: float, split_seed: int
) -> Split:
    """The split of n rows. Raises InputError where a part, or a class in a part, is too small.

    It depends on the fractions, the seed and, for classes, the order of outcomes alone; for
    quantities on the number of rows in place of the outcomes.
    """
    if not (validation_fraction > 0 < test_fraction and validation_fraction + test_fraction < 1):
        raise InputError(
            "validation and test fractions must be above 0 and sum to less than 1, but got "
            f"{validation_fraction} and {test_fraction}; choose smaller ones, such as 0.2 and 0.2"
        )
    if not 0 <= split_seed < 2**32:
        raise InputError(
            f"the split's seed must be at least 0 and below 2^32, but got {split_seed}; "
            "choose another"
        )
    n_rows = len(outcome.values)
    sizes = [round(n_rows * f) for f in (test_fraction, validation_fraction)]
    too_few = _too_few(outcome, n_rows - sum(sizes), *reversed(sizes))
    quantities = outcome.task == REGRESSION
    rest, parts = np.arange(n_rows), []
    for size in sizes:
        try:
            rest, part = train_test_split(
                rest,
                test_size=size,
                stratify=None if quantities else outcome.values[rest],
                random_state=split_seed,
            )
        except ValueError:
            raise too_few from None
        parts.append(np.sort(part))
    for part in (rest, *parts):
        counts = np.bincount(
            np.zeros(len(part), int) if quantities else outcome.values[part],
            minlength=len(outcome.classes),
        )
        if counts.min() < CASES_PER_PART:
            raise too_few
    test, validation = parts
    train = np.sort(rest)
    if quantities and not varies(outcome.values[train][:, None])[0]:
        raise InputError(
            "a regression target must differ between training rows, but it is the same in all "
            f"{len(train)}; take another target or another seed of the split"
        )
    return Split(train, validation, test)


def _too_few(outcome: Outcome, train: int, validation: int, test: int) -> InputError:
    n_rows, parts = len(outcome.values), f"parts of {train}, {validation} and {test} rows"
    if outcome.task == REGRESSION:
        return InputError(
            f"training, validation and test must each have at least {CASES_PER_PART} rows, but "
            f"{n_rows} rows make {parts}; add rows, or make the smallest part larger"
        )
    counts = np.bincount(outcome.values)
    smallest = "the smaller class"
    hint = ""
    if len(counts) > 2:
        smallest = f"the smallest class, {outcome.classes[counts.argmin()]},"
        hint = ", join classes, or say `task: regression` in the study if they are quantities"
    return InputError(
        f"training, validation and test rows must each have at least {CASES_PER_PART} rows of each "
        f"class, but {smallest} has {counts.min()} of {n_rows} rows, too few for {parts}; "
        f"add rows of that class, or make the smallest part larger{hint}"
    )
