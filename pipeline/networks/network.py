"""K feed-forward networks of one architecture: initial weights, predictions and gradients.

Layouts keep the network axis first, so that the first layer of the whole population is one large
matrix product and every later one a batch of contiguous small ones:

    columns X        (n, p_s + 1)   shared by all networks; the last column is 1, for the bias
    encodings E      (K, d, n)      each network's own learned representation of the genotypes
    first layer W    (K, h, p)      p = p_s + 1 + d: shared columns, bias, encodings
    activations      (K, h, n)
    predictions      (K, o, n)      logits, or the predicted quantity

With no hidden layer the first layer is the output layer, h = o, and the model is a generalized
linear one. Gradients are written out, which is twice as fast here as automatic differentiation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
import tensorflow as tf

from pipeline.networks.architecture import Architecture


class Layer(NamedTuple):
    """weights (K, h_out, h_in), bias (K, h_out, 1)."""

    weights: tf.Tensor
    bias: tf.Tensor


class Weights(NamedTuple):
    """first (K, h, p); later: one Layer each; a gradient has the same form."""

    first: tf.Tensor
    later: tuple[Layer, ...]


def flat_later(weights: Weights) -> np.ndarray:
    """(K, q): weights and biases of all layers but the first, in a row for each network."""
    rows = [np.zeros((len(weights.first), 0), np.float32)]
    rows += [np.reshape(x, (len(x), -1)) for layer in weights.later for x in layer]
    return np.concatenate(rows, axis=1)


def flat_gradient(later: Sequence[Layer], networks: int) -> tf.Tensor:
    """flat_later of a gradient's layers, in a compiled program."""
    rows = [tf.reshape(x, [networks, -1]) for layer in later for x in layer]
    return tf.concat(rows, axis=1) if rows else tf.zeros([networks, 0])


def later_layers(flat, architecture: Architecture) -> tuple[Layer, ...]:
    """flat_later's (K, q), an array or a tensor, → the layers."""
    networks, at, layers = flat.shape[0], 0, []
    for h_in, h_out in itertools.pairwise(architecture.layer_sizes):
        parts = []
        for width in (h_in, 1):
            part = flat[:, at : at + h_out * width]
            reshape = np.reshape if isinstance(flat, np.ndarray) else tf.reshape
            parts.append(reshape(part, (networks, h_out, width)))
            at += h_out * width
        layers.append(Layer(*parts))
    return tuple(layers)


