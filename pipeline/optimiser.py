"""One step of training for a population: Adam with proximal steps, and the genotype encoder.

First layer. Adam (Kingma and Ba 2015) whose second moment is shared within each variable g, so that
the variable has one step size, and the proximal step of the penalty taken with that same size:

    v_g ← β2·v_g + (1 − β2)·mean(∇_g²)       t_g = lr / (√v̂_g + ε)
    W_g ← prox_{t_g·Ω}(W_g − t_g·m̂_g)

Its fixed points are the stationary points of loss + Ω, which is not so for per-coordinate steps.

Encoder of the genotypes. E = G·V with standardised genotypes G (people × variants, divided by
√variants) and V (variants × d) is trained in the dual: V = a·(V₀ + G_tᵀ·C) with G_t the training
rows, so that

    E = a·(E₀ + K_t·C)       E₀ = G·V₀       K = G·Gᵀ, the genomic relationship matrix

and a gradient step moves only C (training people × d): ∇V = G_bᵀ·δ_b for the rows b of a batch.
The second moment is shared over the whole of each output's weights, mean(∇V²) = δᵀ·K_bb·δ / r with
r = min(training people, variants), hence rotation-invariant: the path is exactly that of the same
optimiser on V, at a cost that does not depend on the number of variants.

Shapes: K networks, h units, p columns, d encoder outputs, n training rows, b rows of a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from pipeline import penalties
from pipeline.network import Layer, Weights

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
"""Adam's constants, as in Keras."""


class Hyperparameters(NamedTuple):
    """Of every network, each (K,)."""

    lambdas: penalties.Lambdas
    learning_rate: tf.Tensor
    weight_decay: tf.Tensor
    genetic_learning_rate: tf.Tensor
    genetic_weight_decay: tf.Tensor


class Encoder(NamedTuple):
    """coefficients C and their first moment (n, K, d), second moment (K, d), scale a (K, 1)."""

    coefficients: tf.Tensor
    momentum: tf.Tensor
    second: tf.Tensor
    scale: tf.Tensor


class State(NamedTuple):
    """All that changes while training; encoder is () without genotypes."""

    weights: Weights
    first_momentum: tf.Tensor
    first_second: tf.Tensor
    later_momentum: tuple[Layer, ...]
    later_second: tuple[Layer, ...]
    encoder: Encoder | tuple[()]
    step: tf.Tensor


def start(weights: Weights, training_rows: int, genetic_dimensions: int) -> State:
    """Zero moments at step 0."""
    networks = weights.first.shape[0]
    zeros = tuple(Layer(tf.zeros_like(w), tf.zeros_like(b)) for w, b in weights.later)
    encoder: Encoder | tuple[()] = ()
    if genetic_dimensions:
        coefficients = tf.zeros([training_rows, networks, genetic_dimensions])
        second = tf.zeros([networks, genetic_dimensions])
        encoder = Encoder(coefficients, coefficients, second, tf.ones([networks, 1]))
    second = tf.zeros([networks, weights.first.shape[2]])
    return State(weights, tf.zeros_like(weights.first), second, zeros, zeros, encoder, tf.zeros([]))


