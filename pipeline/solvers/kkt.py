"""How close a network's first layer is to optimal, in float64 over all training rows at once.

The residual of a variable is R_g = ‖W_g − prox_t(W_g − t·∇_g)‖/t with t = RESIDUAL_STEP and ∇ the
gradient of the mean loss. The certificate compares it with what the penalty weighs on the variable,
so that it binds at every λ:

    kkt_residual          max_g R_g/scale_g,  scale_g of `problem.Problem.scales`
    kkt_residual_absolute max_g R_g

Where units are ReLU, the loss has no gradient at points where one of them bends, and minima sit at
such points: there ∇ may be any element of the generalized gradient, and the smallest residual
found among them counts (`kinks.kkt_residual` says which, and how).
"""

from __future__ import annotations

import numpy as np

from pipeline.solvers import kinks
from pipeline.solvers.kinks import Certificate
from pipeline.solvers.problem import (
    RESIDUAL_STEP,
    Problem,
    loss_and_gradient,
    penalty,
    proximal_step,
)


def by_gradient(first: np.ndarray, problem: Problem) -> tuple[Certificate, float]:
    """The certificate with relu′(0) = 0, and the objective: mean loss + Ω(W) + the decay."""
    loss, first_gradient = loss_and_gradient(first, problem)
    moved = proximal_step(first - RESIDUAL_STEP * first_gradient, RESIDUAL_STEP, problem)
    certificate = kinks.certificate(first - moved, problem)
    return certificate, loss + penalty(first, problem) + problem.decay


def certified(
    first: np.ndarray, problem: Problem, enough: float = 0.0
) -> tuple[Certificate, float]:
    """Certificate and objective of W (h, p).

    Where the gradient's relative residual is at most `enough`, that counts, and no kink is looked
    at.
    """
    first = np.asarray(first, np.float64)
    certificate, objective = by_gradient(first, problem)
    if problem.bends and certificate.relative > enough:
        certificate = min(certificate, kinks.kkt_residual(first, problem))
    return certificate, objective
