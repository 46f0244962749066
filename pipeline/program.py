"""The compiled program that trains one architecture: an epoch of all networks, and predictions.

Shapes: K networks, N people (n training rows first), p_s columns of the table, h units, o outputs,
d encoder outputs, b rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import tensorflow as tf

from pipeline import optimiser, penalties
from pipeline.network import Architecture, Weights, backward, forward, loss_gradient, row_losses


class Constants(NamedTuple):
    """The tensors of the data, in the engine's layout."""

    columns: tf.Tensor  # (N, p_s + 1)
    target: tf.Tensor  # (o, N)
    row_weights: tf.Tensor  # (n,), mean 1
    relationship: tf.Tensor  # (N, n), or (0, 0)
    rank: tf.Tensor
    groups: penalties.Groups

    def of_training_rows(self) -> Constants:
        """Columns and target of the training rows alone."""
        rows = tf.shape(self.row_weights)[0]
        return self._replace(columns=self.columns[:rows], target=self.target[:, :rows])


class Population(NamedTuple):
    """The state of the networks still training, and what each was given."""

    state: optimiser.State
    hyperparameters: optimiser.Hyperparameters
    initial_encodings: tf.Tensor  # (N, K, d), or (0, 0, 0)


class Program(NamedTuple):
    """The compiled functions for one architecture and task."""

    train_epoch: Callable
    predict: Callable


@lru_cache(maxsize=32)
def program(architecture: Architecture, task: str) -> Program:
    """Compiled once an architecture; K and the numbers of rows may change without a new trace."""

    def step(population, constants, batch, dropout_seed, rate_factor):
        state, hyper, initial = population
        columns = tf.gather(constants.columns, batch)
        target = tf.gather(constants.target, batch, axis=1)
        row_weights = tf.gather(constants.row_weights, batch)
        encodings = None
        if architecture.genetic_dimensions:
            related = tf.gather(constants.relationship, batch)  # (b, n)
            encodings = optimiser.encode(state.encoder, tf.gather(initial, batch), related)
        seen = forward(state.weights, columns, encodings, architecture, dropout_seed)
        share = row_weights / tf.cast(tf.shape(batch)[0], tf.float32)
        upstream = loss_gradient(seen.predictions, target, task) * share
        gradient, to_encodings = backward(
            state.weights, columns, encodings, seen, upstream, architecture
        )
        rate = hyper.learning_rate * rate_factor
        first = optimiser.first_layer_step(
            state, gradient.first, rate, hyper.lambdas, constants.groups
        )
        later = optimiser.later_step(state, gradient.later, rate, hyper.weight_decay)
        encoder = state.encoder
        if architecture.genetic_dimensions:
            encoder = optimiser.encoder_step(
                encoder,
                to_encodings,
                batch,
                tf.gather(related, batch, axis=1),
                constants.rank,
                hyper.genetic_learning_rate * rate_factor,
                hyper.genetic_weight_decay,
                state.step,
            )
        loss = tf.linalg.matvec(row_losses(seen.predictions, target, task), row_weights)
        weights = Weights(first[0], later[0])
        return optimiser.State(
            weights, first[1], first[2], later[1], later[2], encoder, state.step + 1.0
        ), loss

    @tf.function(reduce_retracing=True)
    def train_epoch(population, constants, order, batch_size, rates, dropout_seed):
        """One pass over the rows in this order; rates (steps,) multiply the learning rates."""
        rows = tf.shape(order)[0]

        def body(i, state, losses):
            batch = order[i * batch_size : tf.minimum((i + 1) * batch_size, rows)]
            seed = tf.stack([dropout_seed, i * 97])
            state, loss = step(population._replace(state=state), constants, batch, seed, rates[i])
            return i + 1, state, losses + loss

        networks = tf.shape(population.state.weights.first)[0]
        steps = tf.shape(rates)[0]
        _, state, losses = tf.while_loop(
            lambda i, *_: i < steps,
            body,
            (0, population.state, tf.zeros([networks])),
            parallel_iterations=1,
        )
        return state, losses / tf.cast(rows, tf.float32)

    @tf.function(reduce_retracing=True)
    def predict(weights, encoder, initial, constants, start, stop):
        """Predictions (K, o, stop − start) for these people."""
        columns = constants.columns[start:stop]
        encodings = None
        if architecture.genetic_dimensions:
            related = constants.relationship[start:stop]
            encodings = optimiser.encode(encoder, initial[start:stop], related)
        return forward(weights, columns, encodings, architecture).predictions

    return Program(train_epoch, predict)
