"""Where a ReLU network's minimum sits: on kinks, where units bend exactly at data points.

In the first-layer weights W_u of unit u the loss bends at row i where z_ui = W_u·x_i = 0. With
c_ui = ∂loss/∂relu(z_ui), the slope of the mean loss, it bends upwards where c_ui > 0: a minimum
may sit there, on as many as a unit has free weights. The gradient jumps there by c_ui·x_i, so
that gradient steps go back and forth across, and no gradient beside a minimum is small. What is
small at it is an element of the generalized gradient (Clarke 1975; 1983, section 2.3), which gives
relu′ any value s in [0, 1] at z = 0:

    ∇(s) = Σ_ui c_ui·s_ui·x_i,      s_ui = 1 where z_ui > 0, 0 where z_ui < 0, [0, 1] at a kink

A step to the kinks is a proximal one in which those near the point Y are part of what is solved
exactly, beside the penalty, and the others are in the gradient ∇₀ as they are:

    W⁺ = argmin_W  ½‖W − Y‖²/t + ∇₀·(W − Y) + Σ_near c_ui·relu(W_u·x_i) + Ω(W)
       = prox_{t·Ω}(Y − t·(∇₀ + Σ_near σ_ui·x_i))

with the multipliers σ_ui = c_ui·s_ui in [0, c_ui] that maximize the dual: σ = 0 where the row ends
below the kink, c above, and what keeps z_ui = 0 in between. It falls apart into one small problem
with bounds for each unit (projected Newton, Bertsekas 1982), but for the penalty's part, whose
derivative is taken as that of the weights it leaves (1/(1 + t·λ2), and 0 for zeros).

One network at a time, in NumPy and float64: no other network changes the arithmetic.

Shapes: h units, p columns (bias and encodings included), n training rows, o outputs, m pairs of a
unit at most, padded. Only first-layer units are followed to their kinks; deeper ones, of which
relu′(0) = 0, keep the side on which they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.solvers.box_minimum import box_minimum
from pipeline.solvers.passes import back_to_first, forward, output_slopes, to_first
from pipeline.solvers.problem import (
    RESIDUAL_STEP,
    Problem,
    curvature,
    momentum_after,
    objective,
    proximal_step,
    uphill,
    variable_norms,
)

ROUNDING = 2.0**-24
"""Half a unit in the last place of float32: rounding moves W_u by up to so much of its length."""

REACH, STEPS_AHEAD = 3e-3, 2.0
"""Kinks are part of a step where they are nearer to W_u than this share of its length, or than so
many times the way that a gradient step would take it."""

MOST_PAIRS, MOST_BYTES = 64, 64 * 2**20
"""Kinks of a unit that a step or a residual looks at, the nearest ones; and bytes of their rows."""

ENOUGH_PAIRS, FEW_PAIRS = 2, 4
"""A step looks at no more kinks of a unit than so many times its weights, and a few: it can end on
as many as a unit has weights."""

SAFETY, POWER_STEPS = 1.3, 5
"""Power iteration approaches the largest curvature from below."""

WITH_MOMENTUM, WITHOUT, MOST_STEPS = 12, 4, 48
"""Steps before each look at the residual, the first ones without momentum; and all together."""

SHORTER = 0.25
"""Share of its length that a step keeps where the objective rose."""

NEWTON_STEPS, RESIDUAL_NEWTON_STEPS = 6, 15
"""Newton steps at most for the multipliers of a step, and for those of the residual."""

MANY_COLUMNS = 512
"""Beyond so many columns kinks are followed on those alone that are not zero: most are, and each
row of a kink has as many numbers as there are columns."""

RESIDUAL_REPEATS = 4
"""Times that the residual's multipliers are solved for, each time with the penalty's derivative at
the weights of the time before."""


SlopesAt = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Units and rows → c_ui of each."""


class Pairs(NamedTuple):
    """Kinks of each unit, padded with rows of zeros: rows (h, m, p), slopes c (h, m), 0 where
    padded, indices (units, rows) of the kinks in (h, n), and their places (units, m) in (h, m)."""

    rows: np.ndarray
    slopes: np.ndarray
    indices: tuple[np.ndarray, np.ndarray]
    places: tuple[np.ndarray, np.ndarray]


