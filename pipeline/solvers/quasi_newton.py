"""Directions of limited-memory BFGS: what the last steps have shown of the curvature.

With the last m pairs s = x⁺ − x and y = ∇⁺ − ∇ as rows of S and Y, R the upper triangle of S·Yᵀ, D
its diagonal and γ = sᵀy/yᵀy of the last pair, the inverse Hessian is seen as (Byrd, Nocedal and
Schnabel 1994, equation 3.13)

    H·g = γ·g + Sᵀ·R⁻ᵀ·((D + γ·Y·Yᵀ)·u − γ·Y·g) − γ·Yᵀ·u        u = R⁻¹·S·g

a few products of (m × weights) matrices.
"""

from __future__ import annotations

import numpy as np

MOST_PAIRS, MOST_BYTES = 16, 64 * 2**20
"""Pairs that are remembered, fewer of very wide first layers."""

CURVED = 1e-10
"""A pair counts where sᵀy > CURVED·‖s‖·‖y‖: where the function bends upwards."""


class Pairs:
    """The last pairs of a walk over so many weights."""

    def __init__(self, weights: int) -> None:
        self._most = int(np.clip(MOST_BYTES // (16 * weights), 2, MOST_PAIRS))
        self._s, self._y = np.zeros((0, weights)), np.zeros((0, weights))
        self.step: float | None = None

    def forget(self) -> None:
        """All pairs, but not `step`."""
        self._s, self._y = self._s[:0], self._y[:0]

    @property
    def any(self) -> bool:
        """Whether there are pairs."""
        return bool(len(self._s))

    @property
    def full(self) -> bool:
        """Whether there are as many as are remembered."""
        return len(self._s) == self._most

    def add(self, s: np.ndarray, y: np.ndarray) -> None:
        """A pair, where the function bends upwards along s; `step` is its sᵀy/yᵀy (Barzilai and
        Borwein 1988)."""
        product, square = float(s @ y), float(y @ y)
        if not product > CURVED * np.sqrt(float(s @ s) * square):
            return
        kept = slice(max(len(self._s) + 1 - self._most, 0), None)
        self._s = np.concatenate([self._s[kept], s[None]])
        self._y = np.concatenate([self._y[kept], y[None]])
        self.step = product / square
        products = self._s @ self._y.T
        self._diagonal = products.diagonal()
        self._inverse = np.linalg.inv(np.triu(products))
        self._squares = self._y @ self._y.T

    def direction(self, gradient: np.ndarray) -> np.ndarray:
        """−H·gradient; there must be a pair."""
        step = self.step
        u = self._inverse @ (self._s @ gradient)
        inner = self._diagonal * u + step * (self._squares @ u - self._y @ gradient)
        return step * (u @ self._y - gradient) - (self._inverse.T @ inner) @ self._s
