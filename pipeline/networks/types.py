"""What training is given and what it returns.

Shapes: N people (n training rows first, then validation, then test), p_s columns of the table,
p first-layer columns without the bias, h units, o outputs, d encoder outputs, T epochs.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.errors import InputError
from pipeline.networks.architecture import Architecture
from pipeline.networks.regularizers import TOLERANCE
from pipeline.process import cores

if TYPE_CHECKING:
    from pipeline.networks.network import Weights

PART_BYTES, MOST_OF_A_PART = 32 * 2**20, 64
"""Bytes that one training step of a part may touch, and the most networks of a part: with more, a
step's tensors leave the caches, and with fewer its small operations weigh more."""

POPULATION_BYTES = 2**30
"""Bytes that a population may take besides its data."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """Which of the n development people each network trains on, by `NetworkSpec.resample` 0 … R−1.

    weights     (R, n) float32, how often a person is drawn: 0 or 1 in subsamples and folds, counts
                in a bootstrap sample. A person of weight 0 has no say in anything of the network
    validation  (R, n) bool, the people who choose its best epoch; none of them trained on
    standardize  whether center and scale of every column, the value of imputed cells and, of a
                quantity, center and unit of the target are those of the network's own people, and
                columns that are constant among them are left out; else numbers count as they are
    balanced    whether classes weigh n_k/(C·n_kc), n people of the network's own; the sums of their
                row weights where numbers count as they are
    fitted      by data, what training has fitted on each resample

    Raises InputError.
    """

    weights: np.ndarray
    validation: np.ndarray
    standardize: bool = True
    balanced: bool = False
    fitted: dict = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        weights, validation = self.weights, self.validation
        if weights.ndim != 2 or weights.shape != validation.shape or validation.dtype != bool:
            raise InputError(
                "weights and validation of resamples must be (resamples, people), the second bool, "
                f"but got {weights.shape} and {validation.shape} {validation.dtype}"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise InputError("weights of resamples must be finite numbers of at least 0")
        if empty := np.flatnonzero(~weights.any(axis=1)).tolist():
            raise InputError(f"a resample must have people, but number {empty[0]} draws nobody")
        if seen := np.flatnonzero((validation & (weights > 0)).any(axis=1)).tolist():
            raise InputError(
                "people who choose a network's best epoch must not be trained on, but resample "
                f"{seen[0]} has some who are"
            )

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class TrainingData:
    """What every network of a population trains on; rows in the order training, validation, test.

    columns        (N, p_s) float32, standardized; p_s may be 0
    target         (N,) class positions 0, 1, … or quantities
    task           binary, multiclass or regression
    rows           numbers of training, validation and test rows, adding up to N
    group_index    (p,) the variable of each first-layer column: shared ones, then encodings
    penalty_factor (p,) multiplies the λs on that column, 0 for none; None means 1
    row_weights    (n,) of the training rows, any positive scale; None means 1
    relationship   (N, n) float32, of everyone with the training rows, or None; more columns are
                   not used
    relationship_factor  (N, n) float32 F: standard normal draws → initial encodings; of its first
                   n rows F·Fᵀ is nearly relationship. None where every network has
                   a resample: each has its own people's
    rank           r of pipeline.networks.optimizer: min(training people, variants)
    resamples      of the first n rows, or None. With them rows are (n, 0, test): all development
                   people stand first, and columns are standardized over all of them
    missing        (N, p_s) bool, the cells that were imputed, or None: only with resamples, of
                   which each has imputed values of its own. A column in which a development
                   person's cell is missing has its indicator as the column after it
    """

    columns: np.ndarray
    target: np.ndarray
    task: str
    rows: tuple[int, int, int]
    group_index: np.ndarray
    penalty_factor: np.ndarray | None = None
    row_weights: np.ndarray | None = None
    relationship: np.ndarray | None = None
    relationship_factor: np.ndarray | None = None
    rank: int = 1
    resamples: Resamples | None = None
    missing: np.ndarray | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """How one network differs from others. The seed decides the initial weights alone.

    resample: which of `TrainingData.resamples` it trains on; None: all training rows, as they are.
    """

    seed: int
    lambda_l1: float = 0.0
    lambda_l2: float = 0.0
    lambda_group: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    genetic_learning_rate: float = 1e-2
    genetic_weight_decay: float = 0.3
    resample: int | None = None

    def __post_init__(self) -> None:
        shrink = self.genetic_learning_rate * self.genetic_weight_decay
        if shrink >= 1.0:
            raise InputError(
                "genetic_learning_rate · genetic_weight_decay must be below 1, or one step turns "
                f"the encoder around, but got {self.genetic_learning_rate:g} · "
                f"{self.genetic_weight_decay:g} = {shrink:g}; lower one of them"
            )


@dataclass(frozen=True)
class Schedule:
    """How a population trains.

    epochs               at most
    batch_size           rows of a step
    final_learning_rate  share of the learning rate left at the last step, falling linearly
    patience_epochs      a network stops after so many epochs without a better validation score
    batch_seed           decides the order of the rows in every epoch
    objective            metric of the validation rows that decides the best epoch
    tolerance            the last state is finished on all rows at once until its relative
                         kkt_residual is no larger (a hundredth of that without hidden layers), or
                         until finish_steps are done; None leaves it as it is
    finish_steps         at most so many full-batch steps at a time (`pipeline.solvers.finish`)
    keep_best            whether the best epoch by the validation score is wanted, or the last alone
    follow_kinks         ReLU networks whose residual is above the tolerance after these steps are
                         moved onto their kinks (`pipeline.solvers.kinks`); otherwise their
                         kkt_residual is the gradient's
    """

    epochs: int = 60
    batch_size: int = 128
    final_learning_rate: float = 0.05
    patience_epochs: int = 60
    batch_seed: int = 0
    objective: str = "auroc"
    tolerance: float | None = TOLERANCE
    finish_steps: int = 2000
    keep_best: bool = True
    follow_kinks: bool = True


@dataclass
class TrainedNetwork:
    """What training returns of one network.

    The last state is that of the last epoch, after its full-batch finish.

    first_layer, first_layer_final  (p, h) at the best epoch and of the last state, bias left out
    predictions, final_predictions  (o, N) of all people, of both
    weights, final_weights          all weights of both, NumPy: first (h, p_s + 1 + d) with the
                                    bias as column p_s, later weights (h_out, h_in), bias (h_out, 1)
    table_weights, final_table_weights  the same network as it takes the columns of TrainingData and
                                    predicts its target. Without a resample they are the weights;
                                    a resample's weights, first_layer and zeros are those of the
                                    columns as its own people standardize them
    encoder        C (n, d) and a of `optimizer` at the best epoch; None without genotypes
    curves         name → (T,): train_loss, and score, the objective on the validation rows or nan
    kept           (T, p) whether each column has a weight that is not exactly 0
    kkt_residual   of the last state, relative to what the penalty weighs on each variable;
                   kkt_residual_absolute beside it (`pipeline.solvers.kkt`)
    objective      the full training objective of the last state
    train_seconds  the population's seconds over its networks
    """

    best_epoch: int = 0
    final_epoch: int = 0
    first_layer: np.ndarray | None = None
    first_layer_final: np.ndarray | None = None
    predictions: np.ndarray | None = None
    final_predictions: np.ndarray | None = None
    weights: Weights | None = None
    final_weights: Weights | None = None
    table_weights: Weights | None = None
    final_table_weights: Weights | None = None
    encoder: tuple[np.ndarray, float] | None = None
    curves: dict[str, list] = field(default_factory=lambda: {"train_loss": [], "score": []})
    kept: list[np.ndarray] = field(default_factory=list)
    kkt_residual: float = float("nan")
    kkt_residual_absolute: float = float("nan")
    objective: float = float("nan")
    train_seconds: float = 0.0
    failure: str | None = None


def _bytes_of_one(data: TrainingData, architecture: Architecture, schedule: Schedule) -> int:
    """What one network's step reads and writes, 4·(3·Σ weights + 3·b·Σ units + 2·n·d) bytes:

    weights with their moments, activations of b rows with their gradients, and the encoder's
    coefficients with their moment; with resamples twice the first layer more.
    """
    sizes = (architecture.columns, *architecture.layer_sizes)
    weights = sum(h_in * h_out for h_in, h_out in itertools.pairwise(sizes))
    units = sum(architecture.layer_sizes) + architecture.genetic_dimensions
    encoder = data.rows[0] * architecture.genetic_dimensions
    batch = min(schedule.batch_size, data.rows[0])
    if data.resamples is not None:
        weights += architecture.columns * architecture.layer_sizes[0]
    return 4 * (3 * weights + 3 * batch * units + 2 * encoder)


def networks_of_a_part(data: TrainingData, architecture: Architecture, schedule: Schedule) -> int:
    """Networks that train on one core: as many as keep a step's tensors within PART_BYTES."""
    bytes_of_one = _bytes_of_one(data, architecture, schedule)
    return int(np.clip(PART_BYTES // bytes_of_one, 1, MOST_OF_A_PART))


def bytes_of_a_network(data: TrainingData, architecture: Architecture, schedule: Schedule) -> int:
    """Of a population: a step's, and 4·(6·Σ weights + (3·N + 4·n)·d + 6·N·o) for its best and
    its last state, the weights that come out of them, its encodings and the initial ones, what of
    its encoder moves, and its predictions of all N people and what they are made of;
    4·(4·Σ weights + 4·n·d) for its state once more while a checkpoint is written; with resamples
    4·(n·(1 + o) + N·d) more, for its own row weights, predictions of every epoch, and initial
    encodings once more."""
    sizes = (architecture.columns, *architecture.layer_sizes)
    weights = sum(h_in * h_out for h_in, h_out in itertools.pairwise(sizes))
    encoder = (3 * len(data.target) + 4 * data.rows[0]) * architecture.genetic_dimensions
    kept = 4 * (6 * weights + encoder + 6 * len(data.target) * architecture.outputs)
    kept += 4 * (4 * weights + 4 * data.rows[0] * architecture.genetic_dimensions)
    if data.resamples is not None:
        kept += 4 * data.rows[0] * (1 + architecture.outputs)
        kept += 4 * len(data.target) * architecture.genetic_dimensions
    return _bytes_of_one(data, architecture, schedule) + kept


def networks_at_once(
    data: TrainingData,
    architecture: Architecture,
    schedule: Schedule,
    cores_of_one: int | None = None,
) -> int:
    """K, the networks of one population: a part for each core (so that a study that is killed loses
    little), or as many as POPULATION_BYTES hold.

    cores_of_one: of the worker that trains it; None for this process."""
    bytes_of_one = bytes_of_a_network(data, architecture, schedule)
    most = MOST_OF_A_PART * (cores_of_one or cores())
    return int(np.clip(POPULATION_BYTES // bytes_of_one, 1, most))


def split_networks(networks: int, most: int) -> list[slice]:
    """All networks in as few populations of at most `most` as there can be, of equal sizes but for
    one network: so that their parts have the same number of slots, and one program does for all."""
    parts = np.array_split(np.arange(networks), -(-networks // most)) if networks else []
    return [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
