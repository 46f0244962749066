"""The rows of training, validation and test: stratified by class, or plain for quantities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

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
    outcome: Outcome,
    validation_fraction: float,
    test_fraction: float,
    split_seed: int,
    people: np.ndarray | None = None,
) -> Split:
    """The split of n rows. Raises InputError where a part, or a class in a part, is too small.

    It depends on the fractions, the seed and, for classes, the order of outcomes alone; for
    quantities on the number of rows in place of the outcomes. people (n,) say whose row it is: all
    rows of a person are then in one part, and the fractions are met as nearly as that allows.
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
    remaining_rows, parts = np.arange(n_rows), []
    for size in sizes:
        try:
            if people is None:
                remaining_rows, part = train_test_split(
                    remaining_rows,
                    test_size=size,
                    stratify=None if quantities else outcome.values[remaining_rows],
                    random_state=split_seed,
                )
            else:
                remaining_rows, part = _by_people(
                    outcome, remaining_rows, people, size / len(remaining_rows), split_seed
                )
        except ValueError:
            raise too_few from None
        parts.append(np.sort(part))
    for part in (remaining_rows, *parts):
        classes = np.zeros(len(part), int) if quantities else outcome.values[part]
        if people is not None:  # each person counts once
            pairs = np.unique(np.stack([people[part], classes]), axis=1)
            classes = pairs[1]
        counts = np.bincount(classes, minlength=len(outcome.classes))
        if counts.min(initial=len(part)) < CASES_PER_PART or not len(part):
            raise too_few
    test, validation = parts
    train = np.sort(remaining_rows)
    if quantities and not varies(outcome.values[train][:, None])[0]:
        raise InputError(
            "a regression target must differ between training rows, but it is the same in all "
            f"{len(train)}; take another target or another seed of the split"
        )
    return Split(train, validation, test)


def _by_people(
    outcome: Outcome, rows: np.ndarray, people: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """(the other rows, about this fraction of the rows), no person in both."""
    groups = people[rows]
    if outcome.task == REGRESSION:
        splitter = GroupShuffleSplit(1, test_size=fraction, random_state=seed)
        others, part = next(splitter.split(rows, groups=groups))
        return rows[others], rows[part]
    folds = round(1 / fraction)
    is_one_fold = abs(folds * fraction - 1) < 0.03
    folds, part_folds = (folds, 1) if is_one_fold else (20, round(20 * fraction))
    splitter = StratifiedGroupKFold(max(folds, 2), shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class of fewer people than folds
        warnings.simplefilter("ignore")
        parts = [part for _, part in splitter.split(rows, outcome.values[rows], groups)]
    part = np.concatenate(parts[: max(part_folds, 1)])
    return np.delete(rows, part), rows[part]


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
