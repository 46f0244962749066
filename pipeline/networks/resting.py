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
from pipeline.networks.network import WIDEST_PANEL

PAIRS_AT_ONCE = WIDEST_PANEL


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
        count = PAIRS_AT_ONCE * max(1, -(-len(pairs) // PAIRS_AT_ONCE))
        place = np.full(chosen.size, count)
        place[pairs] = np.arange(len(pairs))
        pairs = np.append(pairs, np.repeat(pairs[-1:] if len(pairs) else [0], count - len(pairs)))
        arrays = pairs, pairs // chosen.shape[1], place
        return cls(*(tf.constant(array, tf.int32) for array in arrays))

    @classmethod
    def specs(cls, slots: int, dimensions: int) -> Moving:
        """Shapes in a compiled program: A is open."""
        some = tf.TensorSpec([None], tf.int32)
        return cls(some, some, tf.TensorSpec([slots * dimensions], tf.int32))


def encoder_specs(slots: int) -> optimizer.Encoder:
    """Shapes of `of_moving` in a compiled program."""
    dual = tf.TensorSpec([None, None, 1])
    return optimizer.Encoder(dual, dual, tf.TensorSpec([None, 1]), tf.TensorSpec([slots, 1]))


def initial_known(initial: tf.Tensor, people: int) -> tf.Tensor:
    """(people, J): E₀ (N, K, d) of the first people, in the layout of `known`."""
    return _flat(initial[:people], initial.shape[1] * initial.shape[2])


def known_after(
    known: tf.Tensor,
    changed: Moving,
    rests: tf.Tensor,
    initial: tf.Tensor,
    coefficients: tf.Tensor,
    relationship: tf.Tensor,
) -> tf.Tensor:
    """known (m, J) with the pairs that changed: E₀ + K·C of one that rests now (rests (A,) bool),
    E₀ of one that moves now. coefficients C (n, K, d), initial E₀ (N, K, d), relationship (N, n).
    """
    pairs, people = known.shape[1], tf.shape(known)[0]
    some = tf.gather(_flat(coefficients, pairs), changed.pairs, axis=1)
    learned = tf.matmul(relationship[:people], some)
    start = tf.gather(_flat(initial[:people], pairs), changed.pairs, axis=1)
    values = start + tf.where(rests[None, :], learned, 0.0)
    return _with_columns(known, values, changed)


def _with_columns(whole: tf.Tensor, values: tf.Tensor, chosen: Moving) -> tf.Tensor:
    """whole (m, J) with values (m, A) in the chosen columns."""
    count = tf.shape(values)[1]
    values = tf.gather(values, tf.minimum(chosen.place, count - 1), axis=1)
    return tf.where((chosen.place < count)[None, :], values, whole)


def _flat(tensor: tf.Tensor, pairs: int) -> tf.Tensor:
    """(m, K, d) → (m, J)."""
    return tf.reshape(tensor, [-1, pairs])


def of_moving(encoder: optimizer.Encoder, moving: Moving) -> optimizer.Encoder:
    """Of (n, K, d) the pairs that move, as A networks of one dimension each; the scale (K, 1) is
    that of all networks."""
    pairs = encoder.coefficients.shape[1] * encoder.coefficients.shape[2]

    def some(tensor):
        return tf.gather(_flat(tensor, pairs), moving.pairs, axis=1)[:, :, None]

    second = tf.gather(tf.reshape(encoder.second, [pairs]), moving.pairs)[:, None]
    return optimizer.Encoder(
        some(encoder.coefficients), some(encoder.momentum), second, encoder.scale
    )


def with_moved(
    encoder: optimizer.Encoder, moved: optimizer.Encoder, moving: Moving
) -> optimizer.Encoder:
    """The whole encoder (n, K, d) after those that move."""
    shape = tf.shape(encoder.coefficients)
    pairs = encoder.coefficients.shape[1] * encoder.coefficients.shape[2]

    def merged(before, after):
        whole = _with_columns(_flat(before, pairs), after[..., 0], moving)
        return tf.reshape(whole, tf.shape(before))

    return optimizer.Encoder(
        merged(encoder.coefficients, moved.coefficients),
        merged(encoder.momentum, moved.momentum),
        tf.reshape(merged(encoder.second[None], moved.second[None]), shape[1:]),
        moved.scale,
    )


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
