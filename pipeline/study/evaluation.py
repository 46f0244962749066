"""Trained networks → NetworkResults: metrics, resampled scores, kept variables, plain layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.inspection import died_epochs
from pipeline.metrics import bootstrap, metrics
from pipeline.networks import FirstLayer, TrainedNetwork, plain_layers, split_networks
from pipeline.results import Inputs, NetworkResult, kept_variables, variables_kept
from pipeline.study.people import GENETIC, People
from pipeline.study.replicates import Replicate

PREDICTIONS_AT_ONCE = 2**21
"""Predictions whose metrics are computed together: some 60 bytes each."""


def measured_parts(
    trained: Sequence[TrainedNetwork], replicates: Sequence[Replicate], people: People
) -> list[dict[str, float]]:
    """Of each network, the metrics of every part at the best and at the last epoch; a row that a
    bootstrap sample has twice counts once."""
    metrics_of_each: list[dict[str, float]] = [{} for _ in trained]
    of_resample: dict[int, list[int]] = {}
    for i, replicate in enumerate(replicates):
        of_resample.setdefault(replicate.resample, []).append(i)
    for positions in of_resample.values():
        parts = people.parts(replicates[positions[0]])
        measured = _measured([trained[i] for i in positions], parts, people)
        for i, metrics_of_one in zip(positions, measured, strict=True):
            metrics_of_each[i] = metrics_of_one
    return metrics_of_each


def _measured(
    trained: Sequence[TrainedNetwork],
    parts: Mapping[str, tuple[slice | np.ndarray, np.ndarray]],
    people: People,
) -> list[dict[str, float]]:
    """Of networks of the same parts."""
    metrics_of_each: list[dict[str, float]] = [{} for _ in trained]
    usable = [i for i, network in enumerate(trained) if network.failure is None]
    if not usable:
        return metrics_of_each
    at_once = max(1, PREDICTIONS_AT_ONCE // np.asarray(trained[usable[0]].predictions).size)
    for prefix, attribute in (("", "predictions"), ("final_", "final_predictions")):
        for batch in split_networks(len(usable), at_once):
            batch_positions = usable[batch]
            predictions = np.stack([getattr(trained[i], attribute) for i in batch_positions])
            predictions = people.predicted(predictions.astype(np.float64))
            for part, (rows, truth) in parts.items():
                measured = metrics.measure(truth, predictions[:, :, rows], people.task)
                for name, values in measured.items():
                    for i, value in zip(batch_positions, values, strict=True):
                        metrics_of_each[i][f"{prefix}{part}_{name}"] = float(value)
    return metrics_of_each


def resampled_test_people(
    trained: Sequence[TrainedNetwork], people: People, metric: str
) -> list[dict[str, np.ndarray]]:
    """Of each network, the metric on resampled test people at the best and at the last epoch."""
    rows, truth = people.outcome["test"]
    whose = people.cohort.people
    if whose is not None:
        whose = whose[people.cohort.split.test]
    times = bootstrap.resamples_for(truth, people.task, whose)
    resamples_of_each: list[dict[str, np.ndarray]] = [{} for _ in trained]
    for resamples, network in zip(resamples_of_each, trained, strict=True):
        for epoch, predictions in (
            ("best", network.predictions),
            ("last", network.final_predictions),
        ):
            if network.failure is None and predictions is not None and times.size:
                test_predictions = people.predicted(predictions[:, rows].astype(np.float64))
                resamples[epoch] = bootstrap.resampled(
                    metric, truth, test_predictions, people.task, times
                )
    return resamples_of_each


def network_result(
    replicate: Replicate,
    inputs: Inputs,
    network: TrainedNetwork,
    measured: dict[str, float],
    objective: str,
    resamples: dict[str, np.ndarray] | None = None,
) -> NetworkResult:
    """Metrics, kept variables, curves and weights of a network; no person's row stays."""
    params = replicate.params
    if network.failure is not None:
        return NetworkResult(params=params, inputs=inputs, failure=network.failure)
    assert network.first_layer is not None and network.first_layer_final is not None
    columns_kept = np.array(network.kept)
    kept = _kept_by_family(columns_kept, inputs)
    intervals = bootstrap.named_intervals(objective, resamples or {})
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
        | intervals
        | counts
        | {
            "best_epoch": network.best_epoch,
            "final_epoch": network.final_epoch,
            "kkt_residual": network.kkt_residual,
            "kkt_residual_absolute": network.kkt_residual_absolute,
            "objective": network.objective,
            "train_seconds": network.train_seconds,
        },
        curves={
            "train_loss": np.array(network.curves["train_loss"]),
            objective: np.array(network.curves["score"]),
            **{f"kept_{family}": by_epoch for family, by_epoch in kept.items()},
        },
        first_layer=network.first_layer,
        first_layer_final=network.first_layer_final,
        died=_died(columns_kept, network.first_layer_final, inputs),
        resamples=resamples or {},
        layers=plain_layers(network.weights, _first_layer(inputs)),
    )


def _first_layer(inputs: Inputs) -> FirstLayer:
    """Where the columns of these inputs stand."""
    genetic = inputs.families.count(GENETIC)
    return FirstLayer(len(inputs.families) - genetic, genetic)


def _died(columns_kept: np.ndarray, last: np.ndarray, inputs: Inputs) -> dict[str, int]:
    """Variable → epoch in which it was zeroed for good, of those that are zeroed after the solvers;
    a variable that only the solvers zeroed was zeroed in no epoch."""
    kept_at_the_end = variables_kept(np.any(last != 0.0, axis=1)[None], inputs)[0]
    died = died_epochs(variables_kept(columns_kept, inputs), inputs.variable_names)
    kept = {name for name, is_kept in zip(inputs.variable_names, kept_at_the_end) if is_kept}
    return {name: epoch for name, epoch in died.items() if name not in kept}


def _kept_by_family(columns_kept: np.ndarray, inputs: Inputs) -> dict[str, np.ndarray]:
    """Family → (T,) variables with a weight that is not exactly 0, from (T, p) columns."""
    kept = variables_kept(columns_kept, inputs)
    family = np.array(list(inputs.family_of.values()))
    return {name: kept[:, family == name].sum(axis=1) for name in dict.fromkeys(family)}
