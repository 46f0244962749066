"""A configuration with a seed: one network, one trial, one run."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.search_space import Configuration

ReplicateKey = tuple[int, int]
"""(configuration, seed): which network of a study."""


@dataclass(frozen=True)
class Replicate:
    """One configuration with one seed: one network, one trial."""

    configuration: Configuration
    seed: int

    @property
    def key(self) -> ReplicateKey:
        return self.configuration.number, self.seed


@dataclass(frozen=True)
class Population:
    """Replicates that train together."""

    replicates: tuple[Replicate, ...]

    @property
    def configuration(self) -> Configuration:
        """Any of them, for what they share."""
        return self.replicates[0].configuration
