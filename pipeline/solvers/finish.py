"""The end of training: a first layer brought to where its certificate holds.

Accelerated steps on all rows (`fista`) take most networks there. A network of ReLU units that they
leave above the tolerance goes on to its kinks (`kinks`); where that is not enough, because the
first had stopped far from a minimum, through both again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.networks import Schedule
from pipeline.solvers import kinks
from pipeline.solvers.fista import accelerated
from pipeline.solvers.kinks import Certificate
from pipeline.solvers.kkt import by_gradient, certified
from pipeline.solvers.problem import Problem

TIMES, WORTHWHILE = 4, 0.9
"""A network of ReLU units goes through `fista` and `kinks` so many times at most; after the second
time only while each time lowers its residual below this share of what it was."""

PATIENCE = 5
"""After the first time so many times as many steps are allowed: with few weights in each unit
(a strong l1) the objective falls slowly for long, away from any kink."""

CONVEX = 1e-2
"""Share of the tolerance asked of networks without a hidden layer: their steps are cheap, and
other solvers find their minimum to more digits. They may take 1/CONVEX^½ times as many steps."""


class Finished(NamedTuple):
    """A first layer (h, p) of numbers that float32 holds, its certificate and its objective."""

    first: np.ndarray
    certificate: Certificate
    objective: float


def finished(first: np.ndarray, problem: Problem, schedule: Schedule) -> Finished:
    """The first layer with the smallest relative residual of those on the way from `first`.

    With no tolerance nothing is moved, and the gradient's residual is the certificate.
    """
    if schedule.tolerance is None:
        return Finished(first, *by_gradient(np.asarray(first, np.float64), problem))
    share = CONVEX if problem.convex else 1.0
    tolerance, steps = schedule.tolerance * share, int(schedule.finish_steps / share**0.5)
    follow = problem.bends and schedule.follow_kinks
    last = np.asarray(first, np.float64)
    best, smallest = last, Certificate(np.inf, np.inf)
    for times in range(TIMES if follow else 1):
        patience, before = PATIENCE if times else 1, smallest.relative
        last = accelerated(last, problem, tolerance, patience * steps, patience)
        rounded = last.astype(np.float32).astype(np.float64)
        certificate, _ = by_gradient(rounded, problem)
        if certificate < smallest:
            best, smallest = rounded, certificate
        if smallest.relative > tolerance and follow:
            settled = kinks.onto_kinks(last, tolerance, problem)
            last = settled.last
            if settled.certificate < smallest:
                best, smallest = settled.best, settled.certificate
        if smallest.relative <= tolerance or (times and smallest.relative >= WORTHWHILE * before):
            break
    if follow:
        smallest, objective = certified(best, problem, tolerance)
    else:
        smallest, objective = by_gradient(best, problem)
    return Finished(best.astype(np.float32), smallest, objective)
