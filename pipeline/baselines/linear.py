"""Regression on the table's columns: plain, and with an elastic net.

The elastic net's objective is mean loss + λ·(α·Σ|w| + (1 − α)·½Σw²), over λ from where nothing is
left down to a thousandth of it, for several α; scikit-learn solves it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, LinearRegression, LogisticRegression

from pipeline.baselines.choosing import best_of
from pipeline.baselines.data import BaselineData, NotFitted, Predictions

L1_SHARES, STRENGTHS = (1.0, 0.5, 0.1), 12
WIDE = 1_000_000
"""Cells of the training table above which one α is tried, with fewer steps each."""


def plain(data: BaselineData, extra: np.ndarray | None = None) -> Predictions:
    """Maximum likelihood, or least squares; `extra` (N,) is one more column.

    Raises NotFitted where the columns are as many as the training rows.
    """
    x = data.x if extra is None else np.column_stack([data.x, extra])
    rows, columns = len(data.train), x.shape[1]
    if columns >= rows:
        raise NotFitted(f"needs more training rows ({rows:,}) than columns ({columns:,})")
    logistic = LogisticRegression(C=np.inf, max_iter=2000)
    model = LinearRegression() if data.quantities else logistic
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[data.train], data.y[data.train], sample_weight=data.training_weights)
    return Predictions(*outputs(model, data, x), "nothing to choose")


def outputs(model: Any, data: BaselineData, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(o, rows) of the validation and of the test rows."""
    give = model.predict if data.quantities else model.decision_function
    return data.raw(give(x[data.validation])), data.raw(give(x[data.test]))


def elastic_net(data: BaselineData) -> Predictions:
    """The best of a grid of λ and α on the validation rows."""
    return best_of(data, _along_the_paths(data))


def _along_the_paths(data: BaselineData) -> Iterator[Predictions]:
    x, y, weights = data.x[data.train], data.y[data.train], data.training_weights
    wide = x.size > WIDE
    largest = _largest_strength(data, x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for share in (0.5,) if wide else L1_SHARES:
            model = None
            for strength in np.geomspace(1.0, 1e-3, STRENGTHS) * largest / share:
                model = _one(data, model, strength, share, len(y), wide)
                model.fit(x, y, sample_weight=weights)
                zeroed = np.count_nonzero(np.all(np.atleast_2d(model.coef_) == 0.0, axis=0))
                words = f"λ {strength:.3g}, L1 share {share:g}, {zeroed} of {x.shape[1]} columns 0"
                yield Predictions(*outputs(model, data, data.x), words)


def _largest_strength(data: BaselineData, x: np.ndarray, y: np.ndarray) -> float:
    """The smallest λ·α at which every weight is 0: the largest gradient there."""
    weights = data.training_weights
    w = np.ones(len(y)) if weights is None else weights / weights.mean()
    if data.quantities:
        residual = (y - np.average(y, weights=w))[:, None]
    else:
        member = (y[:, None] == np.unique(y)[None, :]).astype(np.float64)
        residual = member - np.average(member, axis=0, weights=w)
    return max(float(np.abs(x.T @ (residual * w[:, None])).max(initial=0.0)) / len(y), 1e-12)


def _one(
    data: BaselineData, before: Any, strength: float, share: float, rows: int, wide: bool
) -> Any:
    """The next model of a path, which starts from the one before."""
    if data.quantities:
        model = before or ElasticNet(l1_ratio=share, warm_start=True, max_iter=2000)
        model.set_params(alpha=strength)
        return model
    model = before or LogisticRegression(
        l1_ratio=share, solver="saga", warm_start=True, random_state=0,
        max_iter=40 if wide else 200, tol=1e-2 if wide else 1e-3,
    )  # fmt: skip
    model.set_params(C=1.0 / (strength * rows))
    return model
