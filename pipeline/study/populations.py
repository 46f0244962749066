"""Configurations × seeds → populations that train together → one NetworkResult a network.

Networks train together where they share inputs, shape, schedule and class weights, and where all of
them train on resamples or none; lambdas, learning rates, seeds and resamples may differ within a
population.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.networks import (
    LAMBDAS,
    Architecture,
    NetworkSpec,
    Schedule,
    TrainedNetwork,
    TrainingData,
    networks_at_once,
)
from pipeline.results import THE_TABLE, NetworkResult
from pipeline.search_space import Configuration
from pipeline.study.evaluation import measured_parts, network_result, resampled_test_people
from pipeline.study.people import GENETIC, People
from pipeline.study.replicates import Population, Replicate
from pipeline.workers import Crew

if TYPE_CHECKING:
    from pipeline.training import Checkpoint


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
        **{name: float(params[name]) for name in LAMBDAS},
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        genetic_learning_rate=training.genetic_learning_rate,
        genetic_weight_decay=training.genetic_weight_decay,
        resample=None if replicate.resample == THE_TABLE else replicate.resample,
    )


def populations(
    replicates: Sequence[Replicate], people: People, objective: str, crew: Crew | None = None
) -> Iterator[Population]:
    """Replicates grouped by what a population must share, in their order, none too large.

    crew: who trains them. All of a group are divided evenly among its workers.
    """
    together: dict[tuple, list[Replicate]] = {}
    for replicate in replicates:
        configuration = replicate.configuration
        schedule = _schedule(configuration, objective)
        class_weight = str(configuration.training.class_weight)
        on_resamples = replicate.resample != THE_TABLE
        key = (on_resamples, configuration.inputs, configuration.network, schedule, class_weight)
        together.setdefault(key, []).append(replicate)
    for (on_resamples, _, _, schedule, _), members in together.items():
        configuration = members[0].configuration
        data = people.training_data(configuration, on_resamples)
        architecture = _architecture(configuration, data, people.outputs)
        cores = None if crew is None else crew.cores
        at_once = networks_at_once(data, architecture, schedule, cores)
        for count in _sizes(len(members), at_once, crew):
            yield Population(tuple(members[:count]))
            del members[:count]


def _sizes(networks: int, at_once: int, crew: Crew | None) -> Iterator[int]:
    """How many networks each next population has: as equal as can be, so that one program does for
    all, and as many for every worker; planned anew where workers came or went."""
    workers = populations_left = 0
    while networks:
        now = 1 if crew is None else crew.size
        if now != workers:
            workers = now
            each = -(-networks // (workers * at_once))
            populations_left = min(networks, workers * each)
        count = -(-networks // populations_left)
        yield count
        networks, populations_left = networks - count, populations_left - 1


def train(
    population: Population,
    people: People,
    objective: str,
    on_epoch: Callable[[int, int, float], None] | None = None,
    on_encoder: Callable[[Replicate, np.ndarray, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
    on_predictions: Callable[[Sequence[Replicate], np.ndarray], None] | None = None,
) -> list[NetworkResult]:
    """Train a population; results in the order of its replicates, without trial and key.

    on_encoder(replicate, C, a) is given what each network of the table learned of the genotypes,
    on_predictions what those that did not fail predict at their best epochs, (K, o, N) by row of
    the table, in its unit. checkpoint: where a population that was stopped goes on from; whoever
    keeps the results removes it.
    """
    from pipeline.training import train_population  # TensorFlow, which only those who train need

    configuration = population.configuration
    data = people.training_data(configuration, population.resampled)
    inputs = people.inputs(configuration.inputs, configuration.network.genetic_dimensions)
    trained = train_population(
        data,
        _architecture(configuration, data, people.outputs),
        [_spec(replicate) for replicate in population.replicates],
        _schedule(configuration, objective),
        on_epoch,
        checkpoint=checkpoint,
    )
    for replicate, network in zip(population.replicates, trained, strict=True):
        on_the_table = replicate.resample == THE_TABLE
        if on_encoder is not None and network.encoder is not None and on_the_table:
            on_encoder(replicate, *network.encoder)
    if on_predictions is not None:
        _hand_on_predictions(population, trained, people, on_predictions)
    measured = measured_parts(trained, population.replicates, people)
    redrawn: list[dict[str, np.ndarray]] = [{} for _ in trained]
    if not population.resampled:
        redrawn = resampled_test_people(trained, people, objective.removeprefix("val_"))
    for network in trained:
        network.curves["score"] = list(people.scored(objective, np.array(network.curves["score"])))
    return [
        network_result(replicate, inputs, network, metrics_of_it, objective, resamples)
        for replicate, network, metrics_of_it, resamples in zip(
            population.replicates, trained, measured, redrawn, strict=True
        )
    ]


def _hand_on_predictions(
    population: Population,
    trained: Sequence[TrainedNetwork],
    people: People,
    on_predictions: Callable[[Sequence[Replicate], np.ndarray], None],
) -> None:
    usable = [
        (replicate, network.predictions)
        for replicate, network in zip(population.replicates, trained, strict=True)
        if network.failure is None and network.predictions is not None
    ]
    if not usable:
        return
    replicates, predictions = zip(*usable, strict=True)
    in_order = people.predicted(np.stack(predictions))
    by_row = np.empty_like(in_order)
    by_row[:, :, people.rows_of(population)] = in_order
    on_predictions(replicates, by_row)
