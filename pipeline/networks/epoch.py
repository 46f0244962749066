"""The compiled program that trains a part of a population: an epoch, and predictions.

Every shape but the numbers of rows is fixed when it is compiled. Of a step's time the arithmetic is
then all but a tenth; with shapes that are only known at run time it was a third.

Shapes: K slots, N people (n training rows first), c columns of the data's tensor (the table's p_s,
the bias, and columns of zeros), h units, p = c + d first-layer columns, o outputs, d encoder
outputs, q weights and biases of the other layers, b rows of a batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import tensorflow as tf

from pipeline.networks import optimizer, penalties, resting
from pipeline.networks.architecture import Architecture
from pipeline.networks.network import (
    Layer,
    Weights,
    backward,
    flat_gradient,
    forward,
    later_layers,
    loss_gradient,
    row_losses,
)
from pipeline.networks.own_rows import (
    OwnKind,
    OwnRows,
    carried_back,
    on_table,
    own_target,
    shared_target,
)


class Constants(NamedTuple):
    """The tensors of the data, in the engine's layout."""

    columns: tf.Tensor  # (N, c)
    target: tf.Tensor  # (o, N)
    row_weights: tf.Tensor  # (n,), mean 1
    relationship: tf.Tensor  # (N, n), or (0, 0)
    rank: tf.Tensor
    groups: penalties.Groups

    def of_training_rows(self) -> Constants:
        """Columns and target of the training rows alone."""
        rows = tf.shape(self.row_weights)[0]
        return self._replace(columns=self.columns[:rows], target=self.target[:, :rows])


class Epoch(NamedTuple):
    """Which batches a pass over the rows takes, and how far it steps.

    order (n,) of the rows; batch_size (); rates of the steps; seed () of what dropout draws.
    """

    order: tf.Tensor
    batch_size: tf.Tensor
    rates: optimizer.Rates
    seed: tf.Tensor


class Encodings(NamedTuple):
    """Which encoder dimensions move in an epoch, and (m, J) what is known of the encodings of
    training people and those who are scored: E₀ where they move, E₀ + K·C where they rest."""

    moving: resting.Moving
    known: tf.Tensor


class EpochResult(NamedTuple):
    """What an epoch gives, for every slot.

    losses       (K,) mean training loss, of each batch before its step
    kept         (K, p) whether a column has a weight that is not exactly 0
    size         (K,) Σ|W| and second moments of the first layer, infinite or nan where one is
    predictions  (K, o, validation rows)
    """

    losses: tf.Tensor
    kept: tf.Tensor
    size: tf.Tensor
    predictions: tf.Tensor


ROWS_AT_ONCE = 256
"""People whose predictions are computed together: their activations stay in a core's cache, and
memory does not grow with the rows."""


class Program(NamedTuple):
    """The compiled functions for one architecture and task, and a number of slots.

    train_epoch(state, hyperparameters, own rows, encodings, constants, epoch, start, stop)
    → (state, EpochResult), with predictions of people start … stop
    predict(first, later, encoder, own rows, encodings, constants, start, stop)
    → (K, o, stop − start)
    encodings are `Encodings`, and the encoder is that of the pairs that move; () without genotypes

    learned(relationship, coefficients) as `resting` has it, or None without genotypes

    own rows are `OwnRows`, or () where every network trains on all rows.
    """

    train_epoch: Callable
    predict: Callable
    learned: Callable | None


