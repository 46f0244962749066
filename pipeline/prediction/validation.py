"""A model on people whose outcome is known and who did not train it: external validation.

The same metrics as in the study, with bootstrap intervals over these people, and calibration.

Calibration of a binary outcome y with predicted log-odds z (Steyerberg, Clinical Prediction Models
(2019), chapter 15):

    intercept   a of P(y) = σ(a + z): above 0 where risks are predicted too low
    slope       b of P(y) = σ(a + b·z): below 1 where predictions are too extreme
    Brier       mean (p − y)²

and of a quantity y with prediction f: the mean of y − f, and the slope of y on f.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from pipeline.data import BINARY, REGRESSION
from pipeline.errors import InputError
from pipeline.metrics import OF_TASK, bootstrap, metrics
from pipeline.prediction.outcomes import KnownOutcome
from pipeline.serving import probabilities
from pipeline.tracking import Origin

BINS, FEWEST = 10, 10


@dataclass(frozen=True, eq=False)
class Validation:
    """A model's scores on new people.

    rows        of known outcome; cases, of a binary one.
    people      whose rows they are, where people have several.
    scores      metric, value, low, high, and study_test, what the study's test rows gave.
    calibration name → value.
    bins        predicted, observed, low, high, rows: people by their prediction, in tenths.
    classes     of a multiclass outcome: label, rows, mean predicted probability, share.
    """

    rows: int
    cases: int | None
    scores: pd.DataFrame
    calibration: Mapping[str, float]
    bins: pd.DataFrame
    classes: pd.DataFrame | None = None
    people: int | None = None


def validate(
    origin: Origin,
    outcome: KnownOutcome,
    raw: np.ndarray,
    study_metrics: Mapping[str, float] | None = None,
    people: np.ndarray | None = None,
) -> Validation:
    """raw (o, n): logits, or quantities in the target's unit, of everyone; those of unknown outcome
    are left out. people (n,): whose row it is, where people have several; intervals are over people
    then. Raises InputError where fewer than ten outcomes are known, or of one class alone.
    """
    y, raw = outcome.values[outcome.known], raw[:, outcome.known]
    if len(y) < FEWEST or len(np.unique(y)) < 2:
        raise InputError(
            f"a model is measured on {FEWEST} people or more, of two outcomes or more, but "
            f"{origin.target} is known in {len(y)} rows, with {len(np.unique(y))} different; add "
            "people, or leave the column out"
        )
    whose = None if people is None else people[outcome.known]
    table = _scores(origin.task, y, raw, study_metrics or {}, whose)
    distinct = None if whose is None else len(np.unique(whose))
    return replace(_validation(origin, y, raw, table), people=distinct)


def _validation(origin: Origin, y: np.ndarray, raw: np.ndarray, table: pd.DataFrame) -> Validation:
    predicted = probabilities(raw, origin.task)
    if origin.task == REGRESSION:
        return Validation(len(y), None, table, _of_a_quantity(y, predicted), _bins(y, predicted))
    if origin.task == BINARY:
        calibration = _of_a_probability(y, raw[0], predicted)
        return Validation(len(y), int(y.sum()), table, calibration, _bins(y, predicted))
    right = predicted.argmax(axis=1) == y
    largest_probability = predicted.max(axis=1)
    classes = pd.DataFrame(
        {
            "class": [str(label) for label in origin.classes],
            "rows": np.bincount(y, minlength=len(origin.classes)),
            "mean_predicted": predicted.mean(axis=0),
            "share": np.bincount(y, minlength=len(origin.classes)) / len(y),
        }
    )
    calibration = {
        "mean_largest_probability": float(largest_probability.mean()),
        "share_right": float(right.mean()),
    }
    return Validation(
        len(y), None, table, calibration, _bins(right.astype(int), largest_probability), classes
    )


def _scores(
    task: str,
    y: np.ndarray,
    raw: np.ndarray,
    study: Mapping[str, float],
    people: np.ndarray | None,
) -> pd.DataFrame:
    times = bootstrap.resamples_of(len(y), people)
    rows = []
    for name in OF_TASK[task]:
        value = float(metrics.score(name, y, raw[None], task)[0])
        low, high = bootstrap.interval([bootstrap.resampled(name, y, raw, task, times)])
        rows.append((name, value, low, high, study.get(f"test_{name}", np.nan)))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "study_test"])


def _of_a_probability(y: np.ndarray, logits: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    def excess(shift: float) -> float:
        return float(np.mean(expit(logits + shift) - y))

    # Far enough out that everyone is predicted to be no case, and a case.
    lowest = min(-50.0, -30.0 - float(logits.max()))
    highest = max(50.0, 30.0 - float(logits.min()))
    slope = np.nan
    if np.ptp(logits) > 0:
        fitted = LogisticRegression(C=np.inf, max_iter=1000).fit(logits[:, None], y)
        slope = float(fitted.coef_[0, 0])
    return {
        "calibration_intercept": float(brentq(excess, lowest, highest)),
        "calibration_slope": slope,
        "mean_predicted": float(predicted.mean()),
        "share_of_cases": float(y.mean()),
        "brier_score": float(np.mean((predicted - y) ** 2)),
    }


def _of_a_quantity(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    slope = np.nan
    if np.ptp(predicted) > 0:
        slope = float(np.polyfit(predicted, y, 1)[0])
    return {
        "mean_error": float(np.mean(y - predicted)),
        "calibration_slope": slope,
        "mean_predicted": float(predicted.mean()),
        "mean_observed": float(y.mean()),
    }


def _bins(y: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """Tenths of the people by prediction, fewer where they are few: at least ten each."""
    count = int(np.clip(len(y) // FEWEST, 1, BINS))
    parts = np.array_split(np.argsort(predicted, kind="stable"), count)
    rows = []
    for part in parts:
        mean, half = y[part].mean(), 1.96 * y[part].std(ddof=1) / np.sqrt(len(part))
        rows.append((predicted[part].mean(), mean, mean - half, mean + half, len(part)))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "rows"])
