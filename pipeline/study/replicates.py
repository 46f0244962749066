"""A configuration with a seed, on the table or on a resample: one network, one trial, one run."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.results import THE_TABLE, ReplicateKey
from pipeline.search_space import Configuration, SearchSpace


@dataclass(frozen=True)
class Replicate:
    """One configuration with one seed: one network, one trial.

    resample: which of the study's resamples it trains on; THE_TABLE for the table as it is split.
    """

    configuration: Configuration
    seed: int
    resample: int = THE_TABLE

    @property
    def key(self) -> ReplicateKey:
        return self.configuration.number, self.seed, self.resample

    @property
    def params(self) -> dict[str, str | int | float]:
        """As its run and its trial record them."""
        drawn = {} if self.resample == THE_TABLE else {"resample": self.resample}
        known = {"seed": self.seed, "configuration": self.configuration.number}
        return {**self.configuration.params, **known, **drawn}


@dataclass(frozen=True)
class Population:
    """Replicates that train together."""

    replicates: tuple[Replicate, ...]

    @property
    def configuration(self) -> Configuration:
        """Any of them, for what they share."""
        return self.replicates[0].configuration

    @property
    def resampled(self) -> bool:
        """Whether they train on resamples: all of them or none."""
        return self.replicates[0].resample != THE_TABLE


def resamples_of(space: SearchSpace) -> tuple[int, ...]:
    """What each configuration is trained on from each seed: the table first, then resamples."""
    drawn = 0 if space.resamples is None else space.resamples.draws
    return (THE_TABLE, *range(drawn))


def replicates_of(configuration: Configuration, space: SearchSpace) -> list[Replicate]:
    """All of a configuration, in the order in which they are trained."""
    return [
        Replicate(configuration, seed, resample)
        for resample in resamples_of(space)
        for seed in space.seeds
    ]
