"""Predictions → (name, value), by scikit-learn's definitions, for many networks at once.

Shapes: K networks, n rows, o outputs (1, or the number of classes).
"""

from __future__ import annotations

import numpy as np
from sklearn import metrics as sk

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
    "binary": ("auroc", "average_precision", "accuracy", "log_loss"),
    "multiclass": ("auroc", "accuracy", "balanced_accuracy", "log_loss"),
    "regression": ("r2", "mean_squared_error", "mean_absolute_error"),
}
"""Task → what is reported of every network on every part of the data."""


def probabilities(predictions: np.ndarray, task: str) -> np.ndarray:
    """Predictions (o, n) → what a person reads: (n,) or (n, o).

    The probability of the second class (binary), of every class (multiclass), or the quantity.
    """
    predictions = np.asarray(predictions, np.float64)
    if task == "binary":
        return 0.5 * (1.0 + np.tanh(0.5 * predictions[0]))
    if task == "multiclass":
        shifted = np.exp(predictions - predictions.max(axis=0))
        return (shifted / shifted.sum(axis=0)).T
    return predictions[0]


def measure(outcome: np.ndarray, predictions: np.ndarray, task: str) -> dict[str, float]:
    """All metrics of OF_TASK for one network.

    outcome (n,) class positions or quantities; predictions (o, n). A class is predicted where its
    probability is the largest (0.5 and above for the second of two). Multiclass AUROC is one
    against the rest, macro-averaged. An undefined metric (one class only) is nan.
    """
    seen = probabilities(predictions, task)
    if task == "regression":
        return {
            "r2": float(sk.r2_score(outcome, seen)) if len(outcome) > 1 else float("nan"),
            "mean_squared_error": float(sk.mean_squared_error(outcome, seen)),
            "mean_absolute_error": float(sk.mean_absolute_error(outcome, seen)),
        }
    labels = np.arange(2 if task == "binary" else seen.shape[1])
    complete = len(np.unique(outcome)) == len(labels)
    auroc = float("nan")
    if task == "binary":
        guess = (seen >= 0.5).astype(int)
        if complete:
            auroc = float(sk.roc_auc_score(outcome, seen))
        return {
            "auroc": auroc,
            "average_precision": float(sk.average_precision_score(outcome, seen))
            if np.any(outcome == 1)
            else float("nan"),
            "accuracy": float(sk.accuracy_score(outcome, guess)),
            "log_loss": float(sk.log_loss(outcome, seen, labels=labels)),
        }
    guess = seen.argmax(axis=1)
    if complete:
        auroc = float(sk.roc_auc_score(outcome, seen, multi_class="ovr", labels=labels))
    return {
        "auroc": auroc,
        "accuracy": float(sk.accuracy_score(outcome, guess)),
        "balanced_accuracy": float(sk.balanced_accuracy_score(outcome, guess)),
        "log_loss": float(sk.log_loss(outcome, seen, labels=labels)),
    }


def auroc(outcome: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of every network, (K,): outcome (n,) 0/1, scores (K, n).

    The share of (case, control) pairs that the score orders rightly, ties counting half
    (Hanley and McNeil 1982): the same number as scikit-learn's, without a call for each network.
    """
    cases = scores[:, outcome == 1]
    controls = np.sort(scores[:, outcome == 0], axis=1)
    pairs = cases.shape[1] * controls.shape[1]
    if pairs == 0:
        return np.full(len(scores), np.nan)
    right = [
        np.searchsorted(below, case, "left").sum() + np.searchsorted(below, case, "right").sum()
        for case, below in zip(cases, controls, strict=True)
    ]
    return 0.5 * np.array(right) / pairs


def score(metric: str, outcome: np.ndarray, predictions: np.ndarray, task: str) -> np.ndarray:
    """One metric of every network, (K,): predictions (K, o, n); the fast path of `measure`."""
    if task == "binary" and metric == "auroc":
        return auroc(outcome, predictions[:, 0, :])
    if task == "binary" and metric == "accuracy":
        return ((predictions[:, 0, :] >= 0) == (outcome == 1)).mean(axis=1)
    if task == "regression" and metric == "mean_squared_error":
        return np.square(predictions[:, 0, :] - outcome).mean(axis=1)
    return np.array([measure(outcome, each, task)[metric] for each in predictions])
