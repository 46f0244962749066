"""The compiled training of a population of networks.

All networks of a population share architecture, rows, batches and epochs, and differ in initial
weights, lambdas and rates. One compiled program trains an epoch of all of them; between epochs each
network's validation score decides whether this is its best state so far and whether its patience
is over, in which case it leaves the population.

Shapes: K networks, N people (n training rows first, then validation, then test), p_s columns of
the table, p first-layer columns without the bias, h units, o outputs, d encoder outputs, T epochs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import tensorflow as tf

from pipeline import metrics, optimiser, penalties
from pipeline.allocation import keep_freed_memory
from pipeline.certificate import certified
from pipeline.network import (
    Architecture,
    Weights,
    initial_weights,
    row_losses,
    spare_networks,
)
from pipeline.program import Constants, Population, program
from pipeline.settling import settled
from pipeline.training_types import (
    NetworkSpec,
    Schedule,
    TrainedNetwork,
    TrainingData,
    networks_at_once,
    networks_of_a_part,
)

__all__ = [
    "NetworkSpec",
    "Schedule",
    "TrainedNetwork",
    "TrainingData",
    "networks_at_once",
    "train_population",
]

LARGEST_VALUE = 1e18
"""Of a column: Adam squares gradients, which are of the order of the column's values."""

DIVERGED = 100.0
"""A network whose last training loss is more than so many times that of predictions of 0 failed."""


def _bias_position(data: TrainingData) -> int:
    return data.columns.shape[1]


def _constants(data: TrainingData, architecture: Architecture, dtype=tf.float32) -> Constants:
    n = data.rows[0]
    ones = np.ones((len(data.target), 1))
    if data.task == "multiclass":
        target = np.eye(architecture.outputs)[data.target.astype(int)].T
    else:
        target = np.asarray(data.target, float)[None, :]
    weights = np.ones(n) if data.row_weights is None else np.asarray(data.row_weights, float)
    at = _bias_position(data)
    factor = np.ones(len(data.group_index)) if data.penalty_factor is None else data.penalty_factor
    # The bias is a column of ones with a variable of its own and no penalty.
    index = np.insert(data.group_index, at, data.group_index.max(initial=-1) + 1)
    relationship = np.zeros((0, 0)) if data.relationship is None else data.relationship[:, :n]
    return Constants(
        tf.constant(np.concatenate([data.columns, ones], axis=1), dtype),
        tf.constant(target, dtype),
        tf.constant(weights / weights.mean(), dtype),
        tf.constant(relationship, dtype),
        tf.constant(float(data.rank), dtype),
        penalties.groups(index, np.insert(np.asarray(factor, float), at, 0.0), dtype),
    )


def _unusable(columns: np.ndarray) -> str | None:
    """Why no network can be trained on these columns, or None."""
    largest = np.abs(columns).max(axis=0, initial=0.0)
    beyond = np.flatnonzero(~(largest <= LARGEST_VALUE))  # nan too
    if not len(beyond):
        return None
    return (
        f"diverged: values must be at most {LARGEST_VALUE:g} for their squares to be float32 "
        f"numbers, but column {beyond[0]} of the inputs has {largest[beyond[0]]:g}; standardise it"
    )


def _loss_of_nothing(constants: Constants, task: str) -> float:
    """Mean training loss of predictions that are all 0; 1 where that fits every row."""
    target = constants.of_training_rows().target
    losses = row_losses(tf.zeros_like(target)[None], target, task)[0]
    return float(tf.reduce_mean(losses * constants.row_weights)) or 1.0


def _initial_encodings(
    data: TrainingData, architecture: Architecture, seeds: Sequence[int]
) -> tf.Tensor:
    """E₀ = factor·z with standard normal z, (N, K, d): V₀ normal with variance 1/variants."""
    d = architecture.genetic_dimensions
    if not d:
        return tf.zeros([0, 0, 0])
    stacked = np.stack([genetic_draws(seed, data.rows[0], d) for seed in seeds], axis=1)
    encodings = tf.matmul(tf.constant(data.factor), stacked.reshape(data.rows[0], -1))
    return tf.reshape(encodings, [-1, len(seeds), d])


def genetic_draws(seed: int, training_rows: int, dimensions: int) -> np.ndarray:
    """z (n, d) float32, from which the encoder of a network of this seed starts."""
    drawn = np.random.default_rng([seed, 2])
    return drawn.standard_normal((training_rows, dimensions), np.float32)


