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

from typing import NamedTuple

import numpy as np

from pipeline.solvers.box_minimum import box_minimum
from pipeline.solvers.near_kinks import (
    REACH,
    Pairs,
    kinks_apart,
    loss_slopes,
    multipliers_of,
    pull,
)
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
from pipeline.solvers.walk import Walk

ROUNDING = 2.0**-24
"""Half a unit in the last place of float32: rounding moves W_u by up to so much of its length."""

SAFETY, POWER_STEPS = 1.5, 3
"""Power iteration approaches the largest curvature from below."""

WITH_MOMENTUM, WITHOUT, MOST_STEPS = 12, 4, 48
"""Steps before each look at the residual, the first ones without momentum; and all together."""

SHORTER, MUCH, MOST_TRIALS = 0.25, 1e-6, 8
"""Share of its length that a step keeps where the objective rose; what a first step may raise it,
as those after it may lower it again; and how many first steps are tried."""

INNER, STEPS_ALONG, WALKS_ALONG = 0.3, 60, 8
"""Share of the tolerance to which W is moved among the points of its kinks; evaluations for that,
until a weight becomes 0; and how often it goes on from there."""

RISE = 1e-8
"""Share of the objective that it may rise in a round: beside a minimum it is flat."""

NEWTON_STEPS, RESIDUAL_NEWTON_STEPS = 6, 15
"""Newton steps at most for the multipliers of a step, and for those of the residual."""

MANY_COLUMNS = 512
"""Beyond so many columns kinks are followed on those alone that are not zero: most are, and each
row of a kink has as many numbers as there are columns."""

RESIDUAL_REPEATS = 4
"""Times that the residual's multipliers are solved for, each time with the penalty's derivative at
the weights of the time before."""


def _curvature(first: np.ndarray, problem: Problem) -> float:
    """L around W where no unit changes its side."""
    side = (first @ problem.columns.T > 0.0).astype(float)

    def slope(weights: np.ndarray) -> np.ndarray:
        return (loss_slopes(weights @ problem.columns.T * side, problem) * side) @ problem.columns

    return curvature(first, slope, POWER_STEPS)


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
        return proximal_step(point - step * (rest + pull(pairs, multipliers)), step, problem)

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
    rows, gram = _held(first, pairs, multipliers)
    for _ in range(2):  # the second time corrects the rounding of the first
        away = np.matmul(rows, first[:, :, None])
        first = first - np.matmul(rows.transpose(0, 2, 1), np.linalg.solve(gram, away))[:, :, 0]
    return first


def _held(first: np.ndarray, pairs: Pairs, multipliers: np.ndarray):
    """The rows (h, m, p) of all pairs with 0 < σ < c, padded with rows of zeros, in the weights
    that are not zero, and their products (h, m, m), lifted a little to be regular."""
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
    return rows, gram


class Certificate(NamedTuple):
    """max_g of the residual over the variable's scale, and max_g of the residual itself."""

    relative: float
    absolute: float


def certificate(moved: np.ndarray, problem: Problem) -> Certificate:
    """Of W − prox_t(W − t·∇), (h, p), with t = RESIDUAL_STEP."""
    each = variable_norms(moved, problem) / RESIDUAL_STEP
    return Certificate(float((each / problem.scales).max()), float(each.max()))


