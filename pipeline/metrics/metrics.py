"""Predictions → named numbers, by scikit-learn's definitions, for many networks at once.

Binary metrics are written out for all networks together, since a call of scikit-learn for each
takes longer than training it; the tests hold them to scikit-learn's values, ties included.

Shapes: K networks, n rows, o outputs (1, or the number of classes).
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk

from pipeline.serving import probabilities

MAXIMIZED = {
    "auroc": True,
    "average_precision": True,
    "accuracy": True,
    "log_loss": False,
    "balanced_accuracy": True,
    "r2": True,
    "mean_squared_error": False,
    "mean_absolute_error": False,
}
"""Metric → whether larger is better."""

OF_TASK = {
    "binary": ("auroc", "average_precision", "log_loss", "accuracy"),
    "multiclass": ("auroc", "log_loss", "balanced_accuracy", "accuracy"),
    "regression": ("r2", "mean_squared_error", "mean_absolute_error"),
}
"""Task → what is reported of every network on every part of the data."""


def measure(outcome: np.ndarray, predictions: np.ndarray, task: str) -> dict[str, np.ndarray]:
    """All metrics of OF_TASK, each (K,): outcome (n,) class positions or quantities, predictions
    (K, o, n). A metric that is undefined, as with one class only, is nan.
    """
    return {name: score(name, outcome, predictions, task) for name in OF_TASK[task]}


def score(metric: str, outcome: np.ndarray, predictions: np.ndarray, task: str) -> np.ndarray:
    """One metric of every network, (K,).

    A class is predicted where its probability is the largest (0.5 and above for the second of
    two). Multiclass AUROC is one against the rest, macro-averaged. log_loss is in nats.
    """
    if task == "binary":
        return _BINARY[metric](outcome, predictions[:, 0, :])
    predicted = probabilities(predictions, task)
    if task == "regression":
        return np.array([_REGRESSION[metric](outcome, each) for each in predicted])
    return np.array([_multiclass(metric, outcome, each) for each in predicted])


def auroc(outcome: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, (K,): outcome (n,) 0/1, scores (K, n).

    The share of (case, control) pairs that the score orders rightly, ties counting half
    (Hanley and McNeil 1982).
    """
    cases = np.sort(scores[:, outcome == 1], axis=1)  # in rising order they are found twice as fast
    controls = np.sort(scores[:, outcome == 0], axis=1)
    pairs = cases.shape[1] * controls.shape[1]
    if pairs == 0:
        return np.full(len(scores), np.nan)
    twice_ordered = [
        np.searchsorted(below, case, "left").sum() + np.searchsorted(below, case, "right").sum()
        for case, below in zip(cases, controls, strict=True)
    ]
    return 0.5 * np.array(twice_ordered) / pairs


def average_precision(outcome: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Σ (R_i − R_{i−1})·P_i over the distinct thresholds, (K,): the mean, over the cases, of the
    precision among all rows that score at least as high."""
    cases = np.sum(outcome == 1)
    if cases == 0:
        return np.full(len(scores), np.nan)
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    cases_so_far = np.cumsum(outcome[order] == 1, axis=1)
    last = np.ones(scores.shape, bool)  # of a run of equal scores
    last[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    position = np.where(last, np.arange(scores.shape[1]), scores.shape[1])
    position = np.minimum.accumulate(position[:, ::-1], axis=1)[:, ::-1]
    precision = np.take_along_axis(cases_so_far, position, axis=1) / (position + 1.0)
    return np.sum(precision * (outcome[order] == 1), axis=1) / cases


def _accuracy(outcome: np.ndarray, logits: np.ndarray) -> np.ndarray:
    return np.mean((logits >= 0) == (outcome == 1), axis=1)


def _log_loss(outcome: np.ndarray, logits: np.ndarray) -> np.ndarray:
    z = logits.astype(np.float64)
    return np.mean(np.logaddexp(0.0, z) - z * (outcome == 1), axis=1)


_BINARY = {
    "auroc": auroc,
    "average_precision": average_precision,
    "accuracy": _accuracy,
    "log_loss": _log_loss,
}

_REGRESSION = {
    "r2": lambda outcome, predicted: (
        sk.r2_score(outcome, predicted) if len(outcome) > 1 else np.nan
    ),
    "mean_squared_error": sk.mean_squared_error,
    "mean_absolute_error": sk.mean_absolute_error,
}


def _multiclass(metric: str, outcome: np.ndarray, probability: np.ndarray) -> float:
    labels = np.arange(probability.shape[1])
    if metric == "auroc":
        if len(np.unique(outcome)) < len(labels):
            return float("nan")
        return sk.roc_auc_score(outcome, probability, multi_class="ovr", labels=labels)
    if metric == "log_loss":
        return sk.log_loss(outcome, probability, labels=labels)
    predicted_class = probability.argmax(axis=1)
    return {"accuracy": sk.accuracy_score, "balanced_accuracy": sk.balanced_accuracy_score}[metric](
        outcome, predicted_class
    )
