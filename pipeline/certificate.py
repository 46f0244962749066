"""How close a network's first layer is to optimal, in float64 over all training rows at once."""

from __future__ import annotations

from dataclasses import replace

import tensorflow as tf

from pipeline import optimiser, penalties
from pipeline.network import Architecture, Weights, backward, forward, loss_gradient, row_losses
from pipeline.program import Constants

RESIDUAL_STEP = 1e-2
"""t of the fixed-point residual. The smaller, the stricter: at t → 0 it is the distance of 0 from
the subdifferential."""


def certify(
    weights: Weights,
    encodings: tf.Tensor | None,
    constants: Constants,
    hyperparameters: optimiser.Hyperparameters,
    architecture: Architecture,
    task: str,
) -> tuple[tf.Tensor, tf.Tensor]:
    """kkt_residual and objective of every network, each (K,) float64.

    objective = mean over rows of loss + Ω(first layer) + ½·weight_decay·‖other weights‖² (biases
    are not decayed), with the encoder as it is; kkt_residual = max_g ‖W_g − prox_t(W_g − t·∇_g)‖/t
    of the first layer, with ∇ the gradient of that mean loss over all training rows. No unit is
    dropped.

    constants are the float64 ones of the training rows; encodings (K, d, n) or None.
    """
    architecture = replace(architecture, dropout=0.0)
    weights, hyper = tf.nest.map_structure(
        lambda x: tf.cast(x, tf.float64), (weights, hyperparameters)
    )
    if encodings is not None:
        encodings = tf.cast(encodings, tf.float64)
    rows = tf.shape(constants.row_weights)[0]
    columns, target = constants.columns[:rows], constants.target[:, :rows]
    share = constants.row_weights / tf.cast(rows, tf.float64)
    seen = forward(weights, columns, encodings, architecture)
    upstream = loss_gradient(seen.predictions, target, task) * share
    gradient, _ = backward(weights, columns, encodings, seen, upstream, architecture)
    residual = penalties.residual(
        weights.first, gradient.first, RESIDUAL_STEP, hyper.lambdas, constants.groups
    )
    loss = tf.linalg.matvec(row_losses(seen.predictions, target, task), share)
    decay = tf.zeros_like(loss)
    for layer in weights.later:
        decay += 0.5 * tf.reduce_sum(tf.square(layer.weights), axis=[1, 2])
    penalty = penalties.value(weights.first, hyper.lambdas, constants.groups)
    return residual, loss + penalty + hyper.weight_decay * decay
