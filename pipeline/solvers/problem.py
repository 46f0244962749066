"""One network as the solvers see it: its first layer moves, and everything else stays as it is.

The minimized function of the first-layer weights W (h, p), bias and encodings among the columns, is

    F(W) = Σ_i share_i·loss_i(W) + Ω(W),     Ω(W) = λ1·Σ|W| + λ2·½ΣW² + λg·Σ_g √(|g|·h)·‖W_g‖_F

with the factor of each column on its λs. NumPy in float64, one network at a time: no other network
changes the arithmetic, and with few rows at a time memory does not grow with them. The same
formulas in TensorFlow, for whole populations, are `pipeline.networks.network` and `penalties`; a
test holds the two to each other.

Shapes: n training rows, p columns, h units of the first layer, o outputs, g variables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pipeline.solvers.passes import SLOPES, Passes, back_to_first, forward, output_slopes

RESIDUAL_STEP = 1e-2
"""t of the fixed-point residual. The smaller, the stricter: at t → 0 it is the distance of 0 from
the subdifferential."""

NO_NORM = 1e-30
"""In place of a norm of 0, which nothing is divided by."""

Later = tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True, eq=False)
class Problem:
    """One network without its first layer, float64.

    columns    (n, p) of the training rows, with the bias and the network's encodings
    target     (o, n) as `pipeline.networks.network` has it
    share      (n,) of each row in the mean loss, adding up to 1
    task       binary, multiclass or regression
    activation of the hidden layers
    later      ((h_out, h_in) weights, (h_out, 1) bias) of every later layer; () without hidden ones
    lambdas    λ1, λ2, λg
    group, size, factor  (p,) of `penalties.Groups`
    decay      ½·weight_decay·‖later weights‖², a part of the objective that does not move
    """

    columns: np.ndarray
    target: np.ndarray
    share: np.ndarray
    task: str
    activation: str
    later: Later
    lambdas: tuple[float, float, float]
    group: np.ndarray
    size: np.ndarray
    factor: np.ndarray
    decay: float = 0.0

    @property
    def units(self) -> int:
        """h."""
        return self.later[0][0].shape[1] if self.later else len(self.target)

    @property
    def convex(self) -> bool:
        """Whether there is no hidden layer, so that a stationary point is the minimum."""
        return not self.later

    @property
    def bends(self) -> bool:
        """Whether its units have kinks."""
        return self.activation == "relu" and not self.convex

    @cached_property
    def passes(self) -> Passes:
        """Over its rows, with their memory."""
        return Passes(self)

    @cached_property
    def single(self) -> bool:
        """Whether every column is the variable of its number."""
        return bool(np.array_equal(self.group, np.arange(len(self.group))))

    @cached_property
    def inverse_lengths(self) -> np.ndarray:
        """(n,) 1/‖x_i‖, 0 of a row of zeros."""
        lengths = np.sqrt(np.square(self.columns).sum(axis=1))
        return np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0.0)

    @cached_property
    def scales(self) -> np.ndarray:
        """(g,) what a variable's residual is compared with: min(f·(λ1 + λg)·√(|g|·h), G), or G
        where no penalty makes zeros. G is the largest gradient of any variable at W = 0, with
        relu′(0) = 1: from λ_max on nothing is gained by a larger strength."""
        l1, _, group = self.lambdas
        per_column = self.factor * (l1 + group) * np.sqrt(self.size * self.units)
        strength = np.zeros(int(self.group.max()) + 1)
        strength[self.group] = per_column
        z = np.zeros((self.units, 1))
        slope = 1.0 if self.activation == "relu" else SLOPES[self.activation](z, z)
        layers = forward(z, self)  # at W = 0 those of every row
        downstream = np.zeros((len(self.target), self.columns.shape[1]))
        for rows in self.passes.rows:
            downstream += output_slopes(layers[-1][1], self, rows) @ self.columns[rows]
        at_zero = back_to_first(downstream, layers, self)
        at_zero = at_zero if self.convex else at_zero * slope
        largest = variable_norms(at_zero, self).max() or 1.0
        return np.where((strength > 0.0) & (strength < largest), strength, largest)

    def of_columns(self, which: np.ndarray) -> Problem:
        """The same with some columns alone, their variables numbered anew, at the same scales."""
        variables, group = np.unique(self.group[which], return_inverse=True)
        part = replace(
            self,
            columns=np.asfortranarray(self.columns[:, which]),  # so products with δ are fast
            group=group,
            size=self.size[which],
            factor=self.factor[which],
        )
        part.__dict__["scales"] = self.scales[variables]
        return part

    def in_precision(self, dtype: type) -> Problem:
        """The same numbers in another floating-point type."""
        names = ("columns", "target", "share", "size", "factor")
        changed: dict[str, Any] = {name: getattr(self, name).astype(dtype) for name in names}
        changed["later"] = tuple((w.astype(dtype), b.astype(dtype)) for w, b in self.later)
        return replace(self, **changed)


def gradient(first: np.ndarray, problem: Problem) -> np.ndarray:
    """(h, p): ∂ mean loss / ∂W."""
    return problem.passes.loss_and_gradient(first, measured=False)[1]


def loss_and_gradient(first: np.ndarray, problem: Problem) -> tuple[float, np.ndarray]:
    """The mean loss and its gradient (h, p)."""
    return problem.passes.loss_and_gradient(first)


def penalty(first: np.ndarray, problem: Problem) -> float:
    """Ω(W)."""
    l1, l2, group = problem.lambdas
    roots = np.sqrt(problem.size * len(first))
    norms = variable_norms(first, problem)[problem.group] / problem.size
    per_column = l1 * np.abs(first).sum(axis=0) + 0.5 * l2 * np.square(first).sum(axis=0)
    return float(problem.factor @ (per_column + group * roots * norms))


def objective(first: np.ndarray, problem: Problem) -> float:
    """F(W)."""
    return problem.passes.loss(first) + penalty(first, problem)


def variable_norms(first: np.ndarray, problem: Problem) -> np.ndarray:
    """(g,): ‖W_g‖_F."""
    squares = np.einsum("hp,hp->p", first, first)
    if not problem.single:
        squares = np.bincount(problem.group, squares).astype(first.dtype, copy=False)
    return np.sqrt(squares)


def proximal_step(first: np.ndarray, step: float, problem: Problem) -> np.ndarray:
    """prox_{t·Ω}(W), as `penalties.proximal_step` of one network."""
    l1, l2, group = problem.lambdas
    scaled = step * problem.factor
    soft = first - np.clip(first, -scaled * l1, scaled * l1) if l1 else first
    share = 1.0 / (1.0 + scaled * l2)
    if group:
        norms = variable_norms(soft, problem)
        norms = norms if problem.single else norms[problem.group]
        # A zero norm is that of weights that are all 0, whatever they are multiplied by.
        radius = scaled * group * np.sqrt(problem.size * len(first)) / np.maximum(norms, NO_NORM)
        share *= np.clip(1.0 - radius, 0.0, 1.0)
    return soft * share


def residuals(first: np.ndarray, first_gradient: np.ndarray, problem: Problem) -> np.ndarray:
    """(g,): ‖W_g − prox_t(W_g − t·∇_g)‖_F/t for ∇ = first_gradient (h, p), t = RESIDUAL_STEP."""
    moved = proximal_step(first - RESIDUAL_STEP * first_gradient, RESIDUAL_STEP, problem)
    return variable_norms(first - moved, problem) / RESIDUAL_STEP


def curvature(
    first: np.ndarray, gradient_at: Callable[[np.ndarray], np.ndarray], steps: int
) -> float:
    """L: the largest curvature of the mean loss around W, by power iteration on differences of its
    gradients (gradient_at), which approaches it from below; 1 where there is none."""
    direction = np.random.default_rng(0).standard_normal(first.shape)
    gradient_here, far, largest = gradient_at(first), 1e-4, 0.0
    for _ in range(steps):
        direction *= far / np.linalg.norm(direction)
        direction = (gradient_at(first + direction) - gradient_here) / far
        largest = float(np.linalg.norm(direction))
        if not largest > 0.0:
            return 1.0
    return largest


def momentum_after(momentum: float) -> float:
    """s⁺ = (1 + √(1 + 4s²))/2 of Beck and Teboulle (2009)."""
    return 0.5 * (1.0 + float(np.sqrt(1.0 + 4.0 * momentum * momentum)))


def uphill(point: np.ndarray, landed: np.ndarray, before: np.ndarray) -> bool:
    """Whether momentum points uphill, so that it is dropped: the gradient scheme of O'Donoghue and
    Candès (2015), for a step from `point` to `landed` after `before`."""
    return float(np.vdot(point - landed, landed - before)) > 0.0