def _stream(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on the seed and the name of what is drawn, and nothing else."""
    return np.random.default_rng([seed, crc32(name.encode())])


def _glorot(seed: int, name: str, fan_in: int, fan_out: int, shape: tuple[int, ...]) -> np.ndarray:
    limit = np.sqrt(6.0 / (fan_in + fan_out))
    return _stream(seed, name).uniform(-limit, limit, shape)


def initial_weights(architecture: Architecture, seeds: Sequence[int]) -> Weights:
    """Glorot-uniform weights (Glorot and Bengio 2010, eq. 16) and zero biases, float32.

    A network's weights depend on its seed and the architecture alone: not on K, nor on the
    order. The columns of the table and the encodings have streams of their own.
    """
    sizes = architecture.layer_sizes
    p = architecture.shared_columns + architecture.genetic_dimensions
    h = sizes[0]
    first: list[np.ndarray] = []
    later: list[list[np.ndarray]] = [[] for _ in sizes[1:]]
    for seed in seeds:
        shared = _glorot(seed, "shared", p, h, (h, architecture.shared_columns))
        genetic = _glorot(seed, "genetic", p, h, (h, architecture.genetic_dimensions))
        first.append(np.concatenate([shared, np.zeros((h, 1)), genetic], axis=1))
        for i, (h_in, h_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
            later[i].append(_glorot(seed, f"layer {i + 2}", h_in, h_out, (h_out, h_in)))
    layers = tuple(
        Layer(
            tf.constant(np.stack(each), tf.float32),
            tf.zeros((len(seeds), each[0].shape[0], 1), tf.float32),
        )
        for each in later
    )
    return Weights(tf.constant(np.stack(first), tf.float32), layers)


def _activate(z: tf.Tensor, activation: str) -> tf.Tensor:
    if activation == "gelu":  # tf.nn.gelu rounds √2 to float32, also in float64
        return z * _normal_cdf(z)
    return {"relu": tf.nn.relu, "tanh": tf.tanh}[activation](z)


def _normal_cdf(z: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1.0 + tf.math.erf(z * np.sqrt(0.5)))


def _activation_gradient(
    upstream: tf.Tensor, z: tf.Tensor, activated: tf.Tensor, activation: str
) -> tf.Tensor:
    """upstream · activation′(z); z is not needed where the derivative follows from the value."""
    if activation == "relu":
        return tf.raw_ops.ReluGrad(gradients=upstream, features=activated)
    if activation == "tanh":
        return tf.raw_ops.TanhGrad(y=activated, dy=upstream)
    # gelu(z) = z·Φ(z), so gelu′(z) = Φ(z) + z·φ(z)
    density = tf.exp(-0.5 * tf.square(z)) * (1.0 / np.sqrt(2.0 * np.pi))
    return upstream * (_normal_cdf(z) + z * density)


def _first_layer(weights: tf.Tensor, columns: tf.Tensor, encodings: tf.Tensor | None) -> tf.Tensor:
    """(K, h, n): W·[X, 1, E]ᵀ."""
    networks, units = tf.shape(weights)[0], tf.shape(weights)[1]
    shared = tf.shape(columns)[1]
    of_columns = weights if encodings is None else weights[:, :, :shared]
    flat = tf.reshape(of_columns, [networks * units, shared])
    z = tf.reshape(tf.matmul(flat, columns, transpose_b=True), [networks, units, -1])
    return z if encodings is None else z + tf.matmul(weights[:, :, shared:], encodings)


class Activations(NamedTuple):
    """Of one forward pass: before and after each hidden layer's activation, and the predictions."""

    before: tuple[tf.Tensor, ...]
    after: tuple[tf.Tensor, ...]
    predictions: tf.Tensor


def forward(
    weights: Weights,
    columns: tf.Tensor,
    encodings: tf.Tensor | None,
    architecture: Architecture,
    dropout_seed: tf.Tensor | None = None,
) -> Activations:
    """Predictions (K, o, n) and what the gradient needs.

    With dropout_seed (2,) the units of a hidden layer are dropped at random, the same ones in
    every network, so that a network does not depend on those beside it.
    """
    z = _first_layer(weights.first, columns, encodings)
    before, after = [], []
    for i, layer in enumerate(weights.later):
        a = _activate(z, architecture.activation)
        if dropout_seed is not None and architecture.dropout > 0.0:
            kept = 1.0 - architecture.dropout
            mask = tf.random.stateless_uniform(tf.shape(a)[1:], dropout_seed + i) < kept
            a *= tf.cast(mask, a.dtype) / kept
        before.append(z)
        after.append(a)
        z = tf.matmul(layer.weights, a) + layer.bias
    return Activations(tuple(before), tuple(after), z)


def backward(
    weights: Weights,
    columns: tf.Tensor,
    encodings: tf.Tensor | None,
    activations: Activations,
    upstream: tf.Tensor,
    architecture: Architecture,
) -> tuple[Weights, tf.Tensor | None]:
    """Gradients of Σ_k loss_k, given upstream = ∂loss/∂predictions (K, o, n).

    Returns the gradient of the weights, and ∂loss/∂E (K, d, n) where there are encodings.
    """
    if architecture.gated:
        return _gated_backward(weights, columns, encodings, activations.after[0], upstream)
    later = []
    for layer, z, a in zip(
        reversed(weights.later),
        reversed(activations.before),
        reversed(activations.after),
        strict=True,
    ):
        later.append(Layer(tf.matmul(upstream, a, transpose_b=True), _over_rows(upstream)))
        upstream = tf.matmul(layer.weights, upstream, transpose_a=True)
        if architecture.dropout > 0.0:
            # a = mask·activation(z)/kept: 0 where dropped. relu and tanh keep that apart from
            # a true zero only in measure zero, gelu likewise.
            kept = 1.0 - architecture.dropout
            upstream = upstream * (tf.cast(tf.not_equal(a, 0.0), a.dtype) / kept)
            a *= kept
        upstream = _activation_gradient(upstream, z, a, architecture.activation)
    first = _first_layer_gradient(upstream, columns, encodings)
    encodings_gradient = None
    if encodings is not None:
        shared = tf.shape(columns)[1]
        encodings_gradient = tf.matmul(weights.first[:, :, shared:], upstream, transpose_a=True)
    return Weights(first, tuple(reversed(later))), encodings_gradient


def _over_rows(upstream: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(upstream, axis=2, keepdims=True)


def _first_layer_gradient(upstream, columns, encodings) -> tf.Tensor:
    """(K, h, p) = upstream (K, h, n) · [X, 1, E]."""
    networks, units = tf.shape(upstream)[0], tf.shape(upstream)[1]
    flat = tf.reshape(upstream, [networks * units, -1])
    first = tf.reshape(tf.matmul(flat, columns), [networks, units, -1])
    if encodings is None:
        return first
    return tf.concat([first, tf.matmul(upstream, encodings, transpose_b=True)], axis=2)


def _gated_backward(weights, columns, encodings, activated, upstream):
    """backward of one hidden ReLU layer and one output, with half the passes over the activations.

    a = gate∘(W·x) with a gate of 0 or 1, so with N = (gate∘δ)·[X, 1, E] for upstream δ the
    gradients are ∂W = v∘N and ∂v_h = Σ_n δ·a_h = W_h·N_h, v (h,) being the output's weights.
    """
    (layer,) = weights.later
    units = layer.weights.shape[2]
    gated = tf.raw_ops.ReluGrad(gradients=tf.tile(upstream, [1, units, 1]), features=activated)
    reached = _first_layer_gradient(gated, columns, encodings)
    outgoing_gradient = tf.reduce_sum(weights.first * reached, axis=2)[:, None, :]
    outgoing = tf.reshape(layer.weights, [-1, units, 1])
    encodings_gradient = None
    if encodings is not None:
        shared = tf.shape(columns)[1]
        through = weights.first[:, :, shared:] * outgoing
        encodings_gradient = tf.matmul(through, gated, transpose_a=True)
    later = (Layer(outgoing_gradient, _over_rows(upstream)),)
    return Weights(reached * outgoing, later), encodings_gradient


def row_losses(predictions: tf.Tensor, target: tf.Tensor, task: str) -> tf.Tensor:
    """(K, n): binary or softmax cross-entropy in nats, or half the squared error.

    target is (o, n): 0/1, one-hot classes, or the quantity.
    """
    if task == "binary":
        z = predictions[:, 0, :]
        return tf.nn.relu(z) - z * target[0] + tf.math.log1p(tf.exp(-tf.abs(z)))
    if task == "multiclass":
        return tf.reduce_logsumexp(predictions, axis=1) - tf.reduce_sum(
            predictions * target, axis=1
        )
    return 0.5 * tf.reduce_sum(tf.square(predictions - target), axis=1)


def loss_gradient(predictions: tf.Tensor, target: tf.Tensor, task: str) -> tf.Tensor:
    """(K, o, n): ∂ row_losses / ∂ predictions."""
    if task == "binary":
        return tf.sigmoid(predictions) - target
    if task == "multiclass":
        return tf.nn.softmax(predictions, axis=1) - target
    return predictions - target
