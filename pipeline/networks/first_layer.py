"""Where the first layer's columns stand: the table's, the bias, and the encodings of genotypes.

The bias is a column of ones among the inputs, so that the whole first layer is one matrix product.
Trained networks have p = p_s + 1 + d columns; while a population trains, columns of zeros after
the bias fill p up to a multiple of LANES (`padded`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

LANES = 8
"""Numbers that TensorFlow's kernels add at once: sums over whole vectors are the same ones for
every network."""


@dataclass(frozen=True)
class FirstLayer:
    """The places of p_s columns of the table, the bias, spare columns of zeros and d encodings."""

    shared: int
    genetic: int = 0
    spare: int = 0

    @property
    def columns(self) -> slice:
        """The table's columns."""
        return slice(0, self.shared)

    @property
    def bias(self) -> int:
        """The column of ones."""
        return self.shared

    @property
    def spares(self) -> slice:
        """Columns of zeros."""
        return slice(self.shared + 1, self.shared + 1 + self.spare)

    @property
    def encodings(self) -> slice:
        """The encodings of genotypes, last."""
        return slice(self.shared + 1 + self.spare, self.count)

    @property
    def count(self) -> int:
        """All columns."""
        return self.shared + 1 + self.spare + self.genetic

    @property
    def inputs(self) -> np.ndarray:
        """The places of the table's columns and of the encodings, in this order."""
        every = np.arange(self.count)
        return np.concatenate([every[self.columns], every[self.encodings]])

    @property
    def padded(self) -> FirstLayer:
        """With as many spare columns as make the count a multiple of LANES."""
        return replace(self, spare=-(self.count - self.spare) % LANES)

    def spread(self, inputs: np.ndarray, bias: float, spare: float) -> np.ndarray:
        """Values (p_s + d,) of the inputs → (count,), with one for the bias and one for spares."""
        placed = np.empty(self.count, np.asarray(inputs).dtype)
        placed[self.inputs], placed[self.bias], placed[self.spares] = inputs, bias, spare
        return placed

    def widened(self, first: np.ndarray) -> np.ndarray:
        """Weights (…, p_s + 1 + d) → (…, count), zeros in the spare columns."""
        return np.insert(first, [self.shared + 1] * self.spare, 0, axis=-1)

    def narrowed(self, first: np.ndarray) -> np.ndarray:
        """`widened`, undone."""
        return np.delete(first, self.spares, axis=-1)


class PlainLayer(NamedTuple):
    """weights (inputs, outputs) and bias (outputs,), as a person writes them down."""

    weights: np.ndarray
    bias: np.ndarray


def plain_layers(weights, places: FirstLayer, dtype=np.float32) -> tuple[PlainLayer, ...]:
    """One network's `Weights` → every layer, the first layer's inputs being the table's columns
    and then the encodings."""
    first = np.asarray(weights.first, dtype)
    later = (
        PlainLayer(np.asarray(layer.weights, dtype).T, np.asarray(layer.bias, dtype)[:, 0])
        for layer in weights.later
    )
    return (PlainLayer(first[:, places.inputs].T, first[:, places.bias]), *later)