def _slopes(activated: np.ndarray, problem: Problem) -> np.ndarray:
    """c (h, n): ∂ mean loss / ∂ the first layer's activations (h, n)."""
    return to_first(activated, problem, slice(None))[0]


def _curvature(first: np.ndarray, problem: Problem) -> float:
    """L around W where no unit changes its side."""
    side = (first @ problem.columns.T > 0.0).astype(float)

    def slope(weights: np.ndarray) -> np.ndarray:
        return (_slopes(weights @ problem.columns.T * side, problem) * side) @ problem.columns

    return curvature(first, slope, POWER_STEPS)


def _pairs(
    z: np.ndarray, slopes_at: SlopesAt, reach: np.ndarray, most: int, problem: Problem
) -> Pairs:
    """Of every unit the nearest kinks that bend upwards, |z_ui|/‖x_i‖ ≤ reach_u, and at most so
    many; none where reach_u = 0."""
    distance = np.abs(z)
    distance *= problem.inverse_lengths
    within = distance <= np.where(reach > 0.0, reach, -1.0)[:, None]
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


def _proximal_steps(
    point: np.ndarray,
    step: float,
    rest: np.ndarray,
    pairs: Pairs,
    start: np.ndarray,
    problem: Problem,
    newton_steps: int,
    repeats: int,
):
    """Yield W⁺ (h, p) and σ (h, m) of the step from `point`, `repeats` times, ever more exactly.

    rest is ∇₀ (h, p), start the σ to begin with.
    """
    multipliers = start

    def landed():
        return proximal_step(point - step * (rest + _pull(pairs, multipliers)), step, problem)

    first = landed()
    shrink = step / (1.0 + step * problem.factor * problem.lambdas[1])
    for _ in range(repeats):
        free = pairs.rows * (np.sqrt(shrink) * (first != 0.0))[:, None]
        hessian = np.matmul(free, free.transpose(0, 2, 1))
        heights = np.matmul(pairs.rows, first[:, :, None])[:, :, 0]
        multipliers = box_minimum(hessian, -heights, multipliers, pairs.slopes, newton_steps)
        first = landed()
        yield first, multipliers


def _projected(first: np.ndarray, pairs: Pairs, multipliers: np.ndarray) -> np.ndarray:
    """W moved as little as possible to z_ui = 0 of all pairs with 0 < σ < c; zeros stay zero."""
    inside = (multipliers > 0.0) & (multipliers < pairs.slopes)
    m = int(inside.sum(axis=1).max(initial=0))
    chosen = np.argsort(~inside, axis=1, kind="stable")[:, :m]
    held = np.take_along_axis(inside, chosen, axis=1)
    rows = np.take_along_axis(pairs.rows, chosen[:, :, None], axis=1) * held[:, :, None]
    rows = rows * (first != 0.0)[:, None]
    gram = np.matmul(rows, rows.transpose(0, 2, 1))
    diagonal = gram[:, np.arange(m), np.arange(m)]
    lifted = diagonal + 1e-12 * diagonal.max(axis=1, initial=0.0, keepdims=True) + 1e-300
    gram[:, np.arange(m), np.arange(m)] = np.where(held, lifted, 1.0)
    for _ in range(2):  # the second time corrects the rounding of the first
        away = np.matmul(rows, first[:, :, None])
        first = first - np.matmul(rows.transpose(0, 2, 1), np.linalg.solve(gram, away))[:, :, 0]
    return first


def _multipliers(pairs: Pairs, s: np.ndarray) -> np.ndarray:
    """σ (h, m) of these pairs, from s (h, n)."""
    multipliers = np.zeros_like(pairs.slopes)
    multipliers[pairs.places] = s[pairs.indices]
    return multipliers * pairs.slopes


def _pull(pairs: Pairs, multipliers: np.ndarray) -> np.ndarray:
    """Σ σ_ui·x_i, (h, p)."""
    return np.matmul(multipliers[:, None], pairs.rows)[:, 0]


def _at(first: np.ndarray, problem: Problem):
    """Around W: z (h, n); s as the gradient has it (h, n); the gradient (h, p); and c_ui of given
    units and rows."""
    z = first @ problem.columns.T
    side = (z > 0.0).astype(float)
    layers = forward(np.clip(z, 0.0, np.inf), problem)
    upstream = output_slopes(layers[-1][1], problem, slice(None))
    if len(problem.later) == 1 and len(upstream) == 1:  # c is an outer product: no need for all
        outgoing = problem.later[0][0][0]
        first_gradient = (side @ (upstream.T * problem.columns)) * outgoing[:, None]
        return z, side, first_gradient, lambda u, i: outgoing[u] * upstream[0, i]
    slopes = back_to_first(upstream, layers, problem)
    return z, side, (slopes * side) @ problem.columns, lambda u, i: slopes[u, i]


