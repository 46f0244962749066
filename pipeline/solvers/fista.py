"""Full-batch finishing of the first layer: until its certificate holds.

Mini-batches leave a first layer near a stationary point, within the noise of their gradients. From
there the first layer of each network is moved, its later layers and its encoder as they are, by
accelerated proximal gradient steps on all training rows (FISTA, Beck and Teboulle 2009, with the
momentum restarted where it points uphill, O'Donoghue and Candès 2015, their gradient scheme):

    Y  = W + ((s − 1)/s⁺)·(W − W₋)      W⁺ = prox_{t·Ω}(Y − t·∇f(Y))      s⁺ = (1 + √(1 + 4s²))/2

with t = 1/(SAFETY·L), L the largest curvature of the loss f around W by power iteration. There is
no line search: it compares objectives that agree to all digits of float32, so that rounding would
decide which steps are taken, and a network's end would depend on those beside it.

Why the first layer alone: Ω is on the first layer only, and a ReLU network keeps its predictions
when a unit's incoming weights are halved and its outgoing ones doubled. So with free later weights
the objective has no minimum at all; given the later layers it has, and zeros can be certified.

Networks are finished in blocks of a size that depends on the data alone, filled up from a queue as
networks leave: the same shapes for everyone, so the same arithmetic, whoever trains beside.

Shapes: B networks of a block, h units, p columns, n training rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.networks import (
    Architecture,
    Constants,
    Hyperparameters,
    Schedule,
    Weights,
    backward,
    forward,
    loss_gradient,
    penalties,
    row_losses,
    spare_networks,
    tensor_specs,
)

ROWS_SUMMED = 4096
"""Rows whose gradients are taken together: fewer are slower, and memory is bounded by so many."""


def full_gradient(
    weights: Weights,
    encodings: tf.Tensor,
    constants: Constants,
    architecture: Architecture,
    task: str,
    *,
    measured: bool,
) -> tuple[tf.Tensor, tf.Tensor]:
    """(K, h, p): ∂ mean loss/∂W in the precision of what is given; (K,) float64: the mean loss
    where measured, else 0. Rows are weighted by row_weights; encodings are (K, d, n), or (K, 0, 0).
    """
    rows = tf.shape(constants.row_weights)[0]
    share = constants.row_weights / tf.cast(rows, constants.row_weights.dtype)

    def body(begin, gradient, loss):
        end = tf.minimum(begin + ROWS_SUMMED, rows)
        columns, target = constants.columns[begin:end], constants.target[:, begin:end]
        own = encodings[:, :, begin:end] if architecture.genetic_dimensions else None
        seen = forward(weights, columns, own, architecture)
        upstream = loss_gradient(seen.predictions, target, task) * share[begin:end]
        found, _ = backward(weights, columns, own, seen, upstream, architecture)
        if measured:
            losses = tf.cast(row_losses(seen.predictions, target, task), tf.float64)
            loss += tf.linalg.matvec(losses, tf.cast(share[begin:end], tf.float64))
        return begin + ROWS_SUMMED, gradient + found.first, loss

    nothing = tf.zeros([weights.first.shape[0]], tf.float64)
    begun = (0, tf.zeros_like(weights.first), nothing)
    _, gradient, loss = tf.while_loop(lambda i, *_: i < rows, body, begun, parallel_iterations=1)
    return gradient, loss


SAFETY = 1.3
"""Power iteration approaches the largest curvature from below."""

POWER_STEPS = 4
"""Iterations before the steps between two checks, from where the last ones ended."""

STEPS_BETWEEN_CHECKS = 20
"""Steps after which residuals are computed, and finished networks leave."""

SETTLED, SETTLED_CHECKS = 0.1, 3
"""A network whose objective falls by no more than this times tolerance² of itself over so many
checks has settled: its excess over the minimum is of the order of the residual's square."""

STALLED_CHECKS, STALLED = 5, 1e-2
"""A ReLU network leaves when over so many checks, times its patience, its residual has not fallen
by a tenth, nor its objective by this share."""

RISE = 1e-3
"""An objective that rose by this share between checks: the step was too long, and is halved."""

BLOCK_NETWORKS, BLOCK_BYTES = 8, 64 * 2**20
"""Networks of a block: at most so many, and so many bytes of activations and their gradients."""

RESIDUAL_STEP = 1e-2
"""t of the fixed-point residual. The smaller, the stricter: at t → 0 it is the distance of 0 from
the subdifferential."""


class Finish(NamedTuple):
    """Of every network: W and the one before it (B, h, p), the momentum's s (B,), the power
    iteration's direction (B, h, p), and the factor (B,) by which t was halved."""

    first: tf.Tensor
    previous: tf.Tensor
    momentum: tf.Tensor
    direction: tf.Tensor
    halved: tf.Tensor


