"""Whether predicted risks are the observed ones, on the rows as they are and on resamples of them.

Of a binary outcome y with predicted log-odds z (Steyerberg, Clinical Prediction Models (2019),
chapter 15; Van Calster and others, BMC Medicine 17:230 (2019)):

    intercept   a of P(y) = σ(a + z): above 0 where risks are predicted too low
    slope       b of P(y) = σ(a + b·z): below 1 where predictions are too extreme
    curve       P(y) = σ(a + b·z + Σ_j c_j·s_j(z)), s_j the terms of the restricted cubic spline of
                three knots, or of five where 300 people or more are of either outcome
    Brier       mean (p − y)²

and of a quantity y with prediction f: the mean of y − f, and the slope of y on f.

Shapes: n rows, B resamples, q columns of a design. `times` (n, B) says how often a resample has
each row; `once`, a column of ones, is the rows as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from pipeline.metrics.bootstrap import interval
from pipeline.metrics.logistic import intercepts, logistic_fits

BINS, FEWEST_ROWS, FEWEST_OF_A_CLASS = 10, 10, 5
KNOTS = {3: (0.1, 0.5, 0.9), 5: (0.05, 0.275, 0.5, 0.725, 0.95)}
"""Quantiles of the log-odds at which the curve may bend (Harrell, Regression Modeling Strategies,
2015, section 2.4)."""

FEWEST_FOR_FIVE, FEWEST_FOR_A_BAND = 300, 30
"""People of either outcome from which on the curve has five knots, and an interval. Three knots are
further from what is true than so many people leave open (simulated: docs/coverage.md)."""


def once(rows: int) -> np.ndarray:
    """(n, 1) of ones: the rows as they are, each once."""
    return np.ones((rows, 1), np.float32)


def of_risks(outcome: np.ndarray, logits: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    """`calibration_intercept`, `calibration_slope` and `brier_score`, each (B,).

    outcome (n,) 0/1, logits (n,). The slope is nan where all predictions are the same.
    """
    logits = np.asarray(logits, np.float64)
    spread = float(logits.std())
    intercept = intercepts(logits, outcome, times)
    slope = np.full(times.shape[1], np.nan)
    if np.ptp(logits) > 1e-9:
        design = np.column_stack([np.ones(len(logits)), (logits - logits.mean()) / spread])
        slope = logistic_fits(design, outcome, times)[:, 1] / spread
    error = np.square(expit(logits) - outcome)
    brier = error @ times.astype(np.float64) / times.sum(axis=0)
    return {"calibration_intercept": intercept, "calibration_slope": slope, "brier_score": brier}


def of_quantities(
    outcome: np.ndarray, predicted: np.ndarray, times: np.ndarray
) -> dict[str, np.ndarray]:
    """`mean_error`, the mean of y − f, and `calibration_slope`, that of y on f; each (B,)."""
    total = times.sum(axis=0).astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return values @ times.astype(np.float64) / total

    f = predicted - predicted.mean()
    y = outcome - outcome.mean()
    variance = mean(np.square(f)) - np.square(mean(f))
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (mean(f * y) - mean(f) * mean(y)) / variance
    if np.ptp(predicted) == 0:
        slope = np.full(len(total), np.nan)
    return {"mean_error": mean(outcome - predicted), "calibration_slope": slope}


def values_of(resampled: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Name → the one value, of what was measured with `once`."""
    return {name: float(values[0]) for name, values in resampled.items()}


def bins(
    outcome: np.ndarray, predicted: np.ndarray, times: np.ndarray, binary: bool
) -> pd.DataFrame:
    """Tenths of the rows by prediction: `predicted observed low high rows`, means, and the interval
    of the observed mean: percentiles over the resamples of a quantity, Wilson's of a share.

    Each has ten rows or more, and of a binary outcome five of either kind or more: neighbors are
    joined until they have, so that nobody can be read off. Rows of one prediction stay together.
    """
    rows = []
    for part in _parts(np.asarray(outcome), np.asarray(predicted), binary):
        y, often = outcome[part].astype(np.float64), times[part].astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            observed = y @ often / often.sum(axis=0)
            low, high = share_interval(y, observed) if binary else interval([observed])
        rows.append((float(predicted[part].mean()), float(y.mean()), low, high, len(part)))
    return pd.DataFrame(rows, columns=["predicted", "observed", "low", "high", "rows"])