def _kinks_apart(first: np.ndarray, reach: float, step: float, problem: Problem):
    """Around W: s as the gradient has it (h, n), the kinks within reach·‖W_u‖ or within STEPS_AHEAD
    gradient steps, and ∇₀ without them. No kinks of a unit that is 0, as relu′(0) = 0 has it."""
    z, side, first_gradient, slopes_at = _at(first, problem)
    lengths, most = _lengths(first), MOST_PAIRS
    limits = reach * lengths
    if step:
        moved = first - proximal_step(first - step * first_gradient, step, problem)
        limits = np.maximum(limits, STEPS_AHEAD * _lengths(moved) * (lengths > 0.0))
        most = min(most, ENOUGH_PAIRS * len(problem.group) + FEW_PAIRS)
    pairs = _pairs(z, slopes_at, limits, most, problem)
    return side, pairs, first_gradient - _pull(pairs, _multipliers(pairs, side))


def _lengths(first: np.ndarray) -> np.ndarray:
    """(h,): ‖W_u‖."""
    return np.sqrt(np.square(first).sum(axis=1))


class Certificate(NamedTuple):
    """max_g of the residual over the variable's scale, and max_g of the residual itself."""

    relative: float
    absolute: float


def certificate(moved: np.ndarray, problem: Problem) -> Certificate:
    """Of W − prox_t(W − t·∇), (h, p), with t = RESIDUAL_STEP."""
    each = variable_norms(moved, problem) / RESIDUAL_STEP
    return Certificate(float((each / problem.scales).max()), float(each.max()))


def kkt_residual(first: np.ndarray, problem: Problem) -> Certificate:
    """‖W_g − prox_t(W_g − t·∇_g(s))‖/t with the s that make it small.

    s_ui is free in [0, 1] at the kinks that bend upwards and that rounding W to float32 can have
    moved W_u away from: |z_ui| ≤ 2⁻²⁴·‖W_u‖·‖x_i‖, half a unit in the last place of W_u, seen as a
    length. (These ∇(s) are a part of Goldstein's (1977) generalized gradient of that radius.)
    Elsewhere s is the gradient's, 1 where z_ui > 0 and 0 where not.

    s is found by maximizing the dual of the proximal step from W, which at Ω = 0 is the shortest
    ∇(s); of the s on the way, the gradient's among them, the one of the smallest relative residual
    counts. Any s gives an upper bound that can be checked by itself. Where all kinks that W is on
    bend upwards, the loss is regular (Clarke 1983, section 2.3), and a residual of 0 says that no
    direction leads downhill.
    """
    many = len(problem.group) > MANY_COLUMNS
    if many and (which := _kept_columns(first, problem)) is not None:
        return _by_kept(first, which, problem)
    step = RESIDUAL_STEP
    side, pairs, rest = _kinks_apart(first, ROUNDING, 0.0, problem)
    by_gradient = first - step * (rest + _pull(pairs, _multipliers(pairs, side)))
    best = certificate(first - proximal_step(by_gradient, step, problem), problem)
    if len(pairs.indices[0]):
        options = 0.5 * pairs.slopes, problem, RESIDUAL_NEWTON_STEPS, RESIDUAL_REPEATS
        for landed, _ in _proximal_steps(first, step, rest, pairs, *options):
            best = min(best, certificate(first - landed, problem))
    return best


def _kept_columns(first: np.ndarray, problem: Problem) -> np.ndarray | None:
    """Columns of variables that are not zero or have no penalty; None where that is all of them."""
    kept = variable_norms(first, problem) > 0.0
    kept[problem.group[problem.factor == 0.0]] = True
    which = np.flatnonzero(kept[problem.group])
    return which if len(which) < len(problem.group) else None


