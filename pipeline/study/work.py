"""A population as work that any process can do: what it is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.networks import TrainedNetwork
from pipeline.results import NetworkResult
from pipeline.study.crew import get_ready
from pipeline.study.evaluation import network_result
from pipeline.study.people import People
from pipeline.study.populations import train
from pipeline.study.replicates import Population, Replicate


@dataclass(frozen=True)
class Trained:
    """results in the order of the population; encoders (position, C, a) of networks that see
    genotypes, and predictions (positions, (K, o, N) by row of the table) of a study with resamples:
    both stay in the cache of the process that asked."""

    results: list[NetworkResult]
    encoders: tuple[tuple[int, np.ndarray, float], ...] = ()
    predictions: tuple[tuple[int, ...], np.ndarray] | None = None


def train_elsewhere(
    shared: tuple[People, str], population: Population, tell: Callable[[float], None]
) -> Trained:
    """Train and score a population on a worker; shared are `People.for_workers()` and the
    objective. tell(networks' worth of training done)."""
    get_ready()
    people, objective = shared
    position = {replicate: i for i, replicate in enumerate(map(_name, population.replicates))}
    learned: list[tuple[int, np.ndarray, float]] = []
    predicted: list[tuple[tuple[int, ...], np.ndarray]] = []

    def keep_predictions(usable: Sequence[Replicate], by_row: np.ndarray) -> None:
        predicted.append((tuple(position[_name(r)] for r in usable), by_row.astype(np.float32)))

    share = len(population.replicates) / population.configuration.training.epochs
    results = train(
        population,
        people,
        objective,
        lambda epoch, *_: tell(epoch * share),
        lambda replicate, *encoder: learned.append((position[_name(replicate)], *encoder)),
        on_predictions=None if people.resampled is None else keep_predictions,
    )
    return Trained(results, tuple(learned), predicted[0] if predicted else None)


def _name(replicate: Replicate) -> tuple:
    return replicate.key


def given_up(population: Population, people: People, reason: str) -> Trained:
    """Failed networks of a population that no worker trained to its end."""
    configuration = population.configuration
    inputs = people.inputs(configuration.inputs, configuration.network.genetic_dimensions)
    return Trained(
        [
            network_result(replicate, inputs, TrainedNetwork(failure=reason), {}, "")
            for replicate in population.replicates
        ]
    )