def _hyperparameters(specs: Sequence[NetworkSpec]) -> optimiser.Hyperparameters:
    def of(name: str) -> tf.Tensor:
        return tf.constant([getattr(spec, name) for spec in specs], tf.float32)

    return optimiser.Hyperparameters(
        penalties.Lambdas(of("lambda_l1"), of("lambda_l2"), of("lambda_group")),
        of("learning_rate"),
        of("weight_decay"),
        of("genetic_learning_rate"),
        of("genetic_weight_decay"),
    )


def _take(tree, networks: np.ndarray, axis: int = 0):
    """The chosen networks of a nest of tensors whose axis counts networks."""
    return tf.nest.map_structure(lambda x: tf.gather(x, networks, axis=axis), tree)


class _Snapshot:
    """The weights and encoders of all networks of a population at the epochs worth keeping."""

    def __init__(self, networks: int):
        self._kept: list = [None] * networks

    def keep(self, state: optimiser.State, networks: np.ndarray) -> None:
        """Remember the state of these networks."""
        if not len(networks):
            return
        weights = tf.nest.map_structure(lambda x: x.numpy()[networks], state.weights)
        encoder = state.encoder
        if encoder != ():
            coefficients = encoder.coefficients.numpy()[:, networks]
            scale = encoder.scale.numpy()[networks]
        for i, network in enumerate(networks):
            own = tf.nest.map_structure(lambda x, i=i: x[i], weights)
            learned = () if encoder == () else (coefficients[:, i], scale[i])
            self._kept[network] = (own, learned)

    def stacked(self, networks: np.ndarray):
        """Weights and encoder of these networks, as the program takes them."""
        kept = [self._kept[network] for network in networks]
        weights = tf.nest.map_structure(lambda *x: tf.constant(np.stack(x)), *[w for w, _ in kept])
        learned = [e for _, e in kept]
        if learned[0] == ():
            return weights, ()
        coefficients = tf.constant(np.stack([c for c, _ in learned], axis=1))
        scale = tf.constant(np.stack([a for _, a in learned]))
        return weights, optimiser.Encoder(coefficients, tf.zeros([0]), tf.zeros([0]), scale)


def train_population(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    schedule: Schedule,
    on_epoch: Callable[[int, int, float], None] | None = None,
    initial: Weights | None = None,
) -> list[TrainedNetwork]:
    """Train one network a spec, all together; results in the order of specs.

    The population trains in parts, each on a core of its own: operations of this size use a second
    core badly when they are split over both. Every part has the same number of slots, which
    depends on the data and the architecture alone, and empty ones are filled up: with equal shapes
    comes equal arithmetic, so that a network's numbers are the same to the last bit alone, beside
    any others, and in any order.

    initial: weights of all networks to start from, (K, …) arrays, instead of the seeds' own.

    on_epoch(epoch, networks still training, best validation score so far) is called after every
    epoch. A network whose loss or weights stop being finite ends with a failure and its reason;
    the others do not notice.
    """
    started = time.perf_counter()
    keep_freed_memory()
    if reason := _unusable(data.columns):
        return [TrainedNetwork(failure=reason) for _ in specs]
    constants = _constants(data, architecture)
    most = networks_of_a_part(data, architecture, schedule)
    parts = [range(i, min(i + most, len(specs))) for i in range(0, len(specs), most)]
    runs = [
        _Run(data, architecture, [specs[i] for i in part], schedule, own, constants)
        for part in parts
        for own in [None if initial is None else _take(initial, np.array(part))]
    ]
    with ThreadPoolExecutor(min(len(runs), _cores())) as threads:
        for epoch in range(1, schedule.epochs + 1):
            list(threads.map(lambda run, epoch=epoch: run.epoch(epoch), runs))
            active = sum(len(run.active) for run in runs)
            if on_epoch is not None:
                on_epoch(epoch, active, _best([run.best_score for run in runs], schedule))
            if not active:
                break
        exact = _constants(replace(data, relationship=None), architecture, tf.float64)
        finished_parts = list(threads.map(lambda run: run.finish(exact), runs))
    results = [TrainedNetwork()] * len(specs)
    seconds = (time.perf_counter() - started) / len(specs)
    for part, trained in zip(parts, finished_parts, strict=True):
        for network, result in zip(part, trained, strict=True):
            result.train_seconds = seconds
            results[network] = result
    return results


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _best(scores: Sequence[float], schedule: Schedule) -> float:
    """The best of these scores that is defined, or nan."""
    known = [score for score in scores if not np.isnan(score)]
    best = max if metrics.MAXIMIZED[schedule.objective] else min
    return best(known, default=float("nan"))


