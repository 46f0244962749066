"""Of several settings of a model, the one that does best on the validation rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.baselines.data import BaselineData, NotFitted, Predictions
from pipeline.metrics import MAXIMIZED, score


def best_of(data: BaselineData, candidates: Iterable[Predictions]) -> Predictions:
    """By the objective, as networks are chosen; the first of equals, so that candidates come with
    the simplest first. Raises NotFitted where none has an objective."""
    sign = 1.0 if MAXIMIZED[data.objective] else -1.0
    best, best_score = None, -np.inf
    for candidate in candidates:
        value = sign * validation_score(data, candidate.validation)
        if value > best_score:
            best, best_score = candidate, value
    if best is None:
        raise NotFitted(f"has no {data.objective} on the validation rows")
    return best


def validation_score(data: BaselineData, raw: np.ndarray) -> float:
    """The objective of predictions (o, validation rows)."""
    truth = data.outcome[data.validation]
    return float(score(data.objective, truth, raw[None], data.task)[0])
