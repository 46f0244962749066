"""Configurations × seeds → populations that train together → one NetworkResult a network.

Networks train together where they share inputs, shape, schedule and row weights; lambdas, learning
rates and seeds may differ within a population.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.data import Cohort, training_weights
from pipeline.genetics import Genotypes, factor
from pipeline.inspection import died_epochs
from pipeline.metrics import bootstrap, metrics
from pipeline.networks import (
    Architecture,
    NetworkSpec,
    Schedule,
    TrainedNetwork,
    TrainingData,
    Weights,
    networks_at_once,
    split_networks,
)
from pipeline.results import Inputs, NetworkResult, kept_variables, variables_kept
from pipeline.search_space import Configuration
from pipeline.training import train_population

IN_SQUARED_UNITS, IN_UNITS = "mean_squared_error", "mean_absolute_error"

GENETIC = "genetic"

MEASURED = 2**21
"""Predictions whose metrics are computed together: some 60 bytes each."""


@dataclass(frozen=True)
class Replicate:
    """One configuration with one seed: one network, one trial."""

    configuration: Configuration
    seed: int

    @property
    def cell(self) -> tuple[int, int]:
        return self.configuration.number, self.seed


@dataclass(frozen=True)
class Population:
    """Replicates that train together."""

    replicates: tuple[Replicate, ...]

    @property
    def configuration(self) -> Configuration:
        """Any of them, for what they share."""
        return self.replicates[0].configuration


class People:
    """The cohort and its genotypes as networks of any inputs see them.

    Networks see a quantity as (outcome − center)/unit of `Cohort.scale`; every reported metric is
    in the table's unit again.
    """

    def __init__(self, cohort: Cohort, genotypes: Genotypes | None):
        self.cohort, self.genotypes = cohort, genotypes
        split = cohort.split
        self._order = np.concatenate([split.train, split.validation, split.test])
        self._rows = (len(split.train), len(split.validation), len(split.test))
        self._relationship = self._factor = None
        if genotypes is not None:
            self._relationship = genotypes.relationship[np.ix_(self._order, self._order)]
            self._factor = factor(self._relationship, len(split.train))
        self._seen: dict[tuple, TrainingData] = {}

    @property
    def task(self) -> str:
        return self.cohort.task

    @property
    def outputs(self) -> int:
        """o: of a network; one for each of several classes."""
        return len(self.cohort.classes) if self.task == "multiclass" else 1

    def predicted(self, predictions: np.ndarray) -> np.ndarray:
        """Predictions of networks, quantities among them in the table's unit."""
        center, unit = self.cohort.scale
        return predictions if self.task != "regression" else predictions * unit + center

    def scored(self, objective: str, scores: np.ndarray) -> np.ndarray:
        """Scores by epoch, as training saw them → in the table's unit."""
        _, unit = self.cohort.scale
        power = {IN_UNITS: 1, IN_SQUARED_UNITS: 2}.get(objective.removeprefix("val_"), 0)
        return scores * unit**power

    @property
    def outcome(self) -> dict[str, tuple[slice, np.ndarray]]:
        """Part → its positions in a network's predictions, and its outcomes."""
        n, validation, test = self._rows
        outcome = self.cohort.outcome[self._order]
        parts = {
            "train": slice(0, n),
            "val": slice(n, n + validation),
            "test": slice(n + validation, n + validation + test),
        }
        return {name: (part, outcome[part]) for name, part in parts.items()}

    def inputs(self, families: Sequence[str], genetic_dimensions: int) -> Inputs:
        """The columns of a network of these families, genetic ones last."""
        shared = self.cohort.inputs.only(tuple(f for f in families if f != GENETIC))
        if GENETIC not in families:
            return shared
        names = tuple(f"genetic_{i}" for i in range(genetic_dimensions))
        return shared + Inputs(names, names, (GENETIC,) * genetic_dimensions)

    def training_data(self, configuration: Configuration) -> TrainingData:
        """Made once for each choice of inputs and class weights."""
        families, cohort = configuration.inputs, self.cohort
        dimensions = configuration.network.genetic_dimensions
        class_weight = configuration.training.class_weight
        key = families, dimensions, str(class_weight)
        if key not in self._seen:
            chosen = [f != GENETIC and f in families for f in cohort.inputs.families]
            genetic = GENETIC in families
            center, unit = cohort.scale
            target, train = cohort.outcome[self._order], cohort.split.train
            own = None if cohort.row_weights is None else cohort.row_weights[train]
            factor = cohort.penalty_factor[chosen]
            self._seen[key] = TrainingData(
                columns=cohort.features[self._order][:, chosen],
                target=(target - center) / unit if self.task == "regression" else target,
                task=self.task,
                rows=self._rows,
                group_index=self.inputs(families, dimensions).group_index,
                penalty_factor=np.append(factor, np.ones(dimensions if genetic else 0)),
                row_weights=training_weights(
                    cohort.outcome[train], cohort.classes, class_weight, own
                ),
                relationship=self._relationship if genetic else None,
                factor=self._factor if genetic else None,
                rank=self.genotypes.rank if genetic else 1,
            )
        return self._seen[key]


