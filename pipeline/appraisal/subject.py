"""Whom and what is measured: the test rows, and predictions for them.

Shapes: n test rows, o outputs (1, or the number of classes), B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.metrics import OF_TASK, bootstrap, calibration, metrics
from pipeline.serving import probabilities

BINARY, REGRESSION = "binary", "regression"


@dataclass(frozen=True, eq=False)
class TestRows:
    """The rows that no choice has seen.

    outcome  (n,) class positions (a case is 1 of two), or quantities in the table's unit
    classes  labels as written; () of quantities
    people   (n,) whose row it is, or None
    """

    __test__ = False  # not pytest's

    outcome: np.ndarray
    task: str
    classes: tuple[str, ...] = ()
    people: np.ndarray | None = None

    @cached_property
    def times(self) -> np.ndarray:
        """(n, B) the resamples of these rows that every network of a study is scored on; (n, 0)
        of too few rows for an interval."""
        return bootstrap.resamples_for(self.outcome, self.task, self.people)

    @cached_property
    def once(self) -> np.ndarray:
        return calibration.once(len(self.outcome))


@dataclass(frozen=True, eq=False)
class Predicted:
    """A model's raw predictions (o, n): logits, or quantities in the table's unit.

    solution: what a network keeps, in words.
    """

    name: str
    raw: np.ndarray
    solution: str = ""

    def risk(self, task: str) -> np.ndarray:
        """(n,) probability of the second class or the quantity; (n, o) of several classes."""
        return probabilities(self.raw, task)


@dataclass(frozen=True, eq=False)
class Measure:
    """A number on the test rows, and on each of their resamples (B,)."""

    value: float
    resampled: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        return bootstrap.interval([self.resampled])


def measured(rows: TestRows, predicted: Predicted) -> Mapping[str, Measure]:
    """Every score of the task, calibration and, of classes, the Brier score."""
    found = {
        name: Measure(
            float(metrics.score(name, rows.outcome, predicted.raw[None], rows.task)[0]),
            bootstrap.resampled(name, rows.outcome, predicted.raw, rows.task, rows.times),
        )
        for name in OF_TASK[rows.task]
    }
    once, many = (_calibrated(rows, predicted, t) for t in (rows.once, rows.times))
    return found | {name: Measure(float(once[name][0]), many[name]) for name in once}


def _calibrated(
    rows: TestRows, predicted: Predicted, times: np.ndarray
) -> Mapping[str, np.ndarray]:
    if rows.task == BINARY:
        return calibration.of_risks(rows.outcome, predicted.raw[0], times)
    if rows.task == REGRESSION:
        return calibration.of_quantities(rows.outcome, predicted.raw[0], times)
    member = rows.outcome[:, None] == np.arange(predicted.raw.shape[0])[None, :]
    error = np.square(predicted.risk(rows.task) - member).sum(axis=1)
    return {"brier_score": error @ times.astype(np.float64) / times.sum(axis=0)}
