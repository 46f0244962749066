"""How strong a penalty a study should try, and how long its networks train, from its cohort."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.command_line import import_tensorflow
from pipeline.data import REGRESSION, Cohort
from pipeline.estimators import largest_lambdas

ABOVE, DECADES = 1.05, 2
"""A range of λ ends a little above λ_max and begins so many powers of ten lower."""

WEIGHT_SHRINKAGE = (0.001, 10.0)
"""The range of λ2, which zeroes nothing and so has no λ_max."""

_STEPS, _STEPS_AN_EPOCH, _MOST_STEPS_AN_EPOCH = 1200, 20, 400


@dataclass(frozen=True)
class Schedule:
    """Epochs and rows of a step."""

    epochs: int
    batch_size: int


def schedule_of(training_rows: int) -> Schedule:
    """Rows of a step from 16 to 128 (more above 50,000 training rows), for 20 steps an epoch where
    rows allow, and epochs, 60 to 200, for at least 1,200 steps where so many allow."""
    size = 2 ** round(math.log2(max(training_rows / _STEPS_AN_EPOCH, 1)))
    size = min(max(size, 16), 128)
    while training_rows / size > _MOST_STEPS_AN_EPOCH:
        size *= 2
    steps = math.ceil(training_rows / size)
    return Schedule(min(max(60, 10 * math.ceil(_STEPS / steps / 10)), 200), size)


def lambda_ranges(cohort: Cohort, schedule: Schedule) -> dict[str, tuple[float, float, float]]:
    """Key → (low, high, λ_max) of λ1 and λg, by three networks without a penalty."""
    import_tensorflow()
    train, validation = cohort.split.train, cohort.split.validation
    target = cohort.outcome
    if cohort.task == REGRESSION:
        center, unit = cohort.scale
        target = (target - center) / unit
    lambda_max = largest_lambdas(
        cohort.features[train],
        target[train],
        task=cohort.task,
        validation_data=(cohort.features[validation], target[validation]),
        groups=list(cohort.inputs.variables),
        epochs=schedule.epochs,
        batch_size=schedule.batch_size,
    )
    return {key: (*range_below(value), value) for key, value in lambda_max.items()}


def range_below(largest: float) -> tuple[float, float]:
    """(low, high) around λ_max, high of two digits and above it."""
    scale = 10.0 ** (math.floor(math.log10(largest * ABOVE)) - 1)
    high = float(f"{math.ceil(largest * ABOVE / scale) * scale:.2g}")
    return float(f"{high / 10**DECADES:.2g}"), high


def needed(regularizers: tuple[str, ...], lambdas_of: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The λ keys that these regularizers need."""
    return {key for name in regularizers for key in lambdas_of[name]}
