"""Seed or people? The variance between networks, divided between seed, resample and both.

Two-way random effects with one network a cell: y_rs = μ + α_r + β_s + γ_rs, resample r, seed s. A
network is the same whenever it is trained again, so γ is the interaction itself: no error is left.

Searle, Casella and McCulloch, "Variance Components", 1992, chapter 4 (ANOVA estimators).

Shapes: R resamples, S seeds, m columns (variables, people).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

PARTS = ("seed", "resample", "both")

FEWEST_SEEDS, FEWEST_RESAMPLES = 5, 20
"""From which on there are intervals: with fewer of either they cover too rarely, or say nothing."""

FEWEST_SEEDS_OF_PREDICTIONS = 15
"""The same where a seed shifts all columns alike, so that many columns say no more than one."""

_CLOSEST = 1e-6  # to 0 and 1, of what a logarithm is taken of


@dataclass(frozen=True, eq=False)
class Components:
    """Variances, as the method of moments estimates them: one below 0 says that it is small.

    seed, resample, both  (m,) σ²_β, σ²_α, σ²_γ of each column.
    seeds, resamples      numbers of each.
    """

    seed: np.ndarray
    resample: np.ndarray
    both: np.ndarray
    seeds: int
    resamples: int

    def shares(self) -> np.ndarray:
        """(3, m) shares of seed, resample and both in their sum, those below 0 counted as 0; NaN
        for a column that does not vary."""
        return _shares(np.array([self.seed, self.resample, self.both]))

    def pooled(self) -> np.ndarray:
        """(3,) the same of all columns together: of their sums."""
        return _shares(np.sum([self.seed, self.resample, self.both], axis=1))


def _shares(parts: np.ndarray) -> np.ndarray:
    """(3, …) variances → their shares; NaN where nothing varies."""
    parts = np.clip(parts, 0.0, None)
    total = parts.sum(axis=0)
    return np.divide(parts, total, out=np.full_like(parts, np.nan), where=total > 1e-24)


def grid_of(
    values: np.ndarray, resample: Sequence[int], seed: Sequence[int]
) -> tuple[np.ndarray, int]:
    """(R, S, m) of networks given one a row, (N, m), and how many resamples were left out because a
    seed is missing or a value of it is not a number."""
    values = np.asarray(values, float)
    values = values.reshape(len(values), -1)
    drawn, seeds = np.unique(resample), np.unique(seed)
    grid = np.full((len(drawn), len(seeds), values.shape[1]), np.nan)
    grid[np.searchsorted(drawn, resample), np.searchsorted(seeds, seed)] = values
    whole = np.isfinite(grid).all(axis=(1, 2))
    return grid[whole], int((~whole).sum())


def _grid(values: np.ndarray) -> np.ndarray:
    y = np.asarray(values, float)
    y = y[:, :, None] if y.ndim == 2 else y
    if min(y.shape[:2]) < 2:
        raise ValueError(
            "values must be of at least 2 resamples and 2 seeds, but got "
            f"{y.shape[0]} and {y.shape[1]}"
        )
    return y


def components(values: np.ndarray) -> Components:
    """Values (R, S, m), or (R, S) of one column, R and S at least 2.

    With mean squares of rows, columns and the rest,

      MS_R = S·Σ(ȳ_r − ȳ)²/(R−1),  MS_S = R·Σ(ȳ_s − ȳ)²/(S−1),
      MS_RS = Σ(y_rs − ȳ_r − ȳ_s + ȳ)²/((R−1)(S−1)),

      σ²_γ = MS_RS,  σ²_α = (MS_R − MS_RS)/S,  σ²_β = (MS_S − MS_RS)/R.
    """
    y = _grid(values)
    resamples, seeds, _ = y.shape
    mean = y.mean(axis=(0, 1))
    of_resample, of_seed = y.mean(axis=1), y.mean(axis=0)
    rest = y - of_resample[:, None] - of_seed[None] + mean
    ms_resample = seeds * np.square(of_resample - mean).sum(axis=0) / (resamples - 1)
    ms_seed = resamples * np.square(of_seed - mean).sum(axis=0) / (seeds - 1)
    ms_both = np.square(rest).sum(axis=(0, 1)) / ((resamples - 1) * (seeds - 1))
    return Components(
        (ms_seed - ms_both) / resamples, (ms_resample - ms_both) / seeds, ms_both, seeds, resamples
    )


def share_intervals(
    values: np.ndarray, confidence: float = 0.95, fewest_seeds: int = FEWEST_SEEDS
) -> np.ndarray:
    """(3, 2) intervals of the pooled shares of seed, resample and both, from (R, S, m) or (R, S).

    Jackknife over resamples and over seeds of φ = log((x + c)/(1 + d − x)), x a share whose
    variances may be below 0; c is 1/R for the seed's and 1/S for the resample's, as far below 0 as
    x can be, and d = 1/(RS), which is c of both too, so that no single network decides. With
    φ₍₋ᵣ₎, φ₍₋ₛ₎ and φ₍₋ᵣ,₋ₛ₎ of the grid without a row, a column, or both, and their second
    differences

      u_rs = (R−1)(S−1)·(φ₍₋ᵣ,₋ₛ₎ − φ₍₋ᵣ₎ − φ₍₋ₛ₎ + φ), centered in rows and columns,

    the variance is V_R + V_S − V_RS, V_R and V_S the jackknife's (Tukey 1958), each of which has
    the interaction's, V_RS = Σu²/((R−1)(S−1)·R·S), once; never less than the larger of V_R and V_S.
    Student's t has Satterthwaite's degrees of freedom from V_R on R−2 and V_S on S−2: one fewer
    than of a mean, for the variance's own. Ends are cut to [0, 1].

    docs/coverage.md says what it covers. NaN for fewer than FEWEST_RESAMPLES resamples or
    `fewest_seeds` seeds (FEWEST_SEEDS_OF_PREDICTIONS where a seed shifts all columns alike, as
    people's predictions), and where nothing varies.
    """
    y = _grid(values)
    resamples, seeds, _ = y.shape
    if resamples < FEWEST_RESAMPLES or seeds < fewest_seeds or not np.ptp(y):
        return np.full((3, 2), np.nan)
    above = 1 / (resamples * seeds)
    below = np.array([1 / resamples, 1 / seeds, above])

    def phi(parts: np.ndarray) -> np.ndarray:
        c = below.reshape(3, *[1] * (parts.ndim - 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            x = (parts / parts.sum(axis=0) + c) / (1 + c + above)
        return logit(np.clip(x, _CLOSEST, 1 - _CLOSEST))

    of_grid, *of_parts = _without(y)
    whole, (without_row, without_column, without_both) = phi(of_grid), map(phi, of_parts)
    v_row, v_column = _spread(without_row), _spread(without_column)
    u = without_both - without_row[:, :, None] - without_column[:, None] + whole[:, None, None]
    u = (
        u
        - u.mean(axis=1, keepdims=True)
        - u.mean(axis=2, keepdims=True)
        + u.mean(axis=(1, 2), keepdims=True)
    )
    cells = (resamples - 1) * (seeds - 1)
    v_both = np.square(cells * u).sum(axis=(1, 2)) / (cells * resamples * seeds)
    variance = np.maximum(v_row + v_column - v_both, np.maximum(v_row, v_column))
    weights = v_row**2 / (resamples - 2) + v_column**2 / (seeds - 2)
    freedom = np.ones(3)
    np.divide((v_row + v_column) ** 2, weights, out=freedom, where=weights > 0)
    reach = student.ppf(0.5 + confidence / 2, np.maximum(freedom, 1.0)) * np.sqrt(variance)
    ends = expit([whole - reach, whole + reach]) * (1 + below + above) - below
    shares = _shares(of_grid)  # of which those below 0 count as 0, so that others shift
    return np.clip([np.minimum(ends[0], shares), np.maximum(ends[1], shares)], 0.0, 1.0).T


def _spread(phi: np.ndarray) -> np.ndarray:
    """(3,) jackknife variances from (3, n) values with one of n left out."""
    n = phi.shape[1]
    return (n - 1) / n * np.square(phi - phi.mean(axis=1, keepdims=True)).sum(axis=1)


def _without(y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pooled variances of seed, resample and both: (3,) of the whole grid, (3, R) without a row,
    (3, S) without a column, (3, R, S) without both, from sums over columns taken once."""
    resamples, seeds, _ = y.shape
    y = y - y.mean(axis=(0, 1))
    row, column, grand = y.sum(axis=1), y.sum(axis=0), y.sum(axis=(0, 1))
    yy = np.square(y).sum(axis=2)  # (R, S)
    row_y, column_y = np.einsum("rm,rsm->rs", row, y), np.einsum("sm,rsm->rs", column, y)
    rows, columns = np.square(row).sum(axis=1), np.square(column).sum(axis=1)
    grand_y, row_column = y @ grand, row @ column.T
    squared = float(grand @ grand)
    # Sums of squares of cells, of sums of rows, of sums of columns, and of the grand sum.
    all_of = (yy.sum(), rows.sum(), columns.sum(), squared)
    no_row = (
        yy.sum() - yy.sum(axis=1),
        rows.sum() - rows,
        (columns - 2 * column_y + yy).sum(axis=1),
        squared - 2 * row @ grand + rows,
    )
    no_column = (
        yy.sum() - yy.sum(axis=0),
        (rows[:, None] - 2 * row_y + yy).sum(axis=0),
        columns.sum() - columns,
        squared - 2 * column @ grand + columns,
    )
    changed_rows, changed_columns = rows[:, None] - 2 * row_y + yy, columns - 2 * column_y + yy
    neither = (
        no_row[0][:, None] - yy.sum(axis=0) + yy,
        changed_rows.sum(axis=0) - changed_rows,
        changed_columns.sum(axis=1)[:, None] - changed_columns,
        no_row[3][:, None] + columns + yy
        + 2 * (grand_y + row_column - row_y - column_y - (column @ grand)),
    )  # fmt: skip
    return (
        _moments(*all_of, resamples, seeds),
        _moments(*no_row, resamples - 1, seeds),
        _moments(*no_column, resamples, seeds - 1),
        _moments(*neither, resamples - 1, seeds - 1),
    )


def _moments(cells, rows, columns, grand, resamples: int, seeds: int) -> np.ndarray:
    """(3, …) variances of seed, resample and both from the sums of squares of `_without`."""
    mean = grand / (resamples * seeds)
    ms_resample = (rows / seeds - mean) / (resamples - 1)
    ms_seed = (columns / resamples - mean) / (seeds - 1)
    rest = cells - rows / seeds - columns / resamples + mean
    ms_both = rest / ((resamples - 1) * (seeds - 1))
    return np.array([(ms_seed - ms_both) / resamples, (ms_resample - ms_both) / seeds, ms_both])
