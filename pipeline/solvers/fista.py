"""Accelerated full-batch steps on the first layer, on the columns that are not zero alone.

Mini-batches leave a first layer near a stationary point, within the noise of their gradients. From
there it is moved, the later layers and the encoder as they are, by accelerated proximal gradient
steps on all training rows (FISTA, Beck and Teboulle 2009, with the momentum restarted where it
points uphill):

    Y  = W + ((s − 1)/s⁺)·(W − W₋)      W⁺ = prox_{t·Ω}(Y − t·∇f(Y))      s⁺ = (1 + √(1 + 4s²))/2

with t = 1/(SAFETY·L), L the largest curvature of the loss f around W by power iteration, halved
where the objective rises from one check to the next.

Steps see a working set: the variables that are not zero, and zeroed ones whose residual says that
they should not be (as in celer and skglm). When the set is solved, all columns are looked at again.

Why the first layer alone: Ω is on the first layer only, and a ReLU network keeps its predictions
when a unit's incoming weights are halved and its outgoing ones doubled. So with free later weights
the objective has no minimum at all; given the later layers it has, and zeros can be certified.

Shapes: h units, p columns, g variables.
"""

from __future__ import annotations

import numpy as np

from pipeline.solvers.problem import (
    Problem,
    curvature,
    gradient,
    loss_and_gradient,
    momentum_after,
    penalty,
    proximal_step,
    residuals,
    uphill,
    variable_norms,
)

SAFETY, POWER_STEPS = 1.2, 5
"""Power iteration approaches the largest curvature from below."""

STEPS_BETWEEN_CHECKS = 20

SINGLE = 1e-4
"""Tolerance from which on float32 is fine enough within a working set, which is looked at in
float64 when it is solved."""

INNER = 0.5
"""Share of the tolerance to which a working set is solved before all columns are looked at."""

RISE = 1e-6
"""An objective that rose by this share between checks: the step was too long, and is halved."""

STALLED_CHECKS, FALL, STALLED, FLAT = 5, 0.9, 1e-3, 1e-5
"""Steps on a ReLU network end where over so many checks, times the patience, neither the residual
has fallen below the share FALL of what it was, nor the objective by the share STALLED; with no
patience where the objective has not even fallen by FLAT."""


class _Stall:
    """Whether a network's residual or objective still falls."""

    def __init__(self, checks: int):
        self._checks, self._waited = checks, 0
        self._residual = self._objective = np.inf

    def now(self, residual: float, objective: float) -> bool:
        """Whether neither has fallen for so many checks."""
        fallen = 1.0 - objective / self._objective  # losses are not negative
        if residual < FALL * self._residual or fallen > STALLED:
            self._residual, self._objective = min(self._residual, residual), objective
            self._waited = 0
        else:
            self._waited += 1
        checks = self._checks if fallen > FLAT else min(self._checks, STALLED_CHECKS)
        return self._waited >= checks


def accelerated(
    first: np.ndarray, problem: Problem, tolerance: float, steps: int, patience: int = 1
) -> np.ndarray:
    """W (h, p) moved until max_g of its residual over `problem.scales` is within the tolerance, or
    `steps` are done, or units that bend keep it from falling."""
    stall = _Stall(patience * STALLED_CHECKS)
    while True:
        residual = residuals(first, gradient(first, problem), problem) / problem.scales
        if steps <= 0 or residual.max() <= tolerance:
            return first
        working = (variable_norms(first, problem) > 0.0) | (residual > INNER * tolerance)
        working[problem.group[problem.factor == 0.0]] = True
        which = np.flatnonzero(working[problem.group])
        part = problem if len(which) == len(problem.group) else problem.of_columns(which)
        scales = problem.scales[: int(part.group.max()) + 1]
        moved, used, stalled = _on_working_set(
            first[:, which], part, scales, INNER * tolerance, steps, stall
        )
        first, steps = np.zeros_like(first), steps - used
        first[:, which] = moved
        if stalled:
            return first


def _on_working_set(
    first: np.ndarray,
    problem: Problem,
    scales: np.ndarray,
    tolerance: float,
    steps: int,
    stall: _Stall,
) -> tuple[np.ndarray, int, bool]:
    """W with the columns of a working set alone, the steps taken, and whether it stalled."""
    size = 1.0 / (SAFETY * curvature(first, lambda w: gradient(w, problem), POWER_STEPS))
    dtype = np.float32 if tolerance >= SINGLE else np.float64
    working_problem, first = problem.in_precision(dtype), first.astype(dtype)
    before, momentum, used = first, 1.0, 0
    best, lowest = first, np.inf
    while used < steps:
        for _ in range(STEPS_BETWEEN_CHECKS):
            after = momentum_after(momentum)
            point = first + ((momentum - 1.0) / after) * (first - before)
            landed = proximal_step(
                point - size * gradient(point, working_problem), size, working_problem
            )
            momentum = 1.0 if uphill(point, landed, first) else after
            before, first = first, landed
        used += STEPS_BETWEEN_CHECKS
        loss, first_gradient = loss_and_gradient(first, working_problem)
        objective = loss + penalty(first, working_problem)
        if not objective <= lowest + RISE * abs(lowest):
            first, before, momentum, size = best, best, 1.0, 0.5 * size
            continue
        best, lowest = first, objective
        residual = float((residuals(first, first_gradient, working_problem) / scales).max())
        if residual <= tolerance:
            return first, used, False
        if problem.bends and stall.now(residual, objective):
            return first, used, True
    return first, used, False
