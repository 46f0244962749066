"""From an estimator's arrays to its trained networks, through the engine the pipeline uses.

TensorFlow is loaded when something is trained, not when this is imported.

Shapes: n training rows, N all rows, p columns, g variables, K networks, T epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import InputError
from pipeline.estimators.groups import ColumnGroups
from pipeline.networks import FirstLayer, FittedNetwork, plain_layers

if TYPE_CHECKING:
    from pipeline.networks import (
        Architecture,
        NetworkSpec,
        Schedule,
        TrainedNetwork,
        TrainingData,
        Weights,
    )


@dataclass(frozen=True, eq=False)
class Rows:
    """columns (n, p) float64, target (n,) class positions or quantities, weights (n,)."""

    columns: np.ndarray
    target: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, which: np.ndarray) -> Rows:
        return Rows(self.columns[which], self.target[which], self.weights[which])


@dataclass(frozen=True, eq=False)
class Problem:
    """What networks are fitted to: training rows, then those that are only scored, and groups."""

    train: Rows
    validation: Rows | None
    test: Rows | None
    task: str
    groups: ColumnGroups
    offset: float

    @property
    def rows(self) -> tuple[int, int, int]:
        """Numbers of training, validation and test rows."""
        train, validation, test = (0 if part is None else len(part) for part in self.parts)
        return train, validation, test

    @property
    def parts(self) -> tuple[Rows, Rows | None, Rows | None]:
        return self.train, self.validation, self.test


def problem(
    train: Rows,
    validation: Rows | None,
    task: str,
    groups: ColumnGroups,
    *,
    one_batch: bool,
    test: Rows | None = None,
) -> Problem:
    """Rows of weight 0 leave, and where every step sees all rows, equal rows become one.

    Σ_i w_i·loss_i / Σ_i w_i is the same whether a row comes twice or once with twice its weight.
    Where a step sees all rows, training is the same too, and merging makes it so to the last bit.
    (Mini-batches are drawn by row, so there the two differ by the luck of the draw.)

    A quantity is centered by its weighted mean, which is exactly a first value of the unpenalized
    bias: neither the objective nor the meaning of λ changes. It is not scaled, since that would
    change both.
    """
    train = train[train.weights > 0]
    if one_batch:
        train = merged(train)
    offset = 0.0
    if task == "regression":
        offset = float(np.average(train.target, weights=train.weights))
    return Problem(train, validation, test, task, groups, offset)


def merged(rows: Rows) -> Rows:
    """Distinct rows in lexicographic order, their weights summed."""
    table = np.column_stack([rows.columns, rows.target])
    distinct, first_of = np.unique(table, axis=0, return_inverse=True)
    weights = np.bincount(first_of.ravel(), rows.weights)
    return Rows(distinct[:, :-1], distinct[:, -1], weights)


def training_data(given: Problem) -> TrainingData:
    """The engine's view of a problem."""
    from pipeline.networks import TrainingData

    parts = [part for part in given.parts if part is not None]
    with np.errstate(over="ignore"):
        columns = np.concatenate([part.columns for part in parts]).astype(np.float32)
        target = np.concatenate([part.target for part in parts]) - given.offset
        finite = np.isfinite(columns).all() and np.isfinite(target.astype(np.float32)).all()
    if not finite:
        raise InputError(
            "X and y must be finite in float32 (below 3e38), but hold larger values; "
            "standardize them first, with StandardScaler"
        )
    return TrainingData(
        columns=columns,
        target=target,
        task=given.task,
        rows=given.rows,
        group_index=given.groups.index,
        penalty_factor=given.groups.factor,
        row_weights=given.train.weights,
    )


def train_networks(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    schedule: Schedule,
    initial: Weights | None = None,
) -> list[TrainedNetwork]:
    """One network a spec, in populations as large as memory likes; initial holds (K, …) arrays."""
    from pipeline.networks import networks_at_once, split_networks
    from pipeline.training import train_population

    trained: list[TrainedNetwork] = []
    for own in split_networks(len(specs), networks_at_once(data, architecture, schedule)):
        start = None if initial is None else part_of(initial, own)
        trained += train_population(data, architecture, specs[own], schedule, initial=start)
    return trained


def part_of(weights: Weights, networks: slice | np.ndarray) -> Weights:
    """The weights of some networks."""
    later = tuple(type(layer)(*(x[networks] for x in layer)) for layer in weights.later)
    return type(weights)(weights.first[networks], later)


def stacked(each: Sequence[Weights]) -> Weights:
    """The weights of networks, one by one → (K, …) arrays."""
    layers = zip(*(weights.later for weights in each), strict=True)
    later = tuple(type(same[0])(*(np.stack(x) for x in zip(*same))) for same in layers)
    return type(each[0])(np.stack([weights.first for weights in each]), later)


def certify_best(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    trained: Sequence[TrainedNetwork],
) -> None:
    """Make kkt_residual and objective those of the best epoch, whose weights an estimator keeps."""
    from pipeline.solvers import certified
    from pipeline.training import Problems

    problems = Problems(data, architecture)
    for spec, network in zip(specs, trained, strict=True):
        if network.failure is None and network.weights is not None:
            one = problems.of(spec, network.weights.later)
            certificate, network.objective = certified(network.weights.first, one)
            network.kkt_residual, network.kkt_residual_absolute = certificate


def zeroed_variables(first_layer: np.ndarray, groups: ColumnGroups) -> np.ndarray:
    """(g,) whether every weight of every column is exactly 0.0; first_layer is (p, h)."""
    kept = np.zeros(len(groups.names), bool)
    np.logical_or.at(kept, groups.index, np.any(first_layer != 0.0, axis=1))
    return ~kept


def fitted_network(
    network: TrainedNetwork,
    spec: NetworkSpec,
    given: Problem,
    activation: str,
    *,
    last: bool = False,
) -> FittedNetwork:
    """What an estimator keeps of a trained network: its best epoch's weights, or its last ones."""
    groups = given.groups
    columns_kept = np.array(network.kept, bool).reshape(len(network.kept), len(groups.index))
    kept = [np.unique(groups.index[row]).size for row in columns_kept]
    made = FittedNetwork(
        seed=spec.seed,
        layers=(),
        activation=activation,
        offset=given.offset,
        zeroed=np.zeros(len(groups.names), bool),
        history={
            "train_loss": np.array(network.curves["train_loss"]),
            "validation_score": np.array(network.curves["score"]),
            "kept": np.array(kept, dtype=np.int64),
        },
        kkt_residual=network.kkt_residual,
        kkt_residual_absolute=network.kkt_residual_absolute,
        objective=network.objective,
        best_epoch=network.final_epoch if last else network.best_epoch,
        final_epoch=network.final_epoch,
        failure=network.failure,
    )
    if network.failure is not None:
        return made
    weights = network.final_weights if last else network.weights
    layers = plain_layers(weights, FirstLayer(len(groups.index)), np.float64)
    return replace(made, layers=layers, zeroed=zeroed_variables(layers[0][0], groups))
