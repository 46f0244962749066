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
        Resamples,
        Schedule,
        TrainedNetwork,
        TrainingData,
        Weights,
    )


@dataclass(frozen=True, eq=False)
class Rows:
    """columns (n, p) float64, target (n,) class positions or quantities, row_weights (n,)."""

    columns: np.ndarray
    target: np.ndarray
    row_weights: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, which: np.ndarray) -> Rows:
        return Rows(self.columns[which], self.target[which], self.row_weights[which])


@dataclass(frozen=True, eq=False)
class FitData:
    """The rows that networks are trained on, those that are only predicted, and the variables."""

    train: Rows
    validation: Rows | None
    test: Rows | None
    task: str
    groups: ColumnGroups
    offset: float
    resamples: Resamples | None = None

    @property
    def rows(self) -> tuple[int, int, int]:
        """Numbers of training, validation and test rows."""
        train, validation, test = (0 if part is None else len(part) for part in self.parts)
        return train, validation, test

    @property
    def parts(self) -> tuple[Rows, Rows | None, Rows | None]:
        return self.train, self.validation, self.test


def fit_data(
    train: Rows,
    validation: Rows | None,
    task: str,
    groups: ColumnGroups,
    *,
    one_batch: bool,
    test: Rows | None = None,
    resamples: Resamples | None = None,
) -> FitData:
    """Rows of weight 0 are left out, and where every step takes all rows, equal rows become one.

    Σ_i w_i·loss_i / Σ_i w_i is the same whether a row comes twice or once with twice its weight.
    Where a step takes all rows, training is the same too, and merging makes it so to the last bit.
    (Mini-batches are drawn by row, so there the two differ by which rows are drawn.)

    A quantity is centered by its weighted mean, which is exactly a first value of the unpenalized
    bias: neither the objective nor the meaning of λ changes. It is not scaled, since that would
    change both.
    """
    train = train[train.row_weights > 0]
    if one_batch and resamples is None:
        train = merged(train)
    offset = 0.0
    if task == "regression":
        offset = float(np.average(train.target, weights=train.row_weights))
    return FitData(train, validation, test, task, groups, offset, resamples)


def merged(rows: Rows) -> Rows:
    """Distinct rows in lexicographic order, their weights summed."""
    table = np.column_stack([rows.columns, rows.target])
    distinct, first_of = np.unique(table, axis=0, return_inverse=True)
    row_weights = np.bincount(first_of.ravel(), rows.row_weights)
    return Rows(distinct[:, :-1], distinct[:, -1], row_weights)


def training_data(fit_data: FitData) -> TrainingData:
    """The same as the training engine takes it, in float32."""
    from pipeline.networks import TrainingData

    parts = [part for part in fit_data.parts if part is not None]
    with np.errstate(over="ignore"):
        columns = np.concatenate([part.columns for part in parts]).astype(np.float32)
        target = np.concatenate([part.target for part in parts]) - fit_data.offset
        finite = np.isfinite(columns).all() and np.isfinite(target.astype(np.float32)).all()
    if not finite:
        raise InputError(
            "X and y must be finite in float32 (below 3e38), but hold larger values; "
            "standardize them first, with StandardScaler"
        )
    return TrainingData(
        columns=columns,
        target=target,
        task=fit_data.task,
        rows=fit_data.rows,
        group_index=fit_data.groups.index,
        penalty_factor=fit_data.groups.factor,
        row_weights=fit_data.train.row_weights,
        resamples=fit_data.resamples,
    )


def train_networks(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    schedule: Schedule,
    initial: Weights | None = None,
) -> list[TrainedNetwork]:
    """One network a spec, in populations as large as memory allows; initial holds (K, …) arrays."""
    from pipeline.networks import networks_at_once, split_networks
    from pipeline.training import train_population

    trained: list[TrainedNetwork] = []
    for networks in split_networks(len(specs), networks_at_once(data, architecture, schedule)):
        start = None if initial is None else part_of(initial, networks)
        trained += train_population(data, architecture, specs[networks], schedule, initial=start)
    return trained


def part_of(weights: Weights, networks: slice | np.ndarray) -> Weights:
    """The weights of some networks."""
    later = tuple(type(layer)(*(x[networks] for x in layer)) for layer in weights.later)
    return type(weights)(weights.first[networks], later)


def stacked(networks: Sequence[Weights]) -> Weights:
    """The weights of networks, one by one → (K, …) arrays."""
    layers = zip(*(weights.later for weights in networks), strict=True)
    later = tuple(type(same[0])(*(np.stack(x) for x in zip(*same))) for same in layers)
    return type(networks[0])(np.stack([weights.first for weights in networks]), later)


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
            solver_problem = problems.of(spec, network.weights.later)
            certificate, network.objective = certified(network.weights.first, solver_problem)
            network.kkt_residual, network.kkt_residual_absolute = certificate


def zeroed_variables(first_layer: np.ndarray, groups: ColumnGroups) -> np.ndarray:
    """(g,) whether every weight of every column is exactly 0.0; first_layer is (p, h)."""
    kept = np.zeros(len(groups.names), bool)
    np.logical_or.at(kept, groups.index, np.any(first_layer != 0.0, axis=1))
    return ~kept


def fitted_network(
    network: TrainedNetwork,
    spec: NetworkSpec,
    fit_data: FitData,
    activation: str,
    *,
    last: bool = False,
) -> FittedNetwork:
    """What an estimator keeps of a trained network: its best epoch's weights, or its last ones."""
    groups = fit_data.groups
    columns_kept = np.array(network.kept, bool).reshape(len(network.kept), len(groups.index))
    variables_kept = [np.unique(groups.index[row]).size for row in columns_kept]
    fitted = FittedNetwork(
        seed=spec.seed,
        resample=spec.resample,
        layers=(),
        activation=activation,
        offset=fit_data.offset,
        zeroed=np.zeros(len(groups.names), bool),
        history={
            "train_loss": np.array(network.curves["train_loss"]),
            "validation_score": np.array(network.curves["score"]),
            "kept": np.array(variables_kept, dtype=np.int64),
        },
        kkt_residual=network.kkt_residual,
        kkt_residual_absolute=network.kkt_residual_absolute,
        objective=network.objective,
        best_epoch=network.final_epoch if last else network.best_epoch,
        final_epoch=network.final_epoch,
        failure=network.failure,
    )
    if network.failure is not None:
        return fitted
    weights = network.final_table_weights if last else network.table_weights
    layers = plain_layers(weights, FirstLayer(len(groups.index)), np.float64)
    return replace(fitted, layers=layers, zeroed=zeroed_variables(layers[0][0], groups))
