"""Encoder dimensions that rest for an epoch, and those that move.

Where all of a network's weights on an encoder dimension are zero, ∂loss/∂E is zero there, and the
dual coefficients C have nothing to learn. So in an epoch before which they are zero the dimension
rests: its C and moments stay as they are, and with them its encoding E₀ + K·C of everyone, but for
the scale a, which decays as always. The encoding is looked up and not multiplied out, so that the
gradient of the weights on it is exact in every step, and the penalty alone decides whether they
come back; if they do, C moves again from the next epoch on. After some epochs most dimensions of a
group-lasso network rest, and an epoch costs what the others cost.

The (network, dimension) pairs that move stand in one flat list, so that of all networks there is
one matrix product. It is filled up to a multiple of PAIRS_AT_ONCE, the widest panel of the
product's inner loop: then a pair's numbers do not depend on which others move.

Shapes: K networks, d encoder outputs, J = K·d pairs, A of them moving, n training rows, m people.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.networks import optimizer
from pipeline.networks.architecture import WIDEST_PANEL

PAIRS_AT_ONCE = WIDEST_PANEL


def whole_panels(pairs: np.ndarray) -> np.ndarray:
    """At least one pair, and the last of them again up to a multiple of PAIRS_AT_ONCE."""
    return np.append(pairs, np.repeat(pairs[-1:], -len(pairs) % PAIRS_AT_ONCE))


class Moving(NamedTuple):
    """Which pairs move: pairs (A,) their numbers network·d + dimension, the last one repeated to
    fill up, networks (A,) of them, and place (J,) of each pair among them, A of one that rests."""

    pairs: tf.Tensor
    networks: tf.Tensor
    place: tf.Tensor

    @classmethod
    def where(cls, chosen: np.ndarray) -> Moving:
        """Of chosen (K, d) bool."""
        pairs = np.flatnonzero(chosen)
        filled = whole_panels(pairs if len(pairs) else np.zeros(1, int))
        place = np.full(chosen.size, len(filled))
        place[pairs] = np.arange(len(pairs))
        arrays = filled, filled // chosen.shape[1], place
        return cls(*(tf.constant(array, tf.int32) for array in arrays))

    @classmethod
    def specs(cls, slots: int, dimensions: int) -> Moving:
        """Shapes in a compiled program: A is open."""
        some = tf.TensorSpec([None], tf.int32)
        return cls(some, some, tf.TensorSpec([slots * dimensions], tf.int32))


def encoder_specs(slots: int) -> optimizer.Encoder:
    """Shapes of the moving pairs' encoder in a compiled program: A networks of one dimension each,
    but the scale (K, 1) is that of all networks."""
    dual = tf.TensorSpec([None, None, 1])
    return optimizer.Encoder(dual, dual, tf.TensorSpec([None, 1]), tf.TensorSpec([slots, 1]))


def moving_encoder(
    moving: Moving, coefficients: np.ndarray, scale: np.ndarray
) -> optimizer.Encoder:
    """Of whole encoders' C (n, K, d) and a (K, 1) that of the pairs that move, to encode people."""
    pairs = moving.pairs.numpy()
    chosen = np.take(coefficients.reshape(len(coefficients), -1), pairs, axis=1)
    dual = tf.constant(chosen[:, :, None])
    return optimizer.Encoder(dual, dual, tf.zeros([len(pairs), 1]), tf.constant(scale))


def learned(relationship: tf.Tensor, coefficients: tf.Tensor) -> tf.Tensor:
    """K·C (m, A) of m people: relationship (m, n), coefficients (n, A), A whole panels."""
    return tf.matmul(relationship, coefficients)


def encode(
    encoder: optimizer.Encoder, moving: Moving, known: tf.Tensor, relationship: tf.Tensor
) -> tf.Tensor:
    """E (K, d, m) of m people: known (m, J) of theirs, relationship (m, n) to the training rows."""
    slots = encoder.scale.shape[0]
    learned = tf.transpose(tf.matmul(relationship, encoder.coefficients[:, :, 0]))  # (A, m)
    learned = tf.concat([learned, tf.zeros_like(learned[:1])], axis=0)
    encodings = tf.transpose(known) + tf.gather(learned, moving.place)
    shape = [slots, known.shape[1] // slots, tf.shape(relationship)[0]]
    return tf.reshape(encodings, shape) * encoder.scale[:, :, None]


def encoder_step(
    encoder: optimizer.Encoder,
    moving: Moving,
    gradient: tf.Tensor,
    batch: tf.Tensor,
    relationship: tf.Tensor,
    rank: tf.Tensor,
    learning_rate: tf.Tensor,
    weight_decay: tf.Tensor,
    rates: optimizer.Rates,
) -> optimizer.Encoder:
    """`optimizer.encoder_step` of the pairs that move, gradient (K, d, b); all scales decay."""
    pairs, people = moving.place.shape[0], tf.shape(batch)[0]
    if rank.shape.rank:
        rank = tf.gather(rank, moving.networks)
    moved = optimizer.encoder_step(
        encoder._replace(scale=tf.gather(encoder.scale, moving.networks)),
        tf.gather(tf.reshape(gradient, [pairs, people]), moving.pairs)[:, None, :],
        batch,
        relationship,
        rank,
        tf.gather(learning_rate, moving.networks),
        tf.gather(weight_decay, moving.networks),
        rates,
    )
    return moved._replace(scale=optimizer.decayed_scale(encoder.scale, learning_rate, weight_decay))
