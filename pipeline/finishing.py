"""Full-batch finishing of the first layer: until its certificate holds.

Mini-batches leave a first layer near a stationary point, within the noise of their gradients. From
there the first layer of each network is moved, its later layers and its encoder as they are, by
accelerated proximal gradient steps on all training rows (FISTA, Beck and Teboulle 2009, with the
step size found by backtracking, and the momentum restarted where the objective rises, O'Donoghue
and Candès 2015):

    W⁺ = prox_{t·Ω}(Y − t·∇f(Y))      Y⁺ = W⁺ + ((s − 1)/s⁺)·(W⁺ − W)

All of it in float64. Backtracking and restarts compare objectives that agree to more and more
digits: in float32 no residual below about 1e-4 is reached, and rounding decides which steps are
taken, so that a network's end would depend on those beside it.

Why the first layer alone: Ω is on the first layer only, and a ReLU network keeps its predictions
when a unit's incoming weights are halved and its outgoing ones doubled. So with free later weights
the objective has no minimum at all; given the later layers it has, and zeros can be certified.

Shapes: K networks, h units, p columns, n training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline import penalties
from pipeline.certificate import certify
from pipeline.network import (
    Architecture,
    Weights,
    backward,
    forward,
    loss_gradient,
    row_losses,
)
from pipeline.optimiser import Hyperparameters
from pipeline.program import Constants

GROW, SHRINK = 1.1, 0.5
"""Factors of the step size after a step that was taken, and one that was not."""


STEPS_BETWEEN_CHECKS = 25
"""Steps after which the certificate is computed anew, and finished networks leave."""

SETTLED = 0.1
"""A network whose objective falls by no more than this times tolerance² of itself between checks
has settled: the objective's excess over its minimum is of the order of the residual's square."""

STALLED_CHECKS = 2
"""A ReLU network leaves when its residual has not fallen by a tenth over so many checks."""


class Finish(NamedTuple):
    """Of every network: W and the point Y of the next gradient (K, h, p), the step size t, the
    momentum's s, and the objective at W, each (K,)."""

    first: tf.Tensor
    point: tf.Tensor
    step: tf.Tensor
    momentum: tf.Tensor
    objective: tf.Tensor


def start(first: tf.Tensor) -> Finish:
    """At W, with a step size that backtracking corrects."""
    one = tf.ones([tf.shape(first)[0]], first.dtype)
    return Finish(first, first, one, one, one * first.dtype.max)


@lru_cache(maxsize=32)
def finisher(architecture: Architecture, task: str) -> Callable[..., Finish]:
    """The compiled steps for an architecture: f(finish, later, encodings, constants,
    hyperparameters, steps) → finish; encodings (K, d, n), or (0, 0, 0) without genotypes."""
    architecture = replace(architecture, dropout=0.0)

    def loss(first, later, encodings, constants, share):
        seen = forward(Weights(first, later), constants.columns, encodings, architecture)
        rows = row_losses(seen.predictions, constants.target, task)
        return tf.linalg.matvec(rows, share), seen

    @tf.function(reduce_retracing=True)
    def run(finish, later, encodings, constants: Constants, hyper: Hyperparameters, steps):
        encodings = encodings if architecture.genetic_dimensions else None
        share = constants.row_weights / tf.reduce_sum(constants.row_weights)
        columns = tf.shape(finish.first)[2]

        def body(i, at: Finish):
            value, seen = loss(at.point, later, encodings, constants, share)
            upstream = loss_gradient(seen.predictions, constants.target, task) * share
            gradient, _ = backward(
                Weights(at.point, later), constants.columns, encodings, seen, upstream, architecture
            )
            steps_of = tf.tile(at.step[:, None], [1, columns])
            moved = penalties.proximal_step(
                at.point - at.step[:, None, None] * gradient.first,
                steps_of,
                hyper.lambdas,
                constants.groups,
            )
            change = moved - at.point
            new_value, _ = loss(moved, later, encodings, constants, share)
            bound = (
                value
                + tf.reduce_sum(gradient.first * change, axis=[1, 2])
                + tf.reduce_sum(tf.square(change), axis=[1, 2]) / (2.0 * at.step)
            )
            # Near the end both sides agree to all digits of the loss.
            rounding = np.finfo(value.dtype.as_numpy_dtype).eps
            fits = new_value <= bound + 8.0 * rounding * tf.abs(value)
            objective = new_value + penalties.value(moved, hyper.lambdas, constants.groups)
            falls = objective <= at.objective + rounding * tf.abs(at.objective)
            s = 0.5 * (1.0 + tf.sqrt(1.0 + 4.0 * tf.square(at.momentum)))
            ahead = moved + ((at.momentum - 1.0) / s)[:, None, None] * (moved - at.first)
            taken = fits & falls
            # Not taken: too long a step is halved; a rising objective restarts from W.
            restart = fits & ~falls
            one = tf.ones_like(s)
            mask = lambda c: c[:, None, None]  # noqa: E731
            return i + 1, Finish(
                tf.where(mask(taken), moved, at.first),
                tf.where(mask(taken), ahead, tf.where(mask(restart), at.first, at.point)),
                at.step * tf.where(taken, GROW * one, tf.where(restart, one, SHRINK * one)),
                tf.where(taken, s, tf.where(restart, one, at.momentum)),
                tf.where(taken, objective, at.objective),
            )

        return tf.while_loop(lambda i, _: i < steps, body, (0, finish), parallel_iterations=1)[1]

    return run


