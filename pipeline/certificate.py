"""How close a network's first layer is to optimal, in float64 over all training rows at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import tensorflow as tf

from pipeline import optimiser, penalties
from pipeline.finishing import RESIDUAL_STEP
from pipeline.network import Architecture, Weights, backward, forward, loss_gradient, row_losses
from pipeline.program import Constants


@lru_cache(maxsize=32)
def certifier(architecture: Architecture, task: str) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The compiled certificate for an architecture: f(weights, encodings, constants,
    hyperparameters) → kkt_residual and objective of every network, each (K,) float64.

    objective = mean over rows of loss + Ω(first layer) + ½·weight_decay·‖other weights‖² (biases
    are not decayed), with the encoder as it is; kkt_residual = max_g ‖W_g − prox_t(W_g − t·∇_g)‖/t
    of the first layer, with ∇ the gradient of that mean loss over all training rows. No unit is
    dropped.

    constants are the float64 ones of the training rows; encodings (K, d, n) or (K, 0, 0).
    """
    architecture = replace(architecture, dropout=0.0)

    @tf.function(reduce_retracing=True)
    def certify(
        weights: Weights, encodings, constants: Constants, hyper: optimiser.Hyperparameters
    ):
        weights, encodings, hyper = tf.nest.map_structure(
            lambda x: tf.cast(x, tf.float64), (weights, encodings, hyper)
        )
        own = encodings if architecture.genetic_dimensions else None
        train = constants.of_training_rows()
        columns, target = train.columns, train.target
        share = train.row_weights / tf.cast(tf.shape(train.row_weights)[0], tf.float64)
        seen = forward(weights, columns, own, architecture)
        upstream = loss_gradient(seen.predictions, target, task) * share
        gradient, _ = backward(weights, columns, own, seen, upstream, architecture)
        residual = penalties.residual(
            weights.first, gradient.first, RESIDUAL_STEP, hyper.lambdas, constants.groups
        )
        loss = tf.linalg.matvec(row_losses(seen.predictions, target, task), share)
        decay = tf.zeros_like(loss)
        for layer in weights.later:
            decay += 0.5 * tf.reduce_sum(tf.square(layer.weights), axis=[1, 2])
        penalty = penalties.value(weights.first, hyper.lambdas, constants.groups)
        return residual, loss + penalty + hyper.weight_decay * decay

    return certify