def tensor_specs(
    architecture: Architecture,
    slots: int,
    columns: int,
    precision=tf.float32,
    own: OwnKind | None = None,
) -> dict[str, Any]:
    """Shapes of what compiled functions take: numbers of rows are open, so that another split,
    table or batch is no new compilation. precision is that of the constants."""

    def spec(*shape, dtype=tf.float32):
        return tf.TensorSpec(shape, dtype)

    def data_spec(*shape):
        return spec(*shape, dtype=precision)

    d = architecture.genetic_dimensions
    p, h = columns + d, architecture.layer_sizes[0]
    q = len(architecture.decayed)
    member_columns = p if p <= penalties.MOST_MEMBERS else 0
    index = spec(p, dtype=tf.int32)
    groups = penalties.Groups(
        index,
        spec(dtype=tf.int32),
        data_spec(p),
        data_spec(p),
        data_spec(member_columns, member_columns),
    )
    encoder = resting.encoder_specs(slots) if d else ()
    first, later, each = spec(slots, h, p), spec(slots, q), spec(slots)
    lambdas = penalties.Lambdas(each, each, each)
    steps = spec(None)
    return {
        "state": optimizer.State(first, first, spec(slots, p), later, later, later, encoder),
        "hyper": optimizer.Hyperparameters(lambdas, each, each, each, each),
        "own": () if own is None else OwnRows.specs(own, slots, p),
        "moving": resting.Moving.specs(slots, d) if d else (),
        "known": spec(None, slots * d),
        "coefficients": spec(None, None),
        "constants": Constants(
            data_spec(None, columns),
            data_spec(architecture.outputs, None),
            data_spec(None),
            data_spec(None, None),
            data_spec(),
            groups,
        ),
        "epoch": Epoch(
            spec(None, dtype=tf.int32),
            spec(dtype=tf.int32),
            optimizer.Rates(steps, steps, steps),
            spec(dtype=tf.int32),
        ),
        "position": spec(dtype=tf.int32),
        "layers": tuple(
            Layer(spec(slots, h_out, h_in), spec(slots, h_out, 1))
            for h_in, h_out in itertools.pairwise(architecture.layer_sizes)
        ),
        "encodings": spec(slots, d, None),
    }


def _step(architecture: Architecture, task: str, uses: penalties.Uses) -> Callable:
    """One step of all slots on a batch: → the state after it, and the losses (K,) before it."""

    bias = architecture.shared_columns

    def step(state, fixed, own, prepared, constants, batch, dropout_seed, rates):
        strengths, decay, hyper = fixed
        with tf.name_scope("rows"):
            columns = tf.gather(constants.columns, batch)
            target = tf.gather(constants.target, batch, axis=1)
            row_weights = tf.gather(constants.row_weights, batch)
            if own:
                row_weights = tf.gather(own.weights, batch, axis=1)  # (K, b)
                target = own_target(target, own)
            share = row_weights / tf.cast(tf.shape(batch)[0], tf.float32)
        encodings = related = None
        if architecture.genetic_dimensions:
            with tf.name_scope("encode"):
                related = tf.gather(constants.relationship, batch)  # (b, n)
                known = tf.gather(prepared.known, batch)
                encodings = resting.encode(state.encoder, prepared.moving, known, related)
        with tf.name_scope("forward"):
            first = on_table(state.first, own, bias)
            weights = Weights(first, later_layers(state.later, architecture))
            activations = forward(weights, columns, encodings, architecture, dropout_seed)
        with tf.name_scope("backward"):
            upstream = loss_gradient(activations.predictions, target, task)
            if not own:
                upstream *= share
            else:  # whatever stands in a row of weight 0, it is nothing
                upstream = tf.math.multiply_no_nan(upstream, share[:, None, :])
            gradient, encodings_gradient = backward(
                weights, columns, encodings, activations, upstream, architecture
            )
            first_gradient = carried_back(gradient.first, own, bias)
        with tf.name_scope("first_layer_step"):
            rate = (hyper.learning_rate * rates.learning_rate_share)[:, None]
            first = optimizer.first_layer_step(
                state, first_gradient, rate, rates, strengths, constants.groups, uses
            )
        with tf.name_scope("later_step"):
            later_gradient = flat_gradient(gradient.later, state.first.shape[0])
            later = optimizer.later_step(state, later_gradient, rate, rates, decay)
        encoder = state.encoder
        if architecture.genetic_dimensions:
            with tf.name_scope("encoder_step"):
                encoder = resting.encoder_step(
                    encoder,
                    prepared.moving,
                    encodings_gradient,
                    batch,
                    tf.gather(related, batch, axis=1),
                    own.rank if own else constants.rank,
                    hyper.genetic_learning_rate * rates.learning_rate_share,
                    hyper.genetic_weight_decay,
                    rates,
                )
        with tf.name_scope("loss"):
            losses = row_losses(activations.predictions, target, task)
            if not own:
                loss = tf.linalg.matvec(losses, row_weights)
            else:
                loss = tf.reduce_sum(tf.math.multiply_no_nan(losses, row_weights), axis=1)
        return optimizer.State(*first, *later, encoder), loss

    return step


