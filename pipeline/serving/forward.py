"""The forward pass of a network and what a person reads of it, in NumPy.

Shapes: n rows, o outputs (1, or the number of classes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.special import ndtr

ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda z: np.maximum(z, 0.0),
    "tanh": np.tanh,
    "gelu": lambda z: z * ndtr(z),
}
"""Activation → its function of NumPy arrays; `networks.network` has the same in TensorFlow."""

Layers = Sequence[tuple[np.ndarray, np.ndarray]]


def forward(layers: Layers, columns: np.ndarray, activation: str) -> np.ndarray:
    """(n, o) float64 logits, or quantities in the unit that the network was trained in.

    z_0 = X·W_0 + b_0 and z_i = a(z_{i−1})·W_i + b_i, for columns X (n, inputs) and layers of
    (weights (inputs, outputs), bias (outputs,)), the first layer first.
    """
    activate = ACTIVATIONS[activation]
    z = np.asarray(columns, np.float64)
    for i, (weights, bias) in enumerate(layers):
        z = (z if i == 0 else activate(z)) @ weights.astype(np.float64) + bias
    return z


def probabilities(predictions: np.ndarray, task: str) -> np.ndarray:
    """Predictions (…, o, n) → what a person reads: (…, n), or (…, n, o) for several classes.

    The probability of the second class (binary), of every class (multiclass), or the quantity.
    """
    predictions = np.asarray(predictions, np.float64)
    if task == "binary":
        return 0.5 * (1.0 + np.tanh(0.5 * predictions[..., 0, :]))
    if task == "multiclass":
        shifted = np.exp(predictions - predictions.max(axis=-2, keepdims=True))
        return np.moveaxis(shifted / shifted.sum(axis=-2, keepdims=True), -2, -1)
    return predictions[..., 0, :]
