"""What the networks of a population have in common.

No TensorFlow here: a process that hands networks to others needs none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from pipeline.networks.first_layer import FirstLayer

ACTIVATIONS = ("relu", "tanh", "gelu")


@dataclass(frozen=True)
class Architecture:
    """What networks of one population have in common.

    shared_columns      p_s, columns of the table (the bias is not counted)
    genetic_dimensions  d, 0 without genotypes
    hidden_layer_sizes  units of each hidden layer, () for none
    outputs             o: 1 for binary outcomes and quantities, the number of classes otherwise
    activation          relu, tanh or gelu, after every hidden layer
    dropout             share of units set to 0 after each hidden layer, while training
    """

    shared_columns: int
    genetic_dimensions: int
    hidden_layer_sizes: tuple[int, ...]
    outputs: int = 1
    activation: str = "relu"
    dropout: float = 0.0

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of every layer with weights, the first and the output layer included."""
        return (*self.hidden_layer_sizes, self.outputs)

    @property
    def first_layer(self) -> FirstLayer:
        """Where the columns of a trained network's first layer stand."""
        return FirstLayer(self.shared_columns, self.genetic_dimensions)

    @property
    def columns(self) -> int:
        """p: columns of the first layer's weights, the bias included."""
        return self.first_layer.count

    @property
    def gated(self) -> bool:
        """Whether the output is a sum of ReLU units, each passing its input on or not."""
        plain = self.activation == "relu" and self.dropout == 0.0
        return plain and self.outputs == 1 and len(self.hidden_layer_sizes) == 1

    @property
    def decayed(self) -> np.ndarray:
        """(q,) float32: 1 for weights of the later layers, 0 for their biases; see flat_later."""
        parts = [np.zeros(0, np.float32)]
        for h_in, h_out in itertools.pairwise(self.layer_sizes):
            parts += [np.ones(h_out * h_in, np.float32), np.zeros(h_out, np.float32)]
        return np.concatenate(parts)


WIDEST_PANEL = 48
"""Rows that a matrix product's inner loop takes at once, at most (three vectors of AVX-512)."""


def spare_networks(architecture: Architecture) -> int:
    """How many unused networks follow the used ones, so that a network's place changes no number.

    Matrix products and vector instructions round otherwise at the end of a tensor, where they have
    less than a full vector: in the rows of the first layer and the columns of the encoder.
    """
    spare = -(-WIDEST_PANEL // architecture.layer_sizes[0])
    if architecture.genetic_dimensions:
        spare = max(spare, -(-WIDEST_PANEL // architecture.genetic_dimensions))
    return spare
