"""Logistic regression on many resamples of the same rows at once, by Newton's method.

Every resample starts from the fit to the rows as they are, from which four steps are enough for
most, and a few resamples at a time go through their steps in memory that stays in a core's cache.

Shapes: n rows, B resamples, q columns of a design; `times` (n, B), how often a resample has a row.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_CELLS = 2**15  # resamples × rows that are held at once, 8 bytes each, several times
_STEPS, _CONVERGED, _LARGEST = 60, 1e-9, 40.0


def logistic_fits(design: np.ndarray, outcome: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B, q) coefficients of P(y) = σ(X·β) fitted to every resample.

    design X (n, q), its columns of size about 1; outcome (n,) 0/1. nan where there is no finite
    maximum, as where a column separates the classes.
    """
    x = np.ascontiguousarray(design.T, np.float64)
    y = np.asarray(outcome, np.float64)
    (middle,) = _newton(x, y, np.ones((1, len(y))), np.zeros((1, len(x))))
    start = np.where(np.isfinite(middle), middle, 0.0)
    fits = np.empty((times.shape[1], len(x)))
    for at, often in _blocks(times):
        fits[at] = _newton(x, y, often, np.tile(start, (len(often), 1)))
        again = np.isnan(fits[at, 0])  # a start in the middle of all is a bad one for some
        if again.any() and start.any():
            beginning = np.zeros((int(again.sum()), len(x)))
            fits[at][again] = _newton(x, y, often[again], beginning)
    return fits


def intercepts(logits: np.ndarray, outcome: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(B,) the a at which the mean of σ(a + z) is the share of cases; nan with one class alone."""
    z = np.asarray(logits, np.float64)
    y = np.asarray(outcome, np.float64)
    (middle,) = _roots(z, y, np.ones((1, len(z))), 0.0)
    start = middle if np.isfinite(middle) else 0.0
    found = np.empty(times.shape[1])
    for at, often in _blocks(times):
        found[at] = _roots(z, y, often, start)
    return found


def _blocks(times: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(slice of resamples, (b, n) how often they have each row)."""
    rows, count = times.shape
    size = max(_CELLS // max(rows, 1), 1)
    for start in range(0, count, size):
        at = slice(start, start + size)
        yield at, np.ascontiguousarray(times[:, at].T, np.float64)


def _sigma(z: np.ndarray) -> np.ndarray:
    """σ(z), in the place of z."""
    np.negative(z, out=z)
    with np.errstate(over="ignore"):  # σ of what is far below 0 is 0
        np.exp(z, out=z)
    z += 1.0
    return np.reciprocal(z, out=z)


def _newton(x: np.ndarray, y: np.ndarray, often: np.ndarray, start: np.ndarray) -> np.ndarray:
    """(b, q) from start (b, q), of x (q, n), y (n,) and often (b, n)."""
    columns = len(x)
    one, other = np.triu_indices(columns)
    products = np.ascontiguousarray((x[one] * x[other]).T)
    curvature = np.empty((len(often), columns, columns))
    beta, residual = start, np.empty_like(often)
    for _ in range(_STEPS):
        p = _sigma(beta @ x)
        np.multiply(often, np.subtract(y, p, out=residual), out=residual)
        slope = residual @ x.T
        np.multiply(p, np.subtract(1.0, p, out=residual), out=p)
        p *= often
        curvature[:, one, other] = curvature[:, other, one] = p @ products
        curvature += 1e-10 * np.eye(columns)
        step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
        length = np.abs(step).max(axis=1, keepdims=True)
        beta = beta + step * np.minimum(1.0, 2.0 / np.maximum(length, 1e-300))
        settled, large = length < _CONVERGED, np.abs(beta) > _LARGEST
        large = large.any(axis=1, keepdims=True)
        if np.all(settled | large):
            break
    return np.where(settled & ~large, beta, np.nan)


def _roots(z: np.ndarray, y: np.ndarray, often: np.ndarray, start: float) -> np.ndarray:
    """(b,) by Newton's steps, halving the interval that holds the root where one would leave it."""
    total, cases = often.sum(axis=1), often @ y
    # Far enough out that everyone is predicted to be no case, and a case.
    low = np.full(len(total), min(-50.0, -30.0 - float(z.max())))
    high = np.full(len(total), max(50.0, 30.0 - float(z.min())))
    shift, p, rest = np.full(len(total), start), np.empty_like(often), np.empty_like(often)
    for _ in range(200):
        _sigma(np.add(shift[:, None], z, out=p))
        np.subtract(1.0, p, out=rest)
        p *= often
        excess = p.sum(axis=1) - cases
        rest *= p
        slope = rest.sum(axis=1)
        low, high = np.where(excess < 0, shift, low), np.where(excess < 0, high, shift)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = shift - excess / slope
        inside = (newton >= low) & (newton <= high)
        following = np.where(inside, newton, 0.5 * (low + high))
        done = np.abs(following - shift) < 1e-10
        shift = following
        if done.all():
            break
    return np.where((cases > 0) & (cases < total), shift, np.nan)
