"""Forward and backward passes over all training rows, for the one network of a problem.

With one hidden layer and one output, of weights v (h,), the gradient is

    ∂f/∂W = v ∘ (σ′(Z)·(δ ∘ X))      Z = W·Xᵀ, δ_i = share_i·∂loss_i/∂prediction_i

so that of the activations (h, n), which take most of the time, there are but four passes: the
product, σ, σ′ and the product back. They go into the same memory every time, as many rows at once
as stay in a core's cache, so that memory does not grow with the rows either.

Shapes: n training rows, p columns, h units of the first layer, o outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp, ndtr, softmax

from pipeline.serving import ACTIVATIONS

if TYPE_CHECKING:
    from pipeline.solvers.problem import Problem

CACHED_BYTES, LEAST_ROWS = 2**19, 128
"""Bytes of the activations that are held together, and the rows that are in any case."""

SLOPES: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "relu": lambda z, a: z > 0.0,
    "tanh": lambda z, a: 1.0 - np.square(a),
    "gelu": lambda z, a: ndtr(z) + z * np.exp(-0.5 * np.square(z)) / np.sqrt(2.0 * np.pi),
}
"""Activation → its derivative, of z and a = activation(z); relu′(0) = 0."""


class Passes:
    """The passes of a problem, in the precision of its columns; for one thread."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._activate = ACTIVATIONS[problem.activation]
        self._slope_of = SLOPES[problem.activation]
        self._one_output = len(problem.later) == 1 and len(problem.target) == 1
        h, n, dtype = problem.units, len(problem.columns), problem.columns.dtype
        at_once = min(n, max(LEAST_ROWS, CACHED_BYTES // (h * dtype.itemsize)))
        self.rows = [slice(start, min(start + at_once, n)) for start in range(0, n, at_once)]
        self._z, self._slopes = np.empty(h * at_once, dtype), np.empty(h * at_once, dtype)
        self._gates = np.empty(h * at_once, bool)

    def loss_and_gradient(
        self, first: np.ndarray, *, measured: bool = True
    ) -> tuple[float, np.ndarray]:
        """The mean loss (0 unless measured) at W (h, p), and its gradient (h, p)."""
        problem, loss, total = self._problem, 0.0, np.zeros_like(first)
        for rows in self.rows:
            columns = problem.columns[rows]
            z, activated = self._first_layer(first, columns)
            layers = forward(activated, problem)
            upstream = output_slopes(layers[-1][1], problem, rows)
            if measured:
                loss += mean_loss(layers[-1][1], problem, rows)
            if problem.convex:
                total += upstream @ columns
            elif self._one_output:
                total += self._slope(z, activated) @ (upstream.T * columns)
            else:
                delta = back_to_first(upstream, layers, problem)
                total += (delta * self._slope(z, activated)) @ columns
        return loss, total * problem.later[0][0].T if self._one_output else total

    def loss(self, first: np.ndarray) -> float:
        """The mean loss at W (h, p)."""
        problem, loss = self._problem, 0.0
        for rows in self.rows:
            _, activated = self._first_layer(first, problem.columns[rows])
            loss += mean_loss(forward(activated, problem)[-1][1], problem, rows)
        return loss

    def _first_layer(self, first: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z (h, rows) and σ(z), of ReLU units in the same memory: z > 0 where relu(z) > 0."""
        shape = len(first), len(columns)
        z = np.matmul(first, columns.T, out=self._z[: shape[0] * shape[1]].reshape(shape))
        if self._problem.convex:
            return z, z
        if self._problem.activation == "relu":
            z = np.clip(z, 0.0, np.inf, out=z)  # three times as fast as np.maximum with a number
            return z, z
        return z, self._activate(z)

    def _slope(self, z: np.ndarray, activated: np.ndarray) -> np.ndarray:
        """σ′(z), (h, rows), as numbers of the columns' type."""
        slope = self._slopes[: z.size].reshape(z.shape)
        if self._problem.activation == "relu":
            gate = np.greater(z, 0.0, out=self._gates[: z.size].reshape(z.shape))
            np.copyto(slope, gate)
        elif self._problem.activation == "tanh":
            np.subtract(1.0, np.square(activated, out=slope), out=slope)
        else:
            slope = self._slope_of(z, activated)
        return slope


def forward(activated: np.ndarray, problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
    """From the first layer's activations (h, n): (z, activation(z)) of every later hidden layer,
    and last the predictions, twice. Without hidden layers `activated` are the predictions."""
    activate, layers = ACTIVATIONS[problem.activation], [(activated, activated)]
    for i, (weights, bias) in enumerate(problem.later):
        z = weights @ layers[-1][1] + bias
        layers.append((z, z if i == len(problem.later) - 1 else activate(z)))
    return layers


def output_slopes(predictions: np.ndarray, problem: Problem, rows: slice) -> np.ndarray:
    """δ (o, n): ∂ mean loss / ∂ predictions."""
    if problem.task == "binary":
        predicted = 0.5 * np.tanh(0.5 * predictions) + 0.5
    elif problem.task == "multiclass":
        predicted = softmax(predictions, axis=0)
    else:
        predicted = predictions
    return (predicted - problem.target[:, rows]) * problem.share[rows]


def back_to_first(upstream: np.ndarray, layers: list, problem: Problem) -> np.ndarray:
    """∂ mean loss / ∂ the first layer's activations (h, n), from δ and `forward`'s layers; without
    hidden layers δ itself."""
    slope = SLOPES[problem.activation]
    for (weights, _), (z, a) in zip(problem.later[:0:-1], layers[-2:0:-1], strict=True):
        upstream = _through(weights, upstream) * slope(z, a)
    return _through(problem.later[0][0], upstream) if problem.later else upstream


def _through(weights: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """weightsᵀ·upstream; of one output BLAS takes six times as long as an outer product."""
    return weights.T * upstream if len(weights) == 1 else weights.T @ upstream


def to_first(activated: np.ndarray, problem: Problem, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Of some rows: ∂ mean loss / ∂ the first layer's activations (h, n), and predictions (o, n).

    Without hidden layers that is ∂ mean loss / ∂ predictions.
    """
    layers = forward(activated, problem)
    upstream = output_slopes(layers[-1][1], problem, rows)
    return back_to_first(upstream, layers, problem), layers[-1][1]


def mean_loss(predictions: np.ndarray, problem: Problem, rows: slice) -> float:
    """Σ_i share_i·loss_i of these rows, added in float64: cross-entropy in nats, or half the
    squared error."""
    target = problem.target[:, rows]
    if problem.task == "binary":
        z = predictions[0]
        losses = np.clip(z, 0.0, np.inf) - z * target[0] + np.log1p(np.exp(-np.abs(z)))
    elif problem.task == "multiclass":
        losses = logsumexp(predictions, axis=0) - np.sum(predictions * target, axis=0)
    else:
        losses = 0.5 * np.sum(np.square(predictions - target), axis=0)
    share = problem.share[rows].astype(np.float64, copy=False)
    return float(losses.astype(np.float64, copy=False) @ share)
