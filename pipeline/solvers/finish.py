"""The end of training: first layers brought to where their certificate holds.

Accelerated steps on all rows (`fista.py`) take most networks there. A network of ReLU
units that they leave above the tolerance goes on to its kinks (`kinks.py`); where that is
not enough, because the first had stopped far from a minimum, through both again.
"""

from __future__ import annotations

import numpy as np

from pipeline.networks import Constants, Schedule, Weights
from pipeline.solvers import kinks
from pipeline.solvers.fista import RESIDUAL_STEP, Given, finished
from pipeline.solvers.kkt import by_gradient, certified, problems

TIMES, WORTHWHILE = 4, 0.9
"""That a network of ReLU units is taken through both, at most; and after the second time again only
where that left no more than this share of its residual."""

PATIENCE = 5
"""After the first time there are so many times as many steps: with few weights left in each unit
(a strong l1) objectives fall slowly for long, on no kink."""


def settled(
    weights: Weights, networks: int, constants: Constants, given: Given, schedule: Schedule
) -> tuple[Weights, np.ndarray, np.ndarray]:
    """The same weights with settled first layers, each the one of the smallest kkt_residual that
    its network had; those residuals and the objectives, each (networks,).

    The first `networks` of K are someone's; the others stay as they are. With no tolerance nothing
    is moved.
    """
    tolerance, follow = schedule.tolerance, given.bends and schedule.follow_kinks
    if tolerance is None:
        return weights, *by_gradient(weights, networks, given)
    problem = problems(weights, given) if follow else None
    best = last = np.array(weights.first)
    smallest, objective = np.full(networks, np.inf), np.full(networks, np.nan)
    going, unmoved = np.ones(networks, bool), np.zeros(len(last) - networks)
    for times in range(TIMES if follow else 1):
        # Away from kinks the gradient's residual rises before it falls: it starts from nothing.
        start = np.append(np.where(going, np.inf, 0.0), unmoved)
        patience = PATIENCE if times else 1
        last = finished(weights._replace(first=last), start, constants, given, schedule, patience)
        found, now = by_gradient(weights._replace(first=last), networks, given)
        best, before = best.copy(), smallest.copy()
        for k in np.flatnonzero(going):
            if found[k] < smallest[k]:
                best[k], smallest[k], objective[k] = last[k], found[k], now[k]
            if smallest[k] > tolerance and follow:
                at = kinks.onto_kinks(last[k], tolerance, RESIDUAL_STEP, problem(k))
                last[k] = at.last
                if at.residual < smallest[k]:
                    best[k], smallest[k], objective[k] = at.best, at.residual, np.nan
        going &= smallest > tolerance
        if times:
            going &= smallest < WORTHWHILE * before
        if not going.any():
            break
    weights = weights._replace(first=best)
    if np.isnan(objective).any():
        return weights, *certified(weights, networks, given, tolerance)
    return weights, smallest, objective
