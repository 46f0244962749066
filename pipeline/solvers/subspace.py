"""Full-batch steps on the first layer: quasi-Newton among the weights that are not zero.

Mini-batches leave a first layer near a stationary point, within the noise of their gradients. From
there it is moved, the later layers and the encoder as they are, on all training rows. Around W the
objective F = f + Ω is smooth in the weights that are not zero, and of the several hundred few
directions are steep: there L-BFGS needs a tenth of the steps that gradients with momentum take.
So there quasi-Newton steps are taken (`walk`).

Steps see a working set: the variables that are not zero, and zeroed ones whose residual says that
they should not be (as in celer and skglm). When the set is solved, all columns are looked at again.

Why the first layer alone: Ω is on the first layer only, and a ReLU network keeps its predictions
when a unit's incoming weights are halved and its outgoing ones doubled. So with free later weights
the objective has no minimum at all; given the later layers it has, and zeros can be certified.

Shapes: h units, p columns, g variables.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.solvers.kinks import Certificate
from pipeline.solvers.kkt import by_gradient
from pipeline.solvers.problem import (
    Problem,
    loss_and_gradient,
    penalty,
    residuals,
    variable_norms,
)
from pipeline.solvers.walk import Walk

SINGLE = 1e-4
"""Tolerance from which on float32 is fine enough within a working set, which is looked at in
float64 when it is solved."""

FIRST_STAGE, STAGE = 1e-3, 0.1
"""A tolerance below FIRST_STAGE is reached in stages, each at a tenth of where the last one ended:
a network at a tighter tolerance goes on from where it would have been at a wider one."""

INNER = 0.5
"""Share of the tolerance to which a working set is solved before all columns are looked at."""


class Descended(NamedTuple):
    """A first layer (h, p), its certificate by the gradient, and its objective."""

    first: np.ndarray
    certificate: Certificate
    objective: float


def descended(first: np.ndarray, problem: Problem, tolerance: float, steps: int) -> Descended:
    """W (h, p) moved until max_g of its residual over `problem.scales` is within the tolerance, or
    `steps` are done, or units that bend keep it from falling."""
    dtype: type = np.float32
    far = problem.lambdas[0] > 0.0 and not problem.convex
    while True:
        loss, first_gradient = loss_and_gradient(first, problem)
        residual = residuals(first, first_gradient, problem)
        relative = residual / problem.scales
        certificate = Certificate(float(relative.max()), float(residual.max()))
        reached = Descended(first, certificate, loss + penalty(first, problem) + problem.decay)
        if steps <= 0 or certificate.relative <= tolerance:
            return reached
        aim = INNER * max(tolerance, min(FIRST_STAGE, STAGE * certificate.relative))
        dtype = np.float64 if aim < SINGLE else dtype
        working = (variable_norms(first, problem) > 0.0) | (relative > aim)
        working[problem.group[problem.factor == 0.0]] = True
        which = np.flatnonzero(working[problem.group])
        part = problem if len(which) == len(problem.group) else problem.of_columns(which)
        walk = Walk(first[:, which], part, dtype)
        if far:
            walk.with_momentum(steps)
            far = False
        stopped = walk.on(aim, steps)
        first, steps = np.zeros_like(first), steps - walk.used
        first[:, which] = walk.here.first.astype(dtype)
        if stopped or walk.used == 1:
            if problem.bends or dtype is np.float64:
                return Descended(first, *by_gradient(first, problem))
            dtype = np.float64