class Given(NamedTuple):
    """What stays as it is while first layers move: encodings (K, d, n) or (K, 0, 0), the constants
    in float64, and the λs among the hyperparameters."""

    encodings: tf.Tensor
    exact: Constants
    hyperparameters: Hyperparameters
    architecture: Architecture
    task: str

    @property
    def bends(self) -> bool:
        """Whether its units have kinks."""
        relu = self.architecture.activation == "relu"
        return relu and bool(self.architecture.hidden_layer_sizes)


def _per_network(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None]


def _norm(weights: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(weights), axis=[1, 2], keepdims=True))


@lru_cache(maxsize=64)
def finisher(architecture: Architecture, task: str, slots: int, columns: int) -> Callable:
    """The compiled steps for an architecture, B slots and so many columns of the data's tensor:
    f(finish, later, encodings, constants, hyperparameters) → (finish, residual, objective, each
    (B,) float64) after STEPS_BETWEEN_CHECKS; encodings are (B, d, n), or (B, 0, 0) without
    genotypes."""
    architecture = replace(architecture, dropout=0.0)

    def curvature(first, direction, constants, slope):
        """L (B,) and its direction, by differences of gradients a small way from W."""
        far = 1e-2 / tf.sqrt(tf.reduce_mean(tf.reduce_sum(tf.square(constants.columns), axis=1)))
        here = slope(first)

        def body(i, u, _):
            u = tf.math.divide_no_nan(u, _norm(u))
            change = (slope(first + far * u) - here) / far
            return i + 1, change, tf.reshape(_norm(change), [-1])

        begun = (0, direction, tf.zeros_like(first[:, 0, 0]))
        _, u, largest = tf.while_loop(lambda i, *_: i < POWER_STEPS, body, begun)
        return largest, u

    def run(at: Finish, later, encodings, constants: Constants, hyper: Hyperparameters):
        def gradient(first, measured):
            given = encodings, constants, architecture, task
            return full_gradient(Weights(first, later), *given, measured=measured)

        def slope(first):
            return gradient(first, False)[0]

        largest, direction = curvature(at.first, at.direction, constants, slope)
        known = tf.where(largest > 0.0, largest, tf.ones_like(largest))
        size = at.halved / (SAFETY * known)
        per_column = tf.tile(size[:, None], [1, tf.shape(at.first)[2]])
        given = penalties.strengths(hyper.lambdas, constants.groups, tf.shape(at.first)[1])

        def body(i, first, previous, momentum):
            s = 0.5 * (1.0 + tf.sqrt(1.0 + 4.0 * tf.square(momentum)))
            point = first + _per_network((momentum - 1.0) / s) * (first - previous)
            moved = penalties.shrunk(
                point - _per_network(size) * slope(point),
                per_column,
                given,
                constants.groups,
            )
            uphill = tf.reduce_sum((point - moved) * (moved - first), axis=[1, 2]) > 0.0
            return i + 1, moved, first, tf.where(uphill, tf.ones_like(s), s)

        begun = (0, at.first, at.previous, at.momentum)
        _, first, previous, momentum = tf.while_loop(
            lambda i, *_: i < STEPS_BETWEEN_CHECKS, body, begun, parallel_iterations=1
        )
        final, objective = gradient(first, True)
        # W − prox(W − t·∇) cancels nearly all digits of W.
        exact = [tf.cast(x, tf.float64) for x in (first, final)]
        lambdas = penalties.Lambdas(*(tf.cast(x, tf.float64) for x in hyper.lambdas))
        groups = constants.groups.cast(tf.float64)
        residual = penalties.residual(*exact, RESIDUAL_STEP, lambdas, groups)
        objective += tf.cast(penalties.value(first, hyper.lambdas, constants.groups), tf.float64)
        return Finish(first, previous, momentum, direction, at.halved), residual, objective

    specs = tensor_specs(architecture, slots, columns)
    first, each = specs["state"].first, specs["hyper"].learning_rate
    signature = [
        Finish(first, first, each, first, each),
        *(specs[name] for name in ("layers", "encodings", "constants", "hyper")),
    ]
    return tf.function(run, input_signature=signature).get_concrete_function()


