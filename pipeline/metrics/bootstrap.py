"""Metrics on resampled people: how far a score depends on which people happened to be test rows.

Every network of a study sees the same resamples, so the interval of a mean over networks follows
from their values one resample at a time: networks that err on the same rows do not count as
independent. Only those values are kept, and no row's prediction.

Where people have several rows, people are drawn, each with all of their rows: rows of one person
say less than as many of different people, and rows drawn singly would make the interval too narrow
(Davison and Hinkley, Bootstrap Methods and their Application (1997), section 3.8).

Shapes: n rows, B resamples, o outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from scipy import sparse

from pipeline.serving import probabilities

RESAMPLES, SEED = 500, 0
FEWEST_PEOPLE, FEWEST_OF_A_CLASS = 60, 15
"""From fewer there are no intervals: they would hold the true value less often than they say
(simulated: docs/coverage.md)."""

FEWEST_ROWS, FEWEST_CASES = {"average_precision": 100}, {"average_precision": 30}
"""The same of metrics that need more: rows, and cases among them."""

DIGITS = 5  # of a kept value; an interval is hundreds of times as wide as their error
_DRAWN = 20  # resamples whose draws are held at once, 8 bytes a row each
_BLOCK = 2**22  # counts of rows that are held as float32 at once


@lru_cache(maxsize=2)
def resamples(rows: int, count: int = RESAMPLES) -> np.ndarray:
    """(n, B) how often each row is drawn when n rows are drawn with replacement, B times."""
    rng = np.random.default_rng([SEED, rows])
    times = np.empty((rows, count), np.uint16)
    for start in range(0, count, _DRAWN):
        block = slice(start, min(start + _DRAWN, count))
        drawn = [rng.integers(rows, size=rows) for _ in range(count)[block]]
        times[:, block] = np.transpose(
            [np.bincount(drawn_rows, minlength=rows) for drawn_rows in drawn]
        )
    return times


def resamples_of(rows: int, people: np.ndarray | None = None, count: int = RESAMPLES) -> np.ndarray:
    """(n, B) how often each row is in a resample of the people; each row is one without `people`.

    people (n,): whose row it is. Resamples then differ in their number of rows, as people do.
    """
    if people is None:
        return resamples(rows, count)
    distinct, whose = np.unique(people, return_inverse=True)
    return resamples(len(distinct), count)[whose]


def resamples_for(
    outcome: np.ndarray, task: str, people: np.ndarray | None = None, count: int = RESAMPLES
) -> np.ndarray:
    """(n, B) as `resamples_of`; (n, 0) where intervals from them would cover too rarely: of fewer
    than FEWEST_PEOPLE people, or FEWEST_OF_A_CLASS in one of the classes."""
    if enough(outcome, task, people):
        return resamples_of(len(outcome), people, count)
    return np.empty((len(outcome), 0), np.uint16)


def enough(outcome: np.ndarray, task: str, people: np.ndarray | None = None) -> bool:
    """Whether there are people enough for an interval, as `resamples_for` says."""
    whose = np.arange(len(outcome)) if people is None else np.asarray(people)
    if len(np.unique(whose)) < FEWEST_PEOPLE:
        return False
    if task == "regression":
        return True
    members = [len(np.unique(whose[outcome == c])) for c in np.unique(outcome)]
    return len(members) > 1 and min(members) >= FEWEST_OF_A_CLASS


def resampled(
    metric: str, outcome: np.ndarray, predictions: np.ndarray, task: str, times: np.ndarray
) -> np.ndarray:
    """(B,) a metric of one network on every resample; nan where it is undefined, and nothing at all
    of fewer rows than FEWEST_ROWS, or cases than FEWEST_CASES.

    outcome (n,) class positions or quantities, predictions (o, n) as `metrics.measure` takes them,
    times (n, B) from `resamples_for`.
    """
    rows, count = times.shape
    cases = int(np.sum(outcome == 1)) if metric in FEWEST_CASES else 0
    if not count or rows < FEWEST_ROWS.get(metric, 0) or cases < FEWEST_CASES.get(metric, 0):
        return np.empty(0)
    block = max(_BLOCK // max(rows, 1), 1)
    formula = _BY_TASK[task, metric]
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [
            formula(outcome, predictions, times[:, start : start + block].astype(np.float32))
            for start in range(0, count, block)
        ]
    return np.concatenate(parts).astype(np.float64)


def interval(values: Sequence[np.ndarray], confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval of the mean over networks: values are (B,) each, of the same resamples.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13. It holds the networks
    fixed: it says how much other people would have changed their mean, not other seeds.
    """
    known = [np.asarray(v, float) for v in values if np.size(v)]
    if not known or len({v.size for v in known}) > 1:
        return np.nan, np.nan
    means = np.mean(known, axis=0)
    means = means[np.isfinite(means)]
    if not means.size:
        return np.nan, np.nan
    low, high = np.quantile(means, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)