class _Stall:
    """Whether networks' residuals have stopped falling."""

    def __init__(self, residual: np.ndarray):
        self._mark, self._checks = residual.copy(), np.zeros(len(residual), int)

    def __call__(self, residual: np.ndarray, networks: np.ndarray) -> np.ndarray:
        """Of these networks, given their residuals now."""
        fell = residual < 0.9 * self._mark[networks]
        self._mark[networks[fell]] = residual[fell]
        self._checks[networks] = np.where(fell, 0, self._checks[networks] + 1)
        return self._checks[networks] >= STALLED_CHECKS


def finished(
    weights: Weights,
    encodings: tf.Tensor | None,
    constants: Constants,
    hyperparameters: Hyperparameters,
    architecture: Architecture,
    task: str,
    tolerance: float | None,
    most_steps: int,
) -> tuple[tf.Tensor, np.ndarray, np.ndarray]:
    """First layers (K, h, p) after finishing, their kkt_residual and objective, each (K,) float64.

    constants are those of float64. A network leaves when its residual is at most the tolerance,
    when its objective has settled, or after most_steps; it keeps the state with the smallest
    residual seen. Where ReLU units bend at data points the residual may stay above the tolerance,
    for the loss has no gradient there: such a network leaves when its residual stalls.
    """

    def certified(first: tf.Tensor, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        later = _take(weights.later, which)
        own = None if encodings is None else tf.gather(encodings, which)
        residual, objective = certify(
            Weights(first, later), own, constants, _take(hyperparameters, which), architecture, task
        )
        return residual.numpy(), objective.numpy()

    active = np.arange(weights.first.shape[0])
    residual, objective = certified(weights.first, active)
    if tolerance is None:
        return weights.first, residual, objective
    best = weights.first.numpy()
    active = np.flatnonzero(residual > tolerance)
    train = _training_rows(constants)
    none = tf.zeros([len(residual), 0, 0])
    given = (weights.later, none if encodings is None else encodings, hyperparameters)
    later, own, hyper = tf.nest.map_structure(lambda x: tf.cast(x, tf.float64), given)
    state = start(tf.cast(tf.gather(weights.first, active), tf.float64))
    run, done, stalled = finisher(architecture, task), 0, _Stall(residual)
    bends = architecture.activation == "relu" and bool(architecture.hidden_layer_sizes)
    while len(active) and done < most_steps:
        before = state.objective.numpy()
        state = run(
            state,
            _take(later, active),
            tf.gather(own, active),
            train,
            _take(hyper, active),
            tf.constant(STEPS_BETWEEN_CHECKS),
        )
        done += STEPS_BETWEEN_CHECKS
        first = tf.cast(state.first, tf.float32)
        now, value = certified(first, active)
        better = now < residual[active]
        residual[active[better]], objective[active[better]] = now[better], value[better]
        best[active[better]] = first.numpy()[better]
        settled = before - state.objective.numpy() <= SETTLED * tolerance**2 * np.abs(before)
        staying = np.flatnonzero((now > tolerance) & ~settled & ~(bends & stalled(now, active)))
        state, active = _take(state, staying), active[staying]
    return tf.constant(best), residual, objective


def _training_rows(constants: Constants) -> Constants:
    rows = tf.shape(constants.row_weights)[0]
    return constants._replace(columns=constants.columns[:rows], target=constants.target[:, :rows])


def _take(tree, networks: np.ndarray):
    return tf.nest.map_structure(lambda x: tf.gather(x, networks), tree)