def block_networks(rows: int, architecture: Architecture) -> int:
    """B, at most: 4 bytes · 8 tensors · rows summed together · Σ units a network, within the
    limits."""
    one = 4 * 8 * min(rows, ROWS_SUMMED) * sum(architecture.layer_sizes)
    return int(np.clip(BLOCK_BYTES // one, 1, BLOCK_NETWORKS))


class _Progress:
    """What a network's residuals and objectives say at its checks."""

    def __init__(self, residual: float, tolerance: float, most_checks: int, stalled_checks: int):
        self._tolerance, self._left = tolerance, most_checks
        self._stalled_checks = stalled_checks
        self._best = self._mark = residual
        self._objective = self._mark_objective = np.inf
        self._stalled = self._settled = 0

    def better(self, residual: float) -> bool:
        """Whether this is the smallest residual so far."""
        found = residual < self._best
        self._best = min(self._best, residual)
        return found

    def rose(self, objective: float) -> bool:
        """Whether the objective is above the last one by more than rounding and kinks explain."""
        return not objective <= self._objective + RISE * abs(self._objective)

    def over(self, residual: float, objective: float) -> bool:
        """Whether the network leaves."""
        self._left -= 1
        fell = self._objective - objective
        settled = fell <= SETTLED * self._tolerance**2 * abs(objective)
        self._settled = self._settled + 1 if settled else 0
        self._objective = min(self._objective, objective)
        sank = objective < (1.0 - STALLED) * self._mark_objective  # losses are not negative
        if residual < 0.9 * self._mark or sank:
            self._mark, self._stalled = min(self._mark, residual), 0
            self._mark_objective = objective
        else:
            self._stalled += 1
        return (
            self._best <= self._tolerance
            or self._left <= 0
            or self._settled >= SETTLED_CHECKS
            or self._stalled >= self._stalled_checks
        )


class _Block:
    """The networks that are moved together, slot by slot; an empty slot repeats its last one."""

    def __init__(self, first: np.ndarray, size: int):
        shape = (size, *first.shape[1:])
        self._first = first
        direction = np.random.default_rng(0).standard_normal(shape[1:]).astype(np.float32)
        self._direction = direction / np.linalg.norm(direction)
        self.state = Finish(
            *(np.zeros(shape, np.float32) for _ in range(2)),
            np.ones(size, np.float32),
            np.zeros(shape, np.float32),
            np.ones(size, np.float32),
        )
        self.networks = np.zeros(size, int)
        self.live = np.zeros(size, bool)

    def enter(self, slot: int, network: int) -> None:
        self.networks[slot], self.live[slot] = network, True
        self.restart(slot, self._first[network])
        self.state.direction[slot] = self._direction
        self.state.halved[slot] = 1.0

    def restart(self, slot: int, first: np.ndarray) -> None:
        """From these weights, without momentum."""
        self.state.first[slot] = self.state.previous[slot] = first
        self.state.momentum[slot] = 1.0

    def halve(self, slot: int, first: np.ndarray) -> None:
        """From these weights, by steps half as long."""
        self.restart(slot, first)
        self.state.halved[slot] *= 0.5


def finished(
    weights: Weights,
    residual: np.ndarray,
    constants: Constants,
    given: Given,
    schedule: Schedule,
    patience: int = 1,
) -> np.ndarray:
    """First layers (K, h, p), each with the smallest residual that it had; residual (K,) is now's.

    A network whose residual is above the tolerance is moved until it no longer is, or its
    objective has settled, or for patience·finish_steps. Where ReLU units bend at data points the
    residual may stay above, for the loss has no gradient there: such a network leaves when it
    stalls, and `pipeline.solvers.kinks` takes it from there.
    """
    train, architecture = constants.of_training_rows(), given.architecture
    result = np.array(weights.first)
    checks = -(-patience * schedule.finish_steps // STEPS_BETWEEN_CHECKS)
    tolerance, stalled_checks = schedule.tolerance, checks
    if given.bends:
        stalled_checks = patience * STALLED_CHECKS
    progress = [_Progress(float(r), tolerance, checks, stalled_checks) for r in residual]
    queue = [int(network) for network in np.flatnonzero(~(residual <= tolerance))]
    spare = spare_networks(architecture)
    size = min(block_networks(int(train.row_weights.shape[0]), architecture), len(result) - spare)
    block = _Block(result.copy(), size + spare)
    for slot in range(min(len(queue), size)):
        block.enter(slot, queue.pop(0))
    run = finisher(architecture, given.task, size + spare, int(train.columns.shape[1]))
    while block.live.any():
        some = tf.constant(block.networks)
        moved = weights.later, given.encodings, given.hyperparameters
        later, encodings, hyper = tf.nest.map_structure(
            lambda x, some=some: tf.gather(x, some), moved
        )
        at = tf.nest.map_structure(tf.constant, block.state)
        state, residuals, objectives = run(at, later, encodings, train, hyper)
        block.state = Finish(*(x.numpy() for x in state))
        seen = residuals.numpy(), objectives.numpy()
        for slot in np.flatnonzero(block.live):
            network, now, objective = block.networks[slot], seen[0][slot], seen[1][slot]
            said = progress[network]
            if said.better(now):
                result[network] = block.state.first[slot]
            rose = said.rose(objective)
            if said.over(now, objective):
                block.live[slot] = False
                if queue:
                    block.enter(slot, queue.pop(0))
            elif rose:
                block.halve(slot, result[network])
    return result