def named_intervals(objective: str, values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """`test_auroc_low`, `test_auroc_high` and, of the last epoch, `final_test_auroc_low` …."""
    intervals: dict[str, float] = {}
    for epoch, prefix in (("best", ""), ("last", "final_")):
        low, high = interval([values[epoch]] if epoch in values else [])
        name = f"{prefix}test_{objective.removeprefix('val_')}"
        intervals |= {f"{name}_low": low, f"{name}_high": high} if np.isfinite(low) else {}
    return intervals


def auroc(outcome: np.ndarray, score: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B,): the share of (case, control) pairs in the right order, ties counting half.

    With C_i how often a resample has case i, and N_j control j, Σ_i C_i·B_i / (ΣC·ΣN), where
    B_i = Σ_j N_j·([s_j < s_i] + ½[s_j = s_i]). A sparse product sums the controls between one case
    and the next, so that the cumulative sum runs over cases alone: 1 ms for 848 rows and 500 B.
    """
    case = outcome == 1
    order = np.argsort(score[case], kind="stable")
    cases, controls = times[case][order], times[~case]
    ranked, others = score[case][order], score[~case]
    # Half a control counts from the first case at or above it on, half from the first above it.
    first = np.concatenate([np.searchsorted(ranked, others, side) for side in ("left", "right")])
    which = np.tile(np.arange(len(others)), 2)
    halves = np.full(len(first), np.float32(0.5))
    between = sparse.csr_matrix((halves, (first, which)), (len(ranked) + 1, len(others)))
    below = np.cumsum(between @ controls, axis=0)[:-1]
    return np.einsum("nb,nb->b", cases, below) / (cases.sum(axis=0) * controls.sum(axis=0))


def average_precision(outcome: np.ndarray, score: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B,): Σ (R_i − R_{i−1})·P_i over the distinct thresholds, falling."""
    case = outcome == 1
    thresholds = np.unique(-score[case])
    # The first threshold that a row reaches; one below all of them reaches none.
    first = np.searchsorted(thresholds, -score, "left")
    shape, which = (len(thresholds) + 1, len(score)), np.arange(len(score))
    reached = sparse.csr_matrix((np.ones(len(score), np.float32), (first, which)), shape)[:-1]
    new = sparse.csr_matrix((case.astype(np.float32), (first, which)), shape)[:-1] @ times
    precision = np.cumsum(new, axis=0) / np.maximum(np.cumsum(reached @ times, axis=0), 1)
    return np.einsum("nb,nb->b", new, precision) / new.sum(axis=0)


def _mean(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) @ times / times.sum(axis=0)


def _binary_log_loss(outcome, predictions, times):
    z = predictions[0].astype(np.float64)
    return _mean(np.logaddexp(0.0, z) - z * (outcome == 1), times)


def _binary_accuracy(outcome, predictions, times):
    return _mean((predictions[0] >= 0) == (outcome == 1), times)


def _one_against_the_rest(outcome, predictions, times):
    probability = probabilities(predictions, "multiclass")
    return np.mean([auroc(outcome == c, p, times) for c, p in enumerate(probability.T)], axis=0)


def _correct(outcome, predictions):
    return predictions.argmax(axis=0) == outcome


def _balanced_accuracy(outcome, predictions, times):
    """Mean recall of the classes that a resample has, as scikit-learn has it."""
    correct, members = _correct(outcome, predictions), np.unique(outcome)
    recalls = [_mean(correct[outcome == c], times[outcome == c]) for c in members]
    return np.nanmean(recalls, axis=0)


def _multiclass_log_loss(outcome, predictions, times):
    probability = probabilities(predictions, "multiclass")[
        np.arange(len(outcome)), outcome.astype(int)
    ]
    return _mean(-np.log(np.maximum(probability, np.finfo(float).eps)), times)


def _r2(outcome, predictions, times):
    """1 − Σ(y − ŷ)² / Σ(y − ȳ)² with ȳ the mean of the resample."""
    error = _mean(np.square(outcome - predictions[0]), times)
    outcome = outcome - outcome.mean()  # so that squares of a large mean do not cancel
    return 1.0 - error / (_mean(np.square(outcome), times) - np.square(_mean(outcome, times)))


_BY_TASK = {
    ("binary", "auroc"): lambda y, f, w: auroc(y, f[0], w),
    ("binary", "average_precision"): lambda y, f, w: average_precision(y, f[0], w),
    ("binary", "accuracy"): _binary_accuracy,
    ("binary", "log_loss"): _binary_log_loss,
    ("multiclass", "auroc"): _one_against_the_rest,
    ("multiclass", "accuracy"): lambda y, f, w: _mean(_correct(y, f), w),
    ("multiclass", "balanced_accuracy"): _balanced_accuracy,
    ("multiclass", "log_loss"): _multiclass_log_loss,
    ("regression", "r2"): _r2,
    ("regression", "mean_squared_error"): lambda y, f, w: _mean(np.square(y - f[0]), w),
    ("regression", "mean_absolute_error"): lambda y, f, w: _mean(np.abs(y - f[0]), w),
}
