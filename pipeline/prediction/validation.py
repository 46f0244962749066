"""A model on people whose outcome is known and who did not train it: external validation.

The same metrics as in the study, with bootstrap intervals over these people, and calibration as
`pipeline.metrics.calibration` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.data import BINARY, REGRESSION
from pipeline.errors import InputError
from pipeline.metrics import OF_TASK, bootstrap, calibration, metrics
from pipeline.prediction.outcomes import KnownOutcome
from pipeline.serving import probabilities
from pipeline.tracking import Origin

FEWEST = 10


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
    times = bootstrap.resamples_for(y, origin.task, whose)
    table = _scores(origin.task, y, raw, study_metrics or {}, times)
    distinct = None if whose is None else len(np.unique(whose))
    return replace(_validation(origin, y, raw, table, times), people=distinct)


def _validation(
    origin: Origin, y: np.ndarray, raw: np.ndarray, table: pd.DataFrame, times: np.ndarray
) -> Validation:
    predicted = probabilities(raw, origin.task)
    if origin.task == REGRESSION:
        tenths = calibration.bins(y, predicted, times, binary=False)
        return Validation(len(y), None, table, _of_a_quantity(y, predicted), tenths)
    if origin.task == BINARY:
        tenths = calibration.bins(y, predicted, times, binary=True)
        found = _of_a_probability(y, raw[0], predicted)
        return Validation(len(y), int(y.sum()), table, found, tenths)
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
    means = {
        "mean_largest_probability": float(largest_probability.mean()),
        "share_right": float(right.mean()),
    }
    tenths = calibration.bins(right.astype(int), largest_probability, times, binary=True)
    return Validation(len(y), None, table, means, tenths, classes)


def _scores(
    task: str,
    y: np.ndarray,
    raw: np.ndarray,
    study: Mapping[str, float],
    times: np.ndarray,
) -> pd.DataFrame:
    rows = []
    for name in OF_TASK[task]:
        value = float(metrics.score(name, y, raw[None], task)[0])
        low, high = bootstrap.interval([bootstrap.resampled(name, y, raw, task, times)])
        rows.append((name, value, low, high, study.get(f"test_{name}", np.nan)))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "study_test"])


def _of_a_probability(y: np.ndarray, logits: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    found = calibration.values_of(calibration.of_risks(y, logits, calibration.once(len(y))))
    brier = found.pop("brier_score")
    means = {"mean_predicted": float(predicted.mean()), "share_of_cases": float(y.mean())}
    return found | means | {"brier_score": brier}


def _of_a_quantity(y: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    found = calibration.of_quantities(y, predicted, calibration.once(len(y)))
    means = {"mean_predicted": float(predicted.mean()), "mean_observed": float(y.mean())}
    return calibration.values_of(found) | means