def _architecture(configuration: Configuration, data: TrainingData, outputs: int) -> Architecture:
    network = configuration.network
    return Architecture(
        shared_columns=data.columns.shape[1],
        genetic_dimensions=network.genetic_dimensions if GENETIC in configuration.inputs else 0,
        hidden_layer_sizes=tuple(network.hidden_layer_sizes),
        outputs=outputs,
        activation=network.activation,
        dropout=network.dropout,
    )


def _schedule(configuration: Configuration, objective: str) -> Schedule:
    training = configuration.training
    return Schedule(
        epochs=training.epochs,
        batch_size=training.batch_size,
        final_learning_rate=training.final_learning_rate,
        patience_epochs=training.patience or training.epochs,
        batch_seed=training.batch_seed,
        objective=objective.removeprefix("val_"),
    )


def _spec(replicate: Replicate) -> NetworkSpec:
    params, training = replicate.configuration.params, replicate.configuration.training
    return NetworkSpec(
        seed=replicate.seed,
        lambda_l1=params["lambda_l1"],
        lambda_l2=params["lambda_l2"],
        lambda_group=params["lambda_group"],
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        genetic_learning_rate=training.genetic_learning_rate,
        genetic_weight_decay=training.genetic_weight_decay,
    )


def populations(
    replicates: Sequence[Replicate], people: People, objective: str
) -> Iterator[Population]:
    """Replicates grouped by what a population must share, in their order, none too large."""
    together: dict[tuple, list[Replicate]] = {}
    for replicate in replicates:
        configuration = replicate.configuration
        schedule = _schedule(configuration, objective)
        class_weight = str(configuration.training.class_weight)
        key = (configuration.inputs, configuration.network, schedule, class_weight)
        together.setdefault(key, []).append(replicate)
    for (_, _, schedule, _), members in together.items():
        configuration = members[0].configuration
        data = people.training_data(configuration)
        architecture = _architecture(configuration, data, people.outputs)
        most = networks_at_once(data, architecture, schedule)
        for some in split_networks(len(members), most):
            yield Population(tuple(members[some]))


def train(
    population: Population,
    people: People,
    objective: str,
    on_epoch: Callable[[int, int, float], None] | None = None,
    on_encoder: Callable[[tuple[int, int], np.ndarray, float], None] | None = None,
) -> list[NetworkResult]:
    """Train a population; results in the order of its replicates, trial numbers left open.

    on_encoder(cell, C, a) is given what each network learned of the genotypes.
    """
    configuration = population.configuration
    data = people.training_data(configuration)
    inputs = people.inputs(configuration.inputs, configuration.network.genetic_dimensions)
    trained = train_population(
        data,
        _architecture(configuration, data, people.outputs),
        [_spec(replicate) for replicate in population.replicates],
        _schedule(configuration, objective),
        on_epoch,
    )
    for replicate, network in zip(population.replicates, trained, strict=True):
        if on_encoder is not None and network.encoder is not None:
            on_encoder(replicate.cell, *network.encoder)
    measured = _measured(trained, people)
    redrawn = _resampled(trained, people, objective.removeprefix("val_"))
    for network in trained:
        network.curves["score"] = people.scored(objective, np.array(network.curves["score"]))
    return [
        network_result(replicate, inputs, network, metrics_of_it, objective, resamples)
        for replicate, network, metrics_of_it, resamples in zip(
            population.replicates, trained, measured, redrawn, strict=True
        )
    ]


