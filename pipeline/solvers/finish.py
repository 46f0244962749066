"""The end of training: a first layer brought to where its certificate holds.

Quasi-Newton steps on all rows (`subspace`) take most networks there. A network of ReLU units that
they leave above the tolerance goes on to its kinks (`kinks`); where that is not enough, because the
first had stopped far from a minimum, through both again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.networks import Schedule
from pipeline.solvers import kinks
from pipeline.solvers.kinks import Certificate
from pipeline.solvers.kkt import by_gradient
from pipeline.solvers.problem import Problem, objective
from pipeline.solvers.subspace import Descended, descended

TIMES, WORTHWHILE = 4, 0.9
"""A network of ReLU units goes through `subspace` and `kinks` so many times at most; after the
second time only while each time lowers its residual below this share of what it was."""

CONVEX, CONVEX_STEPS = 1e-2, 10
"""Share of the tolerance asked of networks without a hidden layer, and how many times the steps
they may take: theirs are cheap, and other solvers find their minimum to more digits."""

SMOOTH, SMOOTH_STEPS = 0.2, 5
"""The same of networks with hidden layers of smooth units: their minima lie in long valleys, along
which a weight or two in a thousand would still become zero, or come back, after a residual of 1."""


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
    share, times_steps = 1.0, 1
    if problem.convex:
        share, times_steps = CONVEX, CONVEX_STEPS
    elif not problem.bends:
        share, times_steps = SMOOTH, SMOOTH_STEPS
    tolerance, steps = schedule.tolerance * share, schedule.finish_steps * times_steps
    follow = problem.bends and schedule.follow_kinks
    last, best, length = np.asarray(first, np.float64), None, None
    for times in range(TIMES if follow else 1):
        before = np.inf if best is None else best.certificate.relative
        reached = descended(last, problem, tolerance, steps)
        candidates = [_rounded(reached, problem)] + ([best] if best else [])
        best = min(candidates, key=lambda each: each.certificate)
        if best.certificate.relative > tolerance and follow:
            settled = kinks.onto_kinks(reached.first, tolerance, problem, length)
            last, length = settled.last, settled.length
            if settled.certificate < best.certificate:
                value = objective(settled.best, problem) + problem.decay
                best = Finished(settled.best, settled.certificate, value)
        relative = best.certificate.relative
        if relative <= tolerance or (times and relative >= WORTHWHILE * before):
            break
    assert best is not None
    return best._replace(first=best.first.astype(np.float32))


def _rounded(reached: Descended, problem: Problem) -> Finished:
    """With the numbers that float32 holds, and what they are."""
    first = reached.first.astype(np.float32).astype(np.float64)
    if np.array_equal(first, reached.first):
        return Finished(*reached)
    return Finished(first, *by_gradient(first, problem))