def kkt_residual(first: np.ndarray, problem: Problem, enough: float = 0.0) -> Certificate:
    """‖W_g − prox_t(W_g − t·∇_g(s))‖/t with the s that make it small; s is not looked for further
    where the relative residual is at most `enough`.

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
    return certificate(_moved(first, problem, enough), problem)


def _moved(first: np.ndarray, problem: Problem, enough: float) -> np.ndarray:
    """W − prox_t(W − t·∇(s)), (h, p), with the s of `kkt_residual`."""
    many = len(problem.group) > MANY_COLUMNS
    if many and (which := _kept_columns(first, problem)) is not None:
        return _moved_by_kept(first, which, problem, enough)
    return _with_multipliers(first, problem, enough)[0]


def _with_multipliers(first: np.ndarray, problem: Problem, enough: float):
    """`_moved`, s as the gradient has it (h, n), and the kinks with the σ found for them."""
    step = RESIDUAL_STEP
    side, pairs, rest = kinks_apart(first, ROUNDING, 0.0, problem)
    multipliers = multipliers_of(pairs, side)
    by_gradient = first - step * (rest + pull(pairs, multipliers))
    moved = first - proximal_step(by_gradient, step, problem)
    smallest = certificate(moved, problem)
    if len(pairs.indices[0]) and smallest.relative > enough:
        options = 0.5 * pairs.slopes, problem, RESIDUAL_NEWTON_STEPS, RESIDUAL_REPEATS
        for landed, tried in _proximal_steps(first, step, rest, pairs, *options):
            if (candidate := certificate(first - landed, problem)) < smallest:
                moved, smallest, multipliers = first - landed, candidate, tried
            if smallest.relative <= enough:
                break
    return moved, side, pairs, multipliers


def _kept_columns(first: np.ndarray, problem: Problem) -> np.ndarray | None:
    """Columns of variables that are not zero or have no penalty; None where that is all of them."""
    kept = variable_norms(first, problem) > 0.0
    kept[problem.group[problem.factor == 0.0]] = True
    which = np.flatnonzero(kept[problem.group])
    return which if len(which) < len(problem.group) else None


def _moved_by_kept(
    first: np.ndarray, which: np.ndarray, problem: Problem, enough: float
) -> np.ndarray:
    """`_moved` with the s that makes it small on the columns `which`, an upper bound: the others,
    which are zero, count by their residuals alone."""
    part, kept_first, step = problem.of_columns(which), first[:, which], RESIDUAL_STEP
    _, side, pairs, multipliers = _with_multipliers(kept_first, part, enough)
    side[pairs.indices] = multipliers[pairs.places] / pairs.slopes[pairs.places]
    each = loss_slopes(np.maximum(kept_first @ part.columns.T, 0.0), problem)
    first_gradient = (each * side) @ problem.columns
    return first - proximal_step(first - step * first_gradient, step, problem)


class Settled(NamedTuple):
    """First layers (h, p) of numbers that float32 holds: the one with the smallest relative
    residual, its certificate, and the last one; and the length of the last steps."""

    best: np.ndarray
    certificate: Certificate
    last: np.ndarray
    length: float


def onto_kinks(
    first: np.ndarray, tolerance: float, problem: Problem, length: float | None = None
) -> Settled:
    """From W by accelerated proximal steps to the kinks, until the relative residual is within the
    tolerance or MOST_STEPS are over.

    The steps are those of Beck and Teboulle (2009), with the kinks in the proximal step. Before
    each look at the residual momentum, which carries W past the minimum, is dropped.
    Columns of variables that are zero are looked at when the others are done, and take part
    once more where their residual says so.
    """
    first = first.astype(np.float64)
    taking_part = variable_norms(first, problem) > 0.0
    taking_part[problem.group[problem.factor == 0.0]] = True
    settled = None
    while True:
        which = np.flatnonzero(taking_part[problem.group])
        part = _settled(first[:, which], tolerance, problem.of_columns(which), length)
        length = part.length
        best, last = (_spread(each, which, first.shape) for each in (part.best, part.last))
        moved = _moved(best, problem, tolerance)
        now = Settled(best, certificate(moved, problem), last, length)
        settled = now if settled is None or now.certificate < settled.certificate else settled
        asking = variable_norms(moved, problem) > RESIDUAL_STEP * tolerance * problem.scales
        asking &= ~taking_part
        if not asking.any():
            return settled
        taking_part |= asking
        first = last


def _settled(
    first: np.ndarray, tolerance: float, problem: Problem, length: float | None
) -> Settled:
    """`onto_kinks` on all columns, by steps of 1/curvature, or little longer than this length.

    A step or a round after which the objective is higher crossed kinks that it did not look at: it
    is not taken, and the next steps are SHORTER.
    """
    current = best = last = first.astype(np.float64)
    smallest = Certificate(np.inf, np.inf)
    longest = 1.0 / (SAFETY * _curvature(current, problem))
    length = longest if length is None else min(longest, length / SHORTER)
    s, value, rough = None, objective(current, problem), problem.in_precision(np.float32)
    steps = with_momentum = 0
    while True:  # the first step alone says whether its length is far too long
        tried, *_ = _round(current, s, length, (0, 1), problem, rough)
        steps += 1
        if steps == MOST_TRIALS or objective(tried, problem) <= value + MUCH * abs(value):
            break
        length *= SHORTER
    while smallest.relative > tolerance and steps < MOST_STEPS:
        many = with_momentum, WITHOUT
        moved, kinks, s_after = _round(current, s, length, many, problem, rough)
        steps += sum(many)
        value_after = objective(moved, problem)
        if not value_after <= value + RISE * abs(value):
            length, with_momentum = SHORTER * length, 0
            continue
        current, s, value = moved, s_after, value_after
        with_momentum = WITH_MOMENTUM
        last = _projected(current, *kinks).astype(np.float32).astype(np.float64)
        residual = kkt_residual(last, problem, tolerance)
        if residual < smallest:
            best, smallest = last, residual
        if smallest.relative > tolerance:
            walked = _along(current, kinks, tolerance, problem)
            if (value_walked := objective(walked, problem)) < value:
                current, value, with_momentum = walked, value_walked, 0
    return Settled(best, smallest, last, length)


def _along(first: np.ndarray, kinks: tuple, tolerance: float, problem: Problem) -> np.ndarray:
    """W moved among the points that lie on the same kinks (0 < σ < c), where F is smooth."""
    for _ in range(WALKS_ALONG):
        rows, gram = _held(first, *kinks)
        solved = np.linalg.solve(gram, rows).transpose(0, 2, 1)  # (h, p, m)

        def project(each: np.ndarray, rows=rows, solved=solved) -> np.ndarray:
            return each - np.matmul(solved, np.matmul(rows, each[:, :, None]))[:, :, 0]

        walk = Walk(_projected(first, *kinks), problem, np.float32)
        walk.along(project, INNER * tolerance, STEPS_ALONG)
        same = np.array_equal(walk.here.first != 0.0, first != 0.0)
        first = walk.here.first
        if same:
            break
    return first


def _spread(part: np.ndarray, which: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(h, p) with these columns, and zeros in the others."""
    whole = np.zeros(shape)
    whole[:, which] = part
    return whole


def _round(current, s, length, many, problem, rough):
    """From `at` with s (h, n) of every pair (None: as the gradient has it), so many steps with
    momentum and without: W (h, p), the last step's kinks and their σ, and s."""
    (with_momentum, without), before, momentum = many, current, 1.0
    for i in range(with_momentum + without):
        momentum = 1.0 if i >= with_momentum else momentum
        after = momentum_after(momentum)
        point = current + ((momentum - 1.0) / after) * (current - before)
        side, pairs, rest = kinks_apart(point, REACH, length, problem, rough)
        start = multipliers_of(pairs, side if s is None else s)
        ((landed, multipliers),) = _proximal_steps(
            point, length, rest, pairs, start, problem, NEWTON_STEPS, 1
        )
        side[pairs.indices] = multipliers[pairs.places] / pairs.slopes[pairs.places]
        momentum = 1.0 if uphill(point, landed, current) else after
        s, before, current = side, current, landed
    return current, (pairs, multipliers), s