class _Run:
    """The training of one part of a population, epoch by epoch; network i stands in slot i.

    Slots without a network repeat the last one, and some at the end are never anyone's
    (`spare_networks`).
    """

    def __init__(self, data, architecture, specs, schedule, initial, constants):
        self.data, self.architecture, self.schedule = data, architecture, schedule
        self.constants = constants
        self.program = program(architecture, data.task)
        part = networks_of_a_part(data, architecture, schedule)
        self.slots = part + spare_networks(architecture)
        filled = self._filled(np.arange(len(specs)))
        seeds = [specs[i].seed for i in filled]
        self.initial_encodings = _initial_encodings(data, architecture, seeds)
        self.hyperparameters = _hyperparameters([specs[i] for i in filled])
        weights = initial_weights(architecture, seeds)
        if initial is not None:
            own = _take(initial, filled)
            weights = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), own)
        state = optimiser.start(weights, data.rows[0], architecture.genetic_dimensions)
        self.population = Population(state, self.hyperparameters, self.initial_encodings)
        self.active = np.arange(len(specs))  # networks still training
        self.results = [TrainedNetwork() for _ in specs]
        self.scores = np.full(len(specs), -np.inf)  # larger is better
        self.best, self.final = _Snapshot(len(specs)), _Snapshot(len(specs))
        self.order = np.random.default_rng([schedule.batch_seed, 1])
        self.steps = -(-data.rows[0] // schedule.batch_size)
        self.sign = 1.0 if metrics.MAXIMIZED[schedule.objective] else -1.0
        self.loss_of_nothing = _loss_of_nothing(self.constants, data.task)

    def _filled(self, networks: np.ndarray) -> np.ndarray:
        """The networks, and the last of them again in every slot that is left."""
        return np.append(networks, np.repeat(networks[-1], self.slots - len(networks)))

    @property
    def best_score(self) -> float:
        best = self.scores.max()
        return float(self.sign * best) if np.isfinite(best) else float("nan")

    def epoch(self, epoch: int) -> None:
        """Train and judge, unless every network has left."""
        if len(self.active):
            self.train(epoch)
            self.judge(epoch)

    def train(self, epoch: int) -> None:
        """One epoch of the networks still in the population."""
        done = (epoch - 1) * self.steps + np.arange(self.steps)
        last = max(self.schedule.epochs * self.steps - 1, 1)
        rates = 1.0 - (1.0 - self.schedule.final_learning_rate) * done / last
        state, losses = self.program.train_epoch(
            self.population,
            self.constants,
            tf.constant(self.order.permutation(self.data.rows[0]), tf.int32),
            tf.constant(min(self.schedule.batch_size, self.data.rows[0])),
            tf.constant(rates, tf.float32),
            tf.constant(epoch + 1000 * self.schedule.batch_seed),
        )
        self.population = self.population._replace(state=state)
        self.losses = losses.numpy()

    def judge(self, epoch: int) -> None:
        """Score every network, keep the best states, and let go of who is done."""
        state, validation = self.population.state, self.data.rows[1]
        kept = np.any(state.weights.first.numpy() != 0.0, axis=1)
        finite, score = self._scores()
        at = _bias_position(self.data)
        improved = np.zeros(self.slots, bool)
        leaving = np.zeros(self.slots, bool)
        for slot in self.active:
            result = self.results[slot]
            if not finite[slot]:
                leaving[slot] = True
                result.failure = (
                    f"diverged in epoch {epoch}: loss, gradient or weights are no longer finite"
                )
                continue
            result.final_epoch = epoch
            result.curves["train_loss"].append(float(self.losses[slot]))
            result.curves["score"].append(float(score[slot]))
            result.kept.append(np.delete(kept[slot], at))
            # The first epoch is kept whatever its score, which may be undefined (one class only).
            better = self.sign * score[slot] > self.scores[slot]
            improved[slot] = not validation or better or epoch == 1
            if improved[slot]:
                result.best_epoch = epoch
            if better:
                self.scores[slot] = self.sign * score[slot]
            leaving[slot] = (
                epoch - result.best_epoch >= self.schedule.patience_epochs
                or epoch == self.schedule.epochs
            )
            if leaving[slot] and self.losses[slot] > DIVERGED * self.loss_of_nothing:
                result.failure = (
                    f"diverged: its last training loss, {self.losses[slot]:.3g} in epoch {epoch}, "
                    f"is more than {DIVERGED:g} times that of predicting 0, "
                    f"{self.loss_of_nothing:.3g}"
                )
                finite[slot] = False
        if validation:
            self.best.keep(state, np.flatnonzero(improved))
        self.final.keep(state, np.flatnonzero(leaving & finite))
        self.active = self.active[~leaving[self.active]]

    def _scores(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every slot: whether all its numbers are finite, and its validation score or nan."""
        state, data = self.population.state, self.data
        n, validation, _ = data.rows
        # An infinite second moment would freeze its variable where it is.
        sums = tf.reduce_sum(tf.abs(state.weights.first), axis=[1, 2])
        sums += tf.reduce_sum(state.first_second, axis=1)
        finite = np.isfinite(self.losses) & np.isfinite(sums.numpy())
        if not validation:
            return finite, np.full(self.slots, np.nan)
        predictions = self._predict(
            state.weights, state.encoder, self.population.initial_encodings, n, n + validation
        )
        finite &= np.isfinite(predictions).all(axis=(1, 2))
        predictions[~finite] = 0.0
        outcome = data.target[n : n + validation]
        return finite, metrics.score(self.schedule.objective, outcome, predictions, data.task)

    def _predict(self, weights, encoder, initial, start: int, stop: int) -> np.ndarray:
        return self.program.predict(
            weights, encoder, initial, self.constants, tf.constant(start), tf.constant(stop)
        ).numpy()

    def finish(self, exact: Constants) -> list[TrainedNetwork]:
        """Finish the last states, and predict everyone at the best epoch and at the end.

        exact: the constants in float64, for the certificates.
        """
        good = np.array([i for i, r in enumerate(self.results) if r.failure is None], int)
        if not len(good):
            return self.results
        initial, filled = self.initial_encodings, self._filled(good)
        if self.architecture.genetic_dimensions:
            initial = tf.gather(initial, filled, axis=1)
        weights, encoder = self.final.stacked(filled)
        weights = self._finished(good, weights, encoder, initial, exact)
        if self.data.rows[1]:
            self._keep(good, *self.best.stacked(filled), initial, "")
        else:
            self._keep(good, weights, encoder, initial, "")
        self._keep(good, weights, encoder, initial, "final_")
        return self.results

    def _keep(self, good: np.ndarray, weights: Weights, encoder, initial, prefix: str) -> None:
        """Weights, first layers and everyone's predictions, into the results."""
        predictions = self._predict(weights, encoder, initial, 0, len(self.data.target))
        arrays = tf.nest.map_structure(lambda x: x.numpy(), weights)
        dual = () if encoder == () else (encoder.coefficients.numpy(), encoder.scale.numpy())
        for i, network in enumerate(good):
            result = self.results[network]
            if dual and not prefix:
                result.encoder = (dual[0][:, i], float(dual[1][i, 0]))
            own = tf.nest.map_structure(lambda x, i=i: x[i], arrays)
            first = np.delete(own.first, _bias_position(self.data), axis=1).T
            setattr(result, f"{prefix}weights", own)
            setattr(result, f"{prefix}predictions", predictions[i])
            setattr(result, "first_layer_final" if prefix else "first_layer", first)

    def _finished(self, good: np.ndarray, weights: Weights, encoder, initial, exact) -> Weights:
        """The last states after their full-batch finish, certified; in slots like the weights."""
        n, filled = self.data.rows[0], self._filled(good)
        encodings = tf.zeros([len(filled), 0, 0])
        if encoder != ():
            encodings = optimiser.encode(encoder, initial[:n], self.constants.relationship[:n])
        hyper = _take(self.hyperparameters, filled)
        given = (self.architecture, self.data.task)
        weights = settled(
            weights, encodings, len(good), self.constants, exact, hyper, *given, self.schedule
        )
        residual, objective = certified(
            weights, encodings, len(good), exact, hyper, *given, self.schedule.tolerance
        )
        for slot, network in enumerate(good):
            self.results[network].kkt_residual = float(residual[slot])
            self.results[network].objective = float(objective[slot])
        return weights
