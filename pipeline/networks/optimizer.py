"""One step of training for a population: Adam with proximal steps, and the genotype encoder.

First layer. Adam (Kingma and Ba 2015) whose second moment is shared within each variable g, so that
the variable has one step size, and the proximal step of the penalty taken with that same size:

    v_g ← β2·v_g + (1 − β2)·mean(∇_g²)       t_g = lr / (√v̂_g + ε)
    W_g ← prox_{t_g·Ω}(W_g − t_g·m̂_g)

Its fixed points are the stationary points of loss + Ω, which is not so for per-coordinate steps.

Encoder of the genotypes. E = G·V with standardized genotypes G (people × variants, divided by
√variants) and V (variants × d) is trained in the dual: V = a·(V₀ + G_tᵀ·C) with G_t the training
rows, so that

    E = a·(E₀ + K_t·C)       E₀ = G·V₀       K = G·Gᵀ, the genomic relationship matrix

and a gradient step moves only C (training people × d): ∇V = G_bᵀ·δ_b for the rows b of a batch.
The second moment is shared over the whole of each output's weights, mean(∇V²) = δᵀ·K_bb·δ / r with
r = min(training people, variants), hence rotation-invariant: the path is exactly that of the same
optimizer on V, at a cost that does not depend on the number of variants.

Shapes: K networks, h units, p columns, d encoder outputs, n training rows, b rows of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.networks import penalties

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Adam's constants, as in Keras."""


class Hyperparameters(NamedTuple):
    """Of every network, each (K,)."""

    lambdas: penalties.Lambdas
    learning_rate: tf.Tensor
    weight_decay: tf.Tensor
    genetic_learning_rate: tf.Tensor
    genetic_weight_decay: tf.Tensor


class Rates(NamedTuple):
    """Of every step of an epoch, each (steps,), or of one step, each ().

    learning_rate_share  multiplies the learning rates
    momentum             (1 − β1)/(1 − β1^t), which makes m̂ of Σ β1^i·∇
    second               1/(1 − β2^t), which makes v̂ of v
    """

    learning_rate_share: tf.Tensor
    momentum: tf.Tensor
    second: tf.Tensor


class Encoder(NamedTuple):
    """coefficients C and their first moment (n, K, d), second moment (K, d), scale a (K, 1)."""

    coefficients: tf.Tensor
    momentum: tf.Tensor
    second: tf.Tensor
    scale: tf.Tensor


class State(NamedTuple):
    """All that changes while training; encoder is () without genotypes.

    first (K, h, p) and later (K, q), the weights and biases of all other layers in a row, each with
    its moments. First moments are kept as m/(1 − β1), which saves a pass over all weights.
    """

    first: tf.Tensor
    first_momentum: tf.Tensor
    first_second: tf.Tensor
    later: tf.Tensor
    later_momentum: tf.Tensor
    later_second: tf.Tensor
    encoder: Encoder | tuple[()]


def start(first: np.ndarray, later: np.ndarray, rows: int, genetic_dimensions: int) -> State:
    """Zero moments, and an encoder of rows training people."""
    networks, _, columns = first.shape
    encoder: Encoder | tuple[()] = ()
    if genetic_dimensions:
        coefficients = tf.zeros([rows, networks, genetic_dimensions])
        second = tf.zeros([networks, genetic_dimensions])
        encoder = Encoder(coefficients, coefficients, second, tf.ones([networks, 1]))
    first, later = tf.constant(first), tf.constant(later)
    zeros = tf.zeros_like(later)
    second = tf.zeros([networks, columns])
    return State(first, tf.zeros_like(first), second, later, zeros, zeros, encoder)


def rates(learning_rate_share: np.ndarray, done_steps: int) -> Rates:
    """Rates of the steps after done_steps; learning_rate_share (steps,)."""
    t = done_steps + 1.0 + np.arange(len(learning_rate_share))
    momentum, second = (1.0 - BETA_1) / (1.0 - BETA_1**t), 1.0 / (1.0 - BETA_2**t)
    return Rates(*(tf.constant(x, tf.float32) for x in (learning_rate_share, momentum, second)))


def first_layer_step(
    state: State,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    rates: Rates,
    strengths: penalties.Strengths,
    groups: penalties.Groups,
    uses: penalties.Uses,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """New first-layer weights (K, h, p) and their moments; gradient (K, h, p).

    learning_rate (K, 1) and rates are those of the step.
    """
    momentum = BETA_1 * state.first_momentum + gradient
    mean_square = penalties.variable_mean_square(gradient, groups)
    second = BETA_2 * state.first_second + (1.0 - BETA_2) * mean_square
    size = learning_rate / (tf.sqrt(second * rates.second) + EPSILON)  # (K, p)
    moved = state.first - (size * rates.momentum)[:, None, :] * momentum
    return penalties.shrunk(moved, size, strengths, groups, uses), momentum, second


def later_step(
    state: State, gradient: tf.Tensor, learning_rate: tf.Tensor, rates: Rates, decay: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Plain Adam on the other layers, (K, q), with the gradient of ½·decay·later²."""
    gradient += decay * state.later
    momentum = BETA_1 * state.later_momentum + gradient
    second = BETA_2 * state.later_second + (1.0 - BETA_2) * tf.square(gradient)
    size = (learning_rate * rates.momentum) / (tf.sqrt(second * rates.second) + EPSILON)
    return state.later - size * momentum, momentum, second


def encoder_step(
    encoder: Encoder,
    gradient: tf.Tensor,
    batch: tf.Tensor,
    relationship: tf.Tensor,
    rank: tf.Tensor,
    learning_rate: tf.Tensor,
    weight_decay: tf.Tensor,
    rates: Rates,
) -> Encoder:
    """One step on C: gradient ∂loss/∂E (K, d, b), relationship of the batch with itself (b, b).

    Decoupled weight decay (Loshchilov and Hutter 2019) of weight_decay·learning_rate a step is kept
    in the scale a, so that a step need not touch V₀.
    """
    delta = tf.transpose(gradient, [2, 0, 1])  # (b, K, d)
    shape = tf.shape(delta)
    related = tf.matmul(relationship, tf.reshape(delta, [shape[0], shape[1] * shape[2]]))
    square = tf.reduce_sum(tf.reshape(related, shape) * delta, axis=0)
    second = BETA_2 * encoder.second + (1.0 - BETA_2) * tf.nn.relu(square) / rank
    # In the product's own memory, which nothing else reads; tensor_scatter_nd_add takes three times
    # as long, and waits for the one thread that all parts would share for it.
    rows = tf.cast(batch, tf.int32)
    momentum = tf.raw_ops.InplaceAdd(x=BETA_1 * encoder.momentum, i=rows, v=delta)
    scale = decayed_scale(encoder.scale, learning_rate, weight_decay)
    size = learning_rate[:, None] / (tf.sqrt(second * rates.second) + EPSILON)
    size *= rates.momentum / scale
    return Encoder(encoder.coefficients - size * momentum, momentum, second, scale)


def decayed_scale(scale: tf.Tensor, learning_rate: tf.Tensor, weight_decay: tf.Tensor) -> tf.Tensor:
    """a (K, 1) after a step of these rates (K,)."""
    return scale * (1.0 - learning_rate * weight_decay)[:, None]
