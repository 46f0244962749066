"""What baselines are given and give back.

Shapes: N people, n training rows, p columns, o outputs (1, or the number of classes).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class BaselineData:
    """The people of a study as its baselines see them.

    columns       (N, p) the table's, standardized on the training rows, as the networks have them
    outcome       (N,) class positions, or quantities in the table's unit
    task          binary, multiclass or regression
    objective     the metric of the validation rows that chooses, e.g. `auroc`
    train, validation, test   positions of rows
    families      words for the table's columns, such as `clinical`
    weights       (N,) of the rows in the loss, or None
    people        (N,) whose row it is, or None
    relationship  (N, n) genomic, of everyone with the training rows in their order, or None
    """

    columns: np.ndarray
    outcome: np.ndarray
    task: str
    objective: str
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    families: str
    weights: np.ndarray | None = None
    people: np.ndarray | None = None
    relationship: np.ndarray | None = None

    @property
    def quantities(self) -> bool:
        return self.task == "regression"

    @cached_property
    def scale(self) -> tuple[float, float]:
        """(center, unit) in which regressions see a quantity; (0, 1) of classes."""
        if not self.quantities:
            return 0.0, 1.0
        known = self.outcome[self.train]
        return float(known.mean()), float(known.std()) or 1.0

    @cached_property
    def x(self) -> np.ndarray:
        """(N, p) in float64."""
        return np.asarray(self.columns, np.float64)

    @cached_property
    def y(self) -> np.ndarray:
        """(N,) in the unit of `scale`."""
        if not self.quantities:
            return self.outcome
        center, unit = self.scale
        return (self.outcome - center) / unit

    @property
    def training_weights(self) -> np.ndarray | None:
        return None if self.weights is None else self.weights[self.train]

    def raw(self, fitted: np.ndarray) -> np.ndarray:
        """(o, rows) logits, or quantities in the table's unit, of what a model gave for rows."""
        fitted = np.asarray(fitted, np.float64)
        center, unit = self.scale
        return (fitted[None] if fitted.ndim == 1 else fitted.T) * unit + center


@dataclass(frozen=True, eq=False)
class Predictions:
    """validation, test: (o, rows) as `BaselineData.raw` gives them. chosen: in words."""

    validation: np.ndarray
    test: np.ndarray
    chosen: str


class NotFitted(Exception):
    """A baseline does not suit these people; its text says why, for the reader."""
