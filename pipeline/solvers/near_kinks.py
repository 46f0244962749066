"""The kinks near a first layer: which there are, and what the loss is without them.

In the first-layer weights W_u of unit u the loss bends at row i where z_ui = W_u·x_i = 0; what is
done with that is `pipeline.solvers.kinks`, and the formulas are there.

Shapes: h units, p columns (bias and encodings included), n training rows, o outputs, m pairs of a
unit at most, padded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.solvers.passes import back_to_first, forward, output_slopes, to_first
from pipeline.solvers.problem import Problem, proximal_step

REACH, STEPS_AHEAD = 3e-3, 2.0
"""Kinks are part of a step where they are nearer to W_u than this share of its length, or than so
many times the way that a gradient step would take it."""

MOST_PAIRS, MOST_BYTES = 64, 64 * 2**20
"""Kinks of a unit that a step or a residual looks at, the nearest ones; and bytes of their rows."""

ENOUGH_PAIRS, FEW_PAIRS = 2, 4
"""A step looks at no more kinks of a unit than so many times its weights, and a few: it can end on
as many as a unit has weights."""


SlopesAt = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Units and rows → c_ui of each."""


class Pairs(NamedTuple):
    """Kinks of each unit, padded with rows of zeros: rows (h, m, p), slopes c (h, m), 0 where
    padded, indices (units, rows) of the kinks in (h, n), and their places (units, m) in (h, m)."""

    rows: np.ndarray
    slopes: np.ndarray
    indices: tuple[np.ndarray, np.ndarray]
    places: tuple[np.ndarray, np.ndarray]


def loss_slopes(activated: np.ndarray, problem: Problem) -> np.ndarray:
    """c (h, n): ∂ mean loss / ∂ the first layer's activations (h, n)."""
    return to_first(activated, problem, slice(None))[0]


def nearest(
    z: np.ndarray,
    slopes_at: SlopesAt,
    reach: np.ndarray,
    most: int,
    problem: Problem,
    inverse_lengths: np.ndarray,
) -> Pairs:
    """Of every unit the nearest kinks that bend upwards, |z_ui|/‖x_i‖ ≤ reach_u, and at most so
    many; none where reach_u = 0."""
    distance = np.abs(z)
    distance *= inverse_lengths
    within = distance <= np.where(reach > 0.0, reach, -1.0).astype(distance.dtype)[:, None]
    units, rows = np.divmod(np.flatnonzero(within), z.shape[1])
    slopes = slopes_at(units, rows)
    bends_upwards = slopes > 0.0
    units, rows, slopes = units[bends_upwards], rows[bends_upwards], slopes[bends_upwards]
    order = np.lexsort((distance[units, rows], units))
    units, rows, slopes = units[order], rows[order], slopes[order]
    counts = np.bincount(units, minlength=len(z))
    place = np.arange(len(units)) - np.repeat(np.cumsum(counts) - counts, counts)
    p = problem.columns.shape[1]
    most = int(np.clip(MOST_BYTES // (8 * len(z) * p), 1, most))
    units, rows, slopes, place = (x[place < most] for x in (units, rows, slopes, place))
    m = int(place.max(initial=0)) + 1
    padded_rows, padded_slopes = np.zeros((len(z), m, p)), np.zeros((len(z), m))
    padded_rows[units, place] = problem.columns[rows]
    padded_slopes[units, place] = slopes
    return Pairs(padded_rows, padded_slopes, (units, rows), (units, place))


def multipliers_of(pairs: Pairs, s: np.ndarray) -> np.ndarray:
    """σ (h, m) of these pairs, from s (h, n)."""
    multipliers = np.zeros_like(pairs.slopes)
    multipliers[pairs.places] = s[pairs.indices]
    return multipliers * pairs.slopes


def pull(pairs: Pairs, multipliers: np.ndarray) -> np.ndarray:
    """Σ σ_ui·x_i, (h, p)."""
    return np.matmul(multipliers[:, None], pairs.rows)[:, 0]


def _around(first: np.ndarray, problem: Problem):
    """Around W: z (h, n); s as the gradient has it (h, n); the gradient (h, p); and c_ui of given
    units and rows."""
    z = first @ problem.columns.T
    side = (z > 0.0).astype(z.dtype)
    layers = forward(np.clip(z, 0.0, np.inf), problem)
    upstream = output_slopes(layers[-1][1], problem, slice(None))
    if len(problem.later) == 1 and len(upstream) == 1:  # c is an outer product: no need for all
        outgoing = problem.later[0][0][0]
        first_gradient = (side @ (upstream.T * problem.columns)) * outgoing[:, None]
        return z, side, first_gradient, lambda u, i: outgoing[u] * upstream[0, i]
    slopes = back_to_first(upstream, layers, problem)
    return z, side, (slopes * side) @ problem.columns, lambda u, i: slopes[u, i]


def kinks_apart(
    first: np.ndarray, reach: float, step: float, problem: Problem, rough: Problem | None = None
):
    """Around W: s as the gradient has it (h, n), the kinks within reach·‖W_u‖ or within STEPS_AHEAD
    gradient steps, and ∇₀ without them. No kinks of a unit that is 0, as relu′(0) = 0 has it.

    rough is the problem in the precision that is enough to see which kinks are near.
    """
    rough = rough or problem
    z, side, first_gradient, slopes_at = _around(first.astype(rough.columns.dtype), rough)
    first_gradient = first_gradient.astype(np.float64)
    own, most = lengths(first), MOST_PAIRS
    limits = reach * own
    if step:
        moved = first - proximal_step(first - step * first_gradient, step, problem)
        limits = np.maximum(limits, STEPS_AHEAD * lengths(moved) * (own > 0.0))
        most = min(most, ENOUGH_PAIRS * len(problem.group) + FEW_PAIRS)
    pairs = nearest(z, slopes_at, limits, most, problem, rough.inverse_lengths)
    return side, pairs, first_gradient - pull(pairs, multipliers_of(pairs, side))


def lengths(first: np.ndarray) -> np.ndarray:
    """(h,): ‖W_u‖."""
    return np.sqrt(np.square(first).sum(axis=1))