def _by_kept(first: np.ndarray, which: np.ndarray, problem: Problem) -> Certificate:
    """`kkt_residual` with the s that makes it small on the columns `which`, an upper bound: the
    others, which are zero, count by their residuals alone."""
    part, kept_first, step = problem.of_columns(which), first[:, which], RESIDUAL_STEP
    side, pairs, rest = _kinks_apart(kept_first, ROUNDING, 0.0, part)
    multipliers = _multipliers(pairs, side)
    moved = kept_first - proximal_step(
        kept_first - step * (rest + _pull(pairs, multipliers)), step, part
    )
    smallest = certificate(moved, part)
    if len(pairs.indices[0]):
        options = 0.5 * pairs.slopes, part, RESIDUAL_NEWTON_STEPS, RESIDUAL_REPEATS
        for landed, candidate_multipliers in _proximal_steps(
            kept_first, step, rest, pairs, *options
        ):
            if (candidate := certificate(kept_first - landed, part)) < smallest:
                smallest, multipliers = candidate, candidate_multipliers
    side[pairs.indices] = multipliers[pairs.places] / pairs.slopes[pairs.places]
    slopes = _slopes(np.maximum(kept_first @ part.columns.T, 0.0), problem)
    first_gradient = (slopes * side) @ problem.columns
    return certificate(first - proximal_step(first - step * first_gradient, step, problem), problem)


class Settled(NamedTuple):
    """First layers (h, p) of numbers that float32 holds: the one with the smallest relative
    residual, its certificate, and the last one."""

    best: np.ndarray
    certificate: Certificate
    last: np.ndarray


def onto_kinks(first: np.ndarray, tolerance: float, problem: Problem) -> Settled:
    """From W by accelerated proximal steps to the kinks, until the relative residual is within the
    tolerance or MOST_STEPS are over.

    The steps are those of `pipeline.solvers.fista`, Beck and Teboulle's, with the kinks in the
    proximal step. Before each look at the residual momentum, which carries W past the
    minimum, is dropped.
    A round after which the objective is higher crossed kinks that its steps did not look at: it
    is not taken, and the next steps are SHORTER. Variables that are zero stay so.
    """
    which = _kept_columns(first, problem)
    if which is not None:
        part = onto_kinks(first[:, which], tolerance, problem.of_columns(which))
        best, last = (
            _spread(kept_columns, which, first.shape) for kept_columns in (part.best, part.last)
        )
        return Settled(best, kkt_residual(best, problem), last)
    current = best = last = first.astype(np.float64)
    smallest = kkt_residual(current, problem)
    if smallest.relative <= tolerance:
        return Settled(best, smallest, last)
    length = 1.0 / (SAFETY * _curvature(current, problem))
    s, value = None, objective(current, problem)
    steps = with_momentum = 0
    while smallest.relative > tolerance and steps < MOST_STEPS:
        moved, kinks, s_after = _round(current, s, length, with_momentum, problem)
        steps += with_momentum + WITHOUT
        value_after = objective(moved, problem)
        if not value_after <= value:
            length, with_momentum = SHORTER * length, 0
            continue
        current, s, value, with_momentum = moved, s_after, value_after, WITH_MOMENTUM
        last = _projected(current, *kinks).astype(np.float32).astype(np.float64)
        residual = kkt_residual(last, problem)
        if residual < smallest:
            best, smallest = last, residual
    return Settled(best, smallest, last)


def _spread(part: np.ndarray, which: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, p) with these columns, and zeros in the others."""
    whole = np.zeros(shape)
    whole[:, which] = part
    return whole


def _round(current, s, length, with_momentum, problem):
    """From `at` with s (h, n) of every pair (None: as the gradient has it), so many steps with
    momentum and WITHOUT: W (h, p), the last step's kinks and their σ, and s."""
    before, momentum = current, 1.0
    for i in range(with_momentum + WITHOUT):
        momentum = 1.0 if i >= with_momentum else momentum
        after = momentum_after(momentum)
        point = current + ((momentum - 1.0) / after) * (current - before)
        side, pairs, rest = _kinks_apart(point, REACH, length, problem)
        start = _multipliers(pairs, side if s is None else s)
        ((landed, multipliers),) = _proximal_steps(
            point, length, rest, pairs, start, problem, NEWTON_STEPS, 1
        )
        side[pairs.indices] = multipliers[pairs.places] / pairs.slopes[pairs.places]
        momentum = 1.0 if uphill(point, landed, current) else after
        s, before, current = side, current, landed
    return current, (pairs, multipliers), s
