"""The end of training: first layers brought to where their certificate holds.

Accelerated steps on all rows (`pipeline.finishing`) take most networks there. A network of ReLU
units that they leave above the tolerance goes on to its kinks (`pipeline.kinks`); where that is
not enough, because the first had stopped far from a minimum, through both again.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from pipeline import kinks
from pipeline.certificate import bends, certifier, problems
from pipeline.finishing import RESIDUAL_STEP, finished
from pipeline.network import Architecture, Weights
from pipeline.optimiser import Hyperparameters
from pipeline.program import Constants
from pipeline.training_types import Schedule

TIMES, WORTHWHILE = 4, 0.9
"""That a network of ReLU units is taken through both, at most; and again only where the last time
left no more than this share of its residual."""


def settled(
    weights: Weights,
    encodings: tf.Tensor,
    networks: int,
    constants: Constants,
    exact: Constants,
    hyperparameters: Hyperparameters,
    architecture: Architecture,
    task: str,
    schedule: Schedule,
) -> Weights:
    """The same weights with settled first layers, each the one of the smallest kkt_residual that
    its network had.

    The first `networks` of K are someone's; the others stay as they are. exact: the constants in
    float64. A network whose gradient certifies it goes no further.
    """
    tolerance, certify = schedule.tolerance, certifier(architecture, task)

    def by_gradient(first: np.ndarray) -> np.ndarray:
        now = weights._replace(first=tf.constant(first))
        residual = certify(now, encodings, exact, hyperparameters)[0].numpy()
        return np.where(np.arange(len(first)) < networks, residual, 0.0)

    best = last = weights.first.numpy()
    smallest = by_gradient(best)
    if tolerance is None or not (smallest > tolerance).any():
        return weights
    problem = problems(weights, encodings, exact, hyperparameters, task)
    going, start = smallest > tolerance, smallest
    for _ in range(TIMES if bends(architecture) else 1):
        last = finished(
            weights._replace(first=tf.constant(last)), encodings, start, constants,
            hyperparameters, architecture, task, tolerance, schedule.finish_steps,
        ).copy()  # fmt: skip
        found, before = by_gradient(last), smallest.copy()
        best, smallest = best.copy(), smallest.copy()
        for k in np.flatnonzero(going):
            if found[k] < smallest[k]:
                best[k], smallest[k] = last[k], found[k]
            if smallest[k] > tolerance and bends(architecture):
                at = kinks.onto_kinks(last[k], tolerance, RESIDUAL_STEP, problem(k))
                last[k] = at.last
                if at.residual < smallest[k]:
                    best[k], smallest[k] = at.best, at.residual
        going &= (smallest > tolerance) & (smallest < WORTHWHILE * before)
        if not going.any():
            break
        # Away from kinks the gradient's residual rises before it falls.
        start = np.where(going, np.inf, 0.0)
    return weights._replace(first=tf.constant(best))
