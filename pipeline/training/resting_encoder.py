"""The encoder of a part between its epochs: which dimensions move, and the whole of it on demand.

Shapes: K slots, d encoder outputs, n training rows, N people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from pipeline.networks import Encodings, optimizer, resting

if TYPE_CHECKING:
    from pipeline.training.population import Setting


class RestingEncoder:
    """Starts as though all dimensions moved; what is known of the encodings of those that rest is
    made when they come to rest, from C, which then stays as it is. So it is the same for a part
    that goes on from a checkpoint or with other networks beside it.
    """

    def __init__(self, setting: Setting, initial: tf.Tensor, encoder: optimizer.Encoder):
        """initial E₀ (N, K, d), encoder C (n, K, d)."""
        n, validation, _ = setting.data.rows
        self._setting, self._initial, self._encoder = setting, initial, encoder
        self._moves = np.ones(encoder.second.shape, bool)
        self._moving = resting.Moving.where(self._moves)
        self._known = resting.initial_known(initial, n + validation)
        self._of_moving, self._merged = resting.of_moving(encoder, self._moving), True

    @property
    def moving_encoder(self) -> optimizer.Encoder:
        """Of the pairs that move, as the program takes it and gives it back."""
        return self._of_moving

    @moving_encoder.setter
    def moving_encoder(self, encoder: optimizer.Encoder) -> None:
        self._of_moving, self._merged = encoder, False

    def whole(self) -> optimizer.Encoder:
        """(n, K, d) of all dimensions."""
        if not self._merged:
            self._encoder = resting.with_moved(self._encoder, self._of_moving, self._moving)
            self._merged = True
        return self._encoder

    def prepared(self, moves: np.ndarray) -> Encodings:
        """Of an epoch in which these dimensions move, (K, d) bool."""
        changed = moves != self._moves
        if changed.any():
            encoder, which = self.whole(), resting.Moving.where(changed)
            known_after = self._setting.program(len(moves)).known_after
            assert known_after is not None
            self._known = known_after(
                self._known,
                which,
                tf.gather(tf.constant(~moves.ravel()), which.pairs),
                self._initial,
                encoder.coefficients,
                self._setting.constants.relationship,
            )
            self._moves, self._moving = moves, resting.Moving.where(moves)
            self._of_moving = resting.of_moving(encoder, self._moving)
        return Encodings(self._moving, self._known)
