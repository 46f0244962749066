"""Configurations' scores from those of their recorded networks: all that a sampler gets to know.

It comes from the recorded runs alone, so it is the same whatever became of Optuna's storage.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pipeline.inspection import entropy_bits
from pipeline.results import THE_TABLE, ReplicateKey, replicate_key
from pipeline.search_space import ENTROPY, KEPT, SearchSpace
from pipeline.study.replicates import resamples_of

Params = Mapping[str, str | int | float]


class Score(NamedTuple):
    """Of one network: its validation score at the best epoch, its number of kept variables there,
    and what it keeps at the last epoch."""

    score: float
    kept: float
    solution: str


class Outcome(NamedTuple):
    """A recorded network: its params, and its score; or its failure and no score."""

    params: Params
    score: Score | None
    failure: str | None
    run_id: str
    trial: int | None = None
    is_given_up: bool = False  # no worker lived to train it

    @property
    def replicate_key(self) -> ReplicateKey:
        return replicate_key(self.params)


def score_of(
    metrics: Mapping[str, float], objective: str, solution: str, variables: int
) -> Score | None:
    """None where the metrics have no such objective."""
    if objective not in metrics:
        return None
    kept = variables - metrics.get("zeroed_variables", 0.0)
    return Score(metrics[objective], kept, solution)


class Scores:
    """The recorded networks of a study, and what configurations score by them."""

    def __init__(self, space: SearchSpace):
        self.space = space
        self.params: dict[int, Params] = {}
        self._scores: dict[ReplicateKey, Score | None] = {}

    def add(self, outcome: Outcome) -> None:
        """A network is recorded."""
        self._scores[outcome.replicate_key] = outcome.score
        self.params[outcome.replicate_key[0]] = outcome.params

    @property
    def recorded(self) -> Mapping[ReplicateKey, Score | None]:
        """Recorded networks → their scores, None for one that diverged."""
        return self._scores

    def by_configuration(self) -> dict[int, tuple[float, ...] | None]:
        """Configurations of which every network is recorded → their `values`."""
        resamples = resamples_of(self.space)
        return {
            number: values
            for number, values in self.values().items()
            if all(
                (number, seed, resample) in self._scores
                for resample in resamples
                for seed in self.space.seeds
            )
        }

    def values(self) -> dict[int, tuple[float, ...] | None]:
        """Configurations of which every seed is recorded → the study's objectives, over the seeds
        that did not diverge: a mean of validation scores or of kept variables, or the solutions'
        entropy.

        Networks of resamples have no say: so a study with more of them, or with none, meets the
        same configurations.
        """
        networks: dict[int, dict[int, Score | None]] = defaultdict(dict)
        for (configuration, seed, resample), score in self._scores.items():
            if resample == THE_TABLE:
                networks[configuration][seed] = score
        objectives: dict[int, tuple[float, ...] | None] = {}
        for configuration, by_seed in networks.items():
            if all(seed in by_seed for seed in self.space.seeds):
                scores = [s for seed in self.space.seeds if (s := by_seed[seed]) is not None]
                values = tuple(_over_seeds(o, scores) for o in self.space.objectives)
                objectives[configuration] = values if scores else None
        return objectives

    def best_mean(self) -> float | None:
        """The best so far of the study's first objective."""
        means = [values[0] for values in self.values().values() if values is not None]
        if not means:
            return None
        return max(means) if self.space.maximized[0] else min(means)


def _over_seeds(objective: str, scores: Sequence[Score]) -> float:
    """A configuration's value from those of its networks."""
    if objective == ENTROPY:
        return entropy_bits([score.solution for score in scores])
    values = [score.kept if objective == KEPT else score.score for score in scores]
    return sum(values) / len(values) if values else math.nan