def _corrections(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Adam's 1 − β1^t and 1 − β2^t at step t ≥ 1."""
    return 1.0 - tf.pow(BETA_1, step), 1.0 - tf.pow(BETA_2, step)


def first_layer_step(
    state: State,
    gradient: tf.Tensor,
    learning_rate: tf.Tensor,
    lambdas: penalties.Lambdas,
    groups: penalties.Groups,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """New first-layer weights (K, h, p) and their moments; gradient (K, h, p).

    The first moment is kept as m/(1 − β1), which saves a pass over all weights.
    """
    bias_1, bias_2 = _corrections(state.step + 1.0)
    momentum = BETA_1 * state.first_momentum + gradient
    mean_square = penalties.variable_mean_square(gradient, groups)
    second = BETA_2 * state.first_second + (1.0 - BETA_2) * mean_square
    step_size = learning_rate[:, None] / (tf.sqrt(second / bias_2) + EPSILON)  # (K, p)
    moved = state.weights.first - (step_size * ((1.0 - BETA_1) / bias_1))[:, None, :] * momentum
    return penalties.proximal_step(moved, step_size, lambdas, groups), momentum, second


def later_step(
    state: State, gradients: tuple[Layer, ...], learning_rate: tf.Tensor, weight_decay: tf.Tensor
) -> tuple[tuple[Layer, ...], tuple[Layer, ...], tuple[Layer, ...]]:
    """Plain Adam on the other layers, with the gradient of ½·weight_decay·‖weights‖²."""
    bias_1, bias_2 = _corrections(state.step + 1.0)
    rate = learning_rate[:, None, None]
    weights, momenta, seconds = [], [], []
    for layer, gradient, m, v in zip(
        state.weights.later, gradients, state.later_momentum, state.later_second, strict=True
    ):
        decayed = Layer(
            gradient.weights + weight_decay[:, None, None] * layer.weights, gradient.bias
        )
        m = Layer(*(BETA_1 * old + (1.0 - BETA_1) * new for old, new in zip(m, decayed)))
        v = Layer(*(BETA_2 * old + (1.0 - BETA_2) * tf.square(new) for old, new in zip(v, decayed)))
        weights.append(
            Layer(
                *(
                    w - (rate / bias_1) * mi / (tf.sqrt(vi / bias_2) + EPSILON)
                    for w, mi, vi in zip(layer, m, v)
                )
            )
        )
        momenta.append(m)
        seconds.append(v)
    return tuple(weights), tuple(momenta), tuple(seconds)


def encode(encoder: Encoder, initial: tf.Tensor, relationship: tf.Tensor) -> tf.Tensor:
    """E (K, d, m) of m people: initial E₀ (m, K, d), relationship to the training rows (m, n)."""
    rows, networks, outputs = tf.unstack(tf.shape(encoder.coefficients))
    learned = tf.matmul(relationship, tf.reshape(encoder.coefficients, [rows, networks * outputs]))
    encodings = initial + tf.reshape(learned, [-1, networks, outputs])
    return tf.transpose(encodings * encoder.scale, [1, 2, 0])


def encoder_step(
    encoder: Encoder,
    gradient: tf.Tensor,
    batch: tf.Tensor,
    relationship: tf.Tensor,
    rank: tf.Tensor,
    learning_rate: tf.Tensor,
    weight_decay: tf.Tensor,
    step: tf.Tensor,
) -> Encoder:
    """One step on C: gradient ∂loss/∂E (K, d, b), relationship of the batch with itself (b, b).

    Decoupled weight decay (Loshchilov and Hutter 2019) of weight_decay·learning_rate a step is kept
    in the scale a, so that a step need not touch V₀.
    """
    bias_1, bias_2 = _corrections(step + 1.0)
    delta = tf.transpose(gradient, [2, 0, 1])  # (b, K, d)
    shape = tf.shape(delta)
    seen = tf.matmul(relationship, tf.reshape(delta, [shape[0], shape[1] * shape[2]]))
    square = tf.reduce_sum(tf.reshape(seen, shape) * delta, axis=0)
    second = BETA_2 * encoder.second + (1.0 - BETA_2) * tf.nn.relu(square) / rank
    momentum = tf.tensor_scatter_nd_add(
        BETA_1 * encoder.momentum, batch[:, None], (1.0 - BETA_1) * delta
    )
    scale = encoder.scale * (1.0 - learning_rate * weight_decay)[:, None]
    size = learning_rate[:, None] / (tf.sqrt(second / bias_2) + EPSILON) / (bias_1 * scale)
    return Encoder(encoder.coefficients - size * momentum, momentum, second, scale)