def _prediction(architecture: Architecture, slots: int) -> Callable:
    """Predictions (K, o, stop − start) of people start … stop, ROWS_AT_ONCE of them at a time;
    encodings_of(begin, end) are (K, d, rows), or None without genotypes."""

    bias = architecture.shared_columns

    def predict(first, later, encodings_of, own, constants, start, stop):
        first = on_table(first, own, bias)
        weights = Weights(first, later_layers(later, architecture))

        def block_predictions(begin, end):
            """(rows, K, o)"""
            encodings = None if encodings_of is None else encodings_of(begin, end)
            columns = constants.columns[begin:end]
            predictions = forward(weights, columns, encodings, architecture).predictions
            predictions = shared_target(predictions, own)
            return tf.transpose(predictions, [2, 0, 1])

        def body(i, blocks):
            begin = start + i * ROWS_AT_ONCE
            end = tf.minimum(begin + ROWS_AT_ONCE, stop)
            return i + 1, blocks.write(i, block_predictions(begin, end))

        count = -((start - stop) // ROWS_AT_ONCE)
        shape = [None, slots, architecture.outputs]
        blocks = tf.TensorArray(tf.float32, count, infer_shape=False, element_shape=shape)
        _, blocks = tf.while_loop(lambda i, _: i < count, body, (0, blocks), parallel_iterations=1)
        return tf.transpose(blocks.concat(), [1, 2, 0])

    return predict


@lru_cache(maxsize=64)
def program(
    architecture: Architecture,
    task: str,
    slots: int,
    columns: int,
    uses: penalties.Uses,
    own: OwnKind | None = None,
) -> Program:
    """The functions for K slots and c columns of the data's tensor; compiled at the first call."""
    specs = tensor_specs(architecture, slots, columns, own=own)
    step = _step(architecture, task, uses)
    predictions_of = _prediction(architecture, slots)
    genetic = architecture.genetic_dimensions > 0

    def train_epoch(state, hyper, own, prepared, constants, epoch, start, stop):
        rows, steps = tf.shape(epoch.order)[0], tf.shape(epoch.rates.learning_rate_share)[0]
        strengths = penalties.strengths(hyper.lambdas, constants.groups, state.first.shape[1])
        decay = hyper.weight_decay[:, None] * architecture.decayed
        fixed = strengths, decay, hyper

        def body(i, state, losses):
            done = i * epoch.batch_size
            batch = epoch.order[done : tf.minimum(done + epoch.batch_size, rows)]
            seed = tf.stack([epoch.seed, i * 97])
            rates = optimizer.Rates(*(x[i] for x in epoch.rates))
            state, loss = step(state, fixed, own, prepared, constants, batch, seed, rates)
            return i + 1, state, losses + loss

        _, state, losses = tf.while_loop(
            lambda i, *_: i < steps, body, (0, state, tf.zeros([slots])), parallel_iterations=1
        )
        with tf.name_scope("validation"):
            size = tf.reduce_sum(tf.abs(state.first), axis=[1, 2])
            size += tf.reduce_sum(state.first_second, axis=1)
            kept = tf.reduce_any(state.first != 0.0, axis=1)

            def encodings_of(begin, end):
                related, known = constants.relationship[begin:end], prepared.known[begin:end]
                return resting.encode(state.encoder, prepared.moving, known, related)

            predictions = predictions_of(
                state.first,
                state.later,
                encodings_of if genetic else None,
                own,
                constants,
                start,
                stop,
            )
        return state, EpochResult(losses / tf.cast(rows, tf.float32), kept, size, predictions)

    def predict(first, later, encoder, own, prepared, constants, start, stop):
        def encodings_of(begin, end):
            related, known = constants.relationship[begin:end], prepared.known[begin:end]
            return resting.encode(encoder, prepared.moving, known, related)

        encodings = encodings_of if genetic else None
        return predictions_of(first, later, encodings, own, constants, start, stop)

    state, position, data = specs["state"], specs["position"], specs["constants"]
    prepared = Encodings(specs["moving"], specs["known"]) if genetic else ()
    epoch_specs = [state, specs["hyper"], specs["own"], prepared, data, specs["epoch"]]
    parts = state.first, state.later, state.encoder, specs["own"], prepared, data

    def compiled(function, taken):
        # Concrete functions: a call of a polymorphic one checks every tensor for 2 ms. Loops are
        # TensorFlow's as they are written, and Python is not translated, which takes 2 s.
        return tf.function(function, input_signature=taken, autograph=False).get_concrete_function()

    learned = None
    if genetic:
        learned = compiled(resting.learned, [data.relationship, specs["coefficients"]])
    return Program(
        compiled(train_epoch, [*epoch_specs, position, position]),
        compiled(predict, [*parts, position, position]),
        learned,
    )
