"""The first layer's gradient and the mean loss over all training rows, for finish and certificate.

Shapes: K networks, h units, p columns, d encoder outputs, n training rows.
"""

from __future__ import annotations

import tensorflow as tf

from pipeline.network import Architecture, Weights, backward, forward, loss_gradient, row_losses
from pipeline.program import Constants

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