def _measured(trained: Sequence[TrainedNetwork], people: People) -> list[dict[str, float]]:
    """Of each network, the metrics of every part at the best and at the last epoch."""
    found: list[dict[str, float]] = [{} for _ in trained]
    usable = [i for i, network in enumerate(trained) if network.failure is None]
    if not usable:
        return found
    at_once = max(1, MEASURED // trained[usable[0]].predictions.size)
    for prefix, attribute in (("", "predictions"), ("final_", "final_predictions")):
        for some in split_networks(len(usable), at_once):
            chosen = usable[some]
            predictions = np.stack([getattr(trained[i], attribute) for i in chosen])
            predictions = people.predicted(predictions.astype(np.float64))
            for part, (rows, truth) in people.outcome.items():
                measured = metrics.measure(truth, predictions[:, :, rows], people.task)
                for name, values in measured.items():
                    for i, value in zip(chosen, values, strict=True):
                        found[i][f"{prefix}{part}_{name}"] = float(value)
    return found


def _resampled(
    trained: Sequence[TrainedNetwork], people: People, metric: str
) -> list[dict[str, np.ndarray]]:
    """Of each network, the metric on resampled test rows at the best and at the last epoch."""
    rows, truth = people.outcome["test"]
    times = bootstrap.resamples(len(truth))
    found: list[dict[str, np.ndarray]] = [{} for _ in trained]
    for own, network in zip(found, trained, strict=True):
        for epoch, at in (("best", network.predictions), ("last", network.final_predictions)):
            if network.failure is None and len(truth):
                seen = people.predicted(at[:, rows].astype(np.float64))
                own[epoch] = bootstrap.resampled(metric, truth, seen, people.task, times)
    return found


def network_result(
    replicate: Replicate,
    inputs: Inputs,
    network: TrainedNetwork,
    measured: dict[str, float],
    objective: str,
    resamples: dict[str, np.ndarray] | None = None,
) -> NetworkResult:
    """Metrics, kept variables, curves and weights of a network; no person's row stays."""
    configuration = replicate.configuration
    params = {
        **configuration.params,
        "seed": replicate.seed,
        "configuration": configuration.number,
    }
    if network.failure is not None:
        return NetworkResult(params=params, inputs=inputs, failure=network.failure)
    columns_kept = np.array(network.kept)
    kept = _kept_by_family(columns_kept, inputs)
    ends = bootstrap.named_intervals(objective, resamples or {})
    counts: dict[str, float] = {}
    family_of = inputs.family_of
    for prefix, layer in (("", network.first_layer), ("final_", network.first_layer_final)):
        zeroed = dict.fromkeys(kept, 0)
        for variable, is_kept in kept_variables(layer, inputs).items():
            zeroed[family_of[variable]] += not is_kept
        counts[f"{prefix}zeroed_variables"] = sum(zeroed.values())
        counts |= {f"{prefix}zeroed_{family}": count for family, count in zeroed.items()}
    return NetworkResult(
        params=params,
        inputs=inputs,
        metrics=measured
        | ends
        | counts
        | {
            "best_epoch": network.best_epoch,
            "final_epoch": network.final_epoch,
            "kkt_residual": network.kkt_residual,
            "objective": network.objective,
            "train_seconds": network.train_seconds,
        },
        curves={
            "train_loss": np.array(network.curves["train_loss"]),
            objective: np.array(network.curves["score"]),
            **{f"kept_{family}": counts for family, counts in kept.items()},
        },
        first_layer=network.first_layer,
        first_layer_final=network.first_layer_final,
        died=_died(columns_kept, network.first_layer_final, inputs),
        resamples=resamples or {},
        layers=plain_layers(network.weights, inputs),
    )


def plain_layers(weights: Weights, inputs: Inputs) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The engine's weights → ((inputs, outputs), (outputs,)) of every layer.

    In the engine's first layer the bias stands between the table's columns and the encodings.
    """
    at = sum(family != GENETIC for family in inputs.families)
    first = np.asarray(weights.first)
    later = tuple((np.asarray(layer.weights).T, np.asarray(layer.bias)[:, 0])
                  for layer in weights.later)  # fmt: skip
    return ((np.delete(first, at, axis=1).T, first[:, at]), *later)


def _died(columns_kept: np.ndarray, last: np.ndarray, inputs: Inputs) -> dict[str, int]:
    """Variable → epoch of death; the finished state stands for the last epoch."""
    columns_kept = np.concatenate([columns_kept[:-1], np.any(last != 0.0, axis=1)[None]])
    return died_epochs(variables_kept(columns_kept, inputs), inputs.variable_names)


def _kept_by_family(columns_kept: np.ndarray, inputs: Inputs) -> dict[str, np.ndarray]:
    """Family → (T,) variables with a weight that is not exactly 0, from (T, p) columns."""
    kept = variables_kept(columns_kept, inputs)
    family = np.array(list(inputs.family_of.values()))
    return {name: kept[:, family == name].sum(axis=1) for name in dict.fromkeys(family)}