def share_interval(
    outcome: np.ndarray, resampled: np.ndarray, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson's interval (1927) of a share: outcome (n,) 0/1, resampled (B,) its shares.

    n counts for as many rows as p(1 − p)/variance of the resampled shares, at most n: rows of one
    person say less than as many of different people. Percentiles cover too rarely where cases are
    few. NaN without resamples.
    """
    known = resampled[np.isfinite(resampled)]
    if not known.size:
        return np.nan, np.nan
    p, n, z = float(outcome.mean()), float(len(outcome)), float(norm.ppf(0.5 + confidence / 2))
    variance = float(known.var())
    n = min(n, p * (1 - p) / variance) if variance > 0 else n
    middle, reach = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return float((middle - reach) / (1 + z**2 / n)), float((middle + reach) / (1 + z**2 / n))


def _parts(outcome: np.ndarray, predicted: np.ndarray, binary: bool) -> list[np.ndarray]:
    order = np.argsort(predicted, kind="stable")
    count = int(np.clip(len(order) // FEWEST_ROWS, 1, BINS))
    ends = np.linspace(0, len(order), count + 1).round().astype(int)[1:]
    parts: list[np.ndarray] = []
    start = 0
    for end in ends:
        while 0 < end < len(order) and predicted[order[end]] == predicted[order[end - 1]]:
            end += 1
        part = order[start:end]
        if end > start and _large_enough(outcome[part], binary):
            parts.append(part)
            start = end
    if start < len(order):  # what is left is too small: the last one takes it
        rest = order[start:]
        parts = [*parts[:-1], np.concatenate([*parts[-1:], rest])]
    return parts


def _large_enough(outcome: np.ndarray, binary: bool) -> bool:
    if len(outcome) < FEWEST_ROWS:
        return False
    cases = int(np.sum(outcome == 1))
    return not binary or min(cases, len(outcome) - cases) >= FEWEST_OF_A_CLASS


def curve(
    outcome: np.ndarray, logits: np.ndarray, times: np.ndarray, points: int = 41
) -> tuple[np.ndarray, np.ndarray]:
    """(predicted risks (P,), observed risks (B, P)) of the smooth calibration curve.

    It is drawn between the 2nd and the 98th percentile of the predictions, and at least ten people
    from either end: beyond, a few people decide. The ends are whole hundredths, so that they are
    nobody's. Empty where predictions hardly differ.
    """
    logits = np.asarray(logits, np.float64)
    knots = _knots(outcome, logits)
    beyond = max(0.02, min(FEWEST_ROWS / max(len(logits), 1), 0.5))
    first, last = np.round(expit(np.quantile(logits, (beyond, 1.0 - beyond))), 2)
    first, last = max(float(first), 0.005), min(float(last), 0.995)
    if np.min(np.diff(knots)) < 1e-6 or last <= first:
        return np.array([]), np.empty((times.shape[1], 0))
    risks = np.linspace(first, last, points)
    grid = np.log(risks / (1.0 - risks))
    center, unit = float(logits.mean()), float(logits.std())
    beta = logistic_fits(_spline(logits, knots, center, unit), outcome, times)
    return risks, expit(beta @ _spline(grid, knots, center, unit).T)


def enough_for_a_band(outcome: np.ndarray) -> bool:
    """Whether an interval of the curve holds the true risks as often as it says."""
    return _rarer(outcome) >= FEWEST_FOR_A_BAND


def _rarer(outcome: np.ndarray) -> int:
    cases = int(np.sum(outcome == 1))
    return min(cases, len(outcome) - cases)


def _knots(outcome: np.ndarray, logits: np.ndarray) -> np.ndarray:
    five = np.quantile(logits, KNOTS[5])
    if _rarer(outcome) >= FEWEST_FOR_FIVE and np.min(np.diff(five)) >= 1e-3 * np.ptp(five) > 0:
        return five
    return np.quantile(logits, KNOTS[3])


def _spline(z: np.ndarray, knots: np.ndarray, center: float, unit: float) -> np.ndarray:
    """(n, k − 1): 1, z and the k − 2 nonlinear terms of a restricted cubic spline of k knots t:

    s_j = ((z − t_j)₊³ − (z − t_{k−1})₊³·(t_k − t_j)/(t_k − t_{k−1})
           + (z − t_k)₊³·(t_{k−1} − t_j)/(t_k − t_{k−1}))/(t_k − t_1)²
    """
    *inner, before, last = knots

    def cubed(t: float) -> np.ndarray:
        return np.maximum(z - t, 0.0) ** 3

    nonlinear = [
        cubed(t)
        - cubed(before) * (last - t) / (last - before)
        + cubed(last) * (before - t) / (last - before)
        for t in inner
    ]
    scale = unit * (last - knots[0]) ** 2
    return np.column_stack([np.ones(len(z)), (z - center) / unit, *(s / scale for s in nonlinear)])
