"""The encoder of a part between its epochs: which dimensions move, and the whole of it on demand.

What moves is in the program's tensors, what rests in arrays that are changed in place: so a change
of a few dimensions costs what these cost, and not what all do.

Shapes: K slots, d encoder outputs, J = K·d pairs, A of them moving, n training rows, m people.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pipeline.networks import Encodings, optimizer, resting


class RestingEncoder:
    """Starts as though all dimensions moved; what is known of the encodings of those that rest is
    made when they come to rest, from C, which then stays as it is. So it is the same for a part
    that goes on from a checkpoint or with other networks beside it.
    """

    def __init__(self, encoder: optimizer.Encoder, initial: tf.Tensor, learned: Callable):
        """encoder of n × K × d; initial E₀ (m, K, d); learned: coefficients (n, A) → K·C (m, A)."""
        self._shape, self._learned = tuple(encoder.second.shape), learned
        pairs = encoder.second.shape.num_elements()
        self._initial = initial.numpy().reshape(-1, pairs)
        self._known = self._initial.copy()
        self._known_tensor = tf.constant(self._known)
        self._moves = np.ones(self._shape, bool)
        self._moving = resting.Moving.where(self._moves)
        at = self._moving.pairs.numpy()
        coefficients, momentum = (
            np.take(each.numpy().reshape(-1, pairs), at, axis=1)
            for each in (encoder.coefficients, encoder.momentum)
        )
        self.moving_encoder = _encoder(
            coefficients, momentum, encoder.second.numpy().ravel()[at], encoder.scale
        )
        # C, its first and its second moment, of pairs that rest: of those that move, it is nothing.
        self._dual = [np.empty((pairs, len(coefficients)), np.float32) for _ in range(2)]
        self._second = np.empty(pairs, np.float32)

    def prepared(self, moves: np.ndarray) -> Encodings:
        """Of an epoch in which these dimensions move, (K, d) bool."""
        rest = np.flatnonzero(self._moves & ~moves)
        again = np.flatnonzero(moves & ~self._moves)
        if len(rest):
            self._take(rest)
            panels = resting.whole_panels(rest).reshape(-1, resting.PAIRS_AT_ONCE)
            # One at a time: a wider product of so many people may round otherwise.
            some = [self._learned(tf.constant(self._dual[0][each].T.copy())) for each in panels]
            learned = np.concatenate(some, axis=1)[:, : len(rest)]
            self._known[:, rest] = self._initial[:, rest] + learned
        if len(again):
            self._known[:, again] = self._initial[:, again]
        if len(rest) or len(again):
            self._move(moves)
            self._known_tensor = tf.constant(self._known)
        return Encodings(self._moving, self._known_tensor)

    def _take(self, pairs: np.ndarray) -> None:
        """Into the arrays: these pairs, which move."""
        at, (*dual, second, _) = self._moving.place.numpy()[pairs], self.moving_encoder
        for array, tensor in zip(self._dual, dual, strict=True):
            array[pairs] = np.take(tensor.numpy()[:, :, 0], at, axis=1).T
        self._second[pairs] = second.numpy()[at, 0]

    def _move(self, moves: np.ndarray) -> None:
        """Have these pairs move: those that did as they are now, the others as in the arrays."""
        moving = resting.Moving.where(moves)
        pairs = moving.pairs.numpy()
        came = ~self._moves.ravel()[pairs]
        at = np.where(came, 0, self._moving.place.numpy()[pairs])
        *dual, second, scale = self.moving_encoder
        coefficients, momentum = (np.take(each.numpy()[:, :, 0], at, axis=1) for each in dual)
        if came.any():
            for array, some in zip(self._dual, (coefficients, momentum), strict=True):
                some[:, came] = array[pairs[came]].T
        some_second = np.where(came, self._second[pairs], second.numpy()[at, 0])
        self.moving_encoder = _encoder(coefficients, momentum, some_second, scale)
        self._moves, self._moving = moves, moving

    def whole(self) -> optimizer.Encoder:
        """(n, K, d) of all dimensions."""
        self._take(np.flatnonzero(self._moves))
        coefficients, momentum = (
            tf.constant(np.ascontiguousarray(each.T).reshape(-1, *self._shape))
            for each in self._dual
        )
        second = tf.constant(self._second.reshape(self._shape))
        return optimizer.Encoder(coefficients, momentum, second, self.moving_encoder.scale)

    def coefficients(self, slot: int) -> np.ndarray:
        """C (n, d) of one network."""
        pairs = slice(slot * self._shape[1], (slot + 1) * self._shape[1])
        coefficients = self._dual[0][pairs].T.copy()
        moves = self._moves[slot]
        at = self._moving.place.numpy()[pairs][moves]
        coefficients[:, moves] = self.moving_encoder.coefficients.numpy()[:, at, 0]
        return coefficients


def _encoder(coefficients, momentum, second, scale: tf.Tensor) -> optimizer.Encoder:
    """Arrays of A pairs, (n, A) twice and (A,), as the program takes them."""
    coefficients, momentum = (tf.constant(each[:, :, None]) for each in (coefficients, momentum))
    return optimizer.Encoder(coefficients, momentum, tf.constant(second[:, None]), scale)
