"""One trained network for those who only use it: NumPy alone, so no TensorFlow to predict.

Shapes: n rows, p columns, h units of the first layer, o outputs, g variables, T epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from pipeline.serving import forward


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """One network of an estimator: what it learned from one seed, on one resample or all rows.

    layers       (weights (inputs, outputs), bias (outputs,)) of every layer, the first layer first
    offset       added to the output: the mean of a quantity, 0 for classes
    zeroed       (g,) whether all first-layer weights of the variable are exactly 0.0
    history      name → (T,): train_loss, validation_score, kept (variables that are not zeroed)
    kkt_residual, kkt_residual_absolute, objective   of these weights over all training rows
    best_epoch   the epoch of these weights; final_epoch is the last one trained
    failure      why this network has no weights, or None
    """

    seed: int
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str
    offset: float
    zeroed: np.ndarray
    history: Mapping[str, np.ndarray]
    kkt_residual: float
    kkt_residual_absolute: float
    objective: float
    best_epoch: int
    final_epoch: int
    failure: str | None = None
    resample: int | None = None

    @property
    def first_layer(self) -> np.ndarray:
        """(p, h), the bias left out."""
        return self.layers[0][0]

    def outputs(self, columns: np.ndarray) -> np.ndarray:
        """(n, o): logits or the predicted quantity, for columns (n, p) in float64."""
        return forward(self.layers, columns, self.activation) + self.offset


def mean_log_probabilities(networks: Sequence[FittedNetwork], columns: np.ndarray) -> np.ndarray:
    """(n, classes): the logarithm of the networks' mean probability of every class.

    Computed from logits, log(mean_k softmax(z_k)) = logsumexp_k(z_k − logsumexp(z_k)) − log K, so
    that a probability near 0 keeps its digits. One output z stands for the two logits (0, z).
    """
    each = []
    for network in networks:
        z = network.outputs(columns)
        if z.shape[1] == 1:
            z = np.concatenate([np.zeros_like(z), z], axis=1)
        each.append(z - logsumexp(z, axis=1, keepdims=True))
    return logsumexp(each, axis=0) - np.log(len(each))
