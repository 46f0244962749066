"""The end of training: last states settled and certified, everyone predicted, results filled in.

Shapes: K slots, N people (n training rows first), o outputs, d encoder outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.networks import NetworkSpec, OwnRows, TrainedNetwork
from pipeline.process import processes_here, spread
from pipeline.solvers import finished
from pipeline.training import tensors
from pipeline.training.population import Setting, Snapshots
from pipeline.training.problems import Problems

WORTH_PROCESSES, SMOOTH_SHARE = 10**8, 0.1
"""Weights of first layers × training rows, all networks together, from which on the finish is worth
starting processes for: some tens of networks of a table of thousands of people. Smooth units take
many times the steps of others."""


def finishing_processes(setting: Setting, networks: int) -> int:
    """On how many processes so many networks are brought to their stationary points."""
    architecture = setting.architecture
    if setting.schedule.tolerance is None:
        return 1
    weights = architecture.first_layer.count * architecture.layer_sizes[0]
    smooth = bool(architecture.hidden_layer_sizes) and architecture.activation != "relu"
    least = WORTH_PROCESSES * (SMOOTH_SHARE if smooth else 1.0)
    worth = networks * weights * setting.data.rows[0] >= least
    return min(processes_here(), networks) if worth else 1


class _Kept(NamedTuple):
    """Networks of a part: what they are, where their results go, and what predicting them takes."""

    specs: list[NetworkSpec]
    results: list[TrainedNetwork]
    own: OwnRows | tuple[()]
    initial: tf.Tensor


class Ending:
    """best and final: the networks' states at the best and at the last epoch."""

    def __init__(self, setting: Setting, best: Snapshots, final: Snapshots):
        self.setting, self.best, self.final = setting, best, final
        self._problems = Problems(setting.data, setting.architecture, setting.own)
        self._starts: dict[int, np.ndarray] = {}  # by seed, which networks share

    def settle(
        self, networks: np.ndarray, specs: Sequence[NetworkSpec], results: Sequence[TrainedNetwork]
    ) -> None:
        """Bring the last states' first layers to stationary points, and certify them."""
        places, schedule = self.setting.places, self.setting.schedule

        def problem_of(i: int) -> tuple:
            """What `finished` is given."""
            spec = specs[networks[i]]
            weights, learned = self.final.of(networks[i])
            problem = self._problems.of(spec, weights.later, self._encodings(spec, learned))
            return places.narrowed(weights.first), problem, schedule

        processes = finishing_processes(self.setting, len(networks))
        settled = spread(finished, problem_of, len(networks), processes)
        for network, each in zip(networks, settled, strict=True):
            self.final.replace_first(network, places.widened(each.first))
            result = results[network]
            result.kkt_residual, result.kkt_residual_absolute = each.certificate
            result.objective = each.objective

    def _encodings(self, spec: NetworkSpec, learned: tuple) -> np.ndarray | None:
        """(n, d) float64: a·(E₀ + K·C) of the training rows."""
        if not learned:
            return None
        data, (coefficients, scale) = self.setting.data, learned
        assert data.relationship is not None
        n, d = coefficients.shape
        if self.setting.own is None:
            assert data.relationship_factor is not None
            if spec.seed not in self._starts:
                draws = tensors.genetic_draws(spec.seed, n, d)
                self._starts[spec.seed] = data.relationship_factor[:n] @ draws
            start = self._starts[spec.seed]
        else:
            start = tensors.initial_encoding(data, spec, d, self.setting.own)[:n]
        return (start + data.relationship[:n, :n] @ coefficients) * np.float64(scale)

    def keep(
        self,
        networks: np.ndarray,
        specs: Sequence[NetworkSpec],
        results: Sequence[TrainedNetwork],
    ) -> None:
        """Weights and predictions of these networks, at most a part's, into their results."""
        setting = self.setting
        filled = setting.filled(networks)
        filled_specs = [specs[i] for i in filled]
        kept = _Kept(
            [specs[i] for i in networks],
            [results[i] for i in networks],
            setting.own_rows(filled_specs),
            tensors.initial_encodings(
                setting.data, setting.architecture, filled_specs, setting.own
            ),
        )
        with_best = [setting.keeps_best_epoch(specs[i]) for i in networks]
        if not any(with_best):
            self._keep(self.final.stacked(filled), kept, ("", "final_"))
            return
        for network, has_best in zip(networks, with_best, strict=True):
            if not has_best:
                self.best.kept[network] = self.final.kept[network]
        self._keep(self.best.stacked(filled), kept, ("",))
        self._keep(self.final.stacked(filled), kept, ("final_",))

    def _keep(self, state: tuple, kept: _Kept, prefixes: tuple[str, ...]) -> None:
        """Weights, first layers and everyone's predictions, into the results under each prefix."""
        places, own = self.setting.architecture.first_layer, self.setting.own
        weights, learned = state
        predictions = self.setting.predict(
            weights, learned, kept.own, kept.initial, len(kept.results)
        )
        weights = weights._replace(first=self.setting.places.narrowed(weights.first))
        for i, (spec, result) in enumerate(zip(kept.specs, kept.results, strict=True)):
            network_weights = tf.nest.map_structure(lambda x, i=i: x[i], weights)
            first = network_weights.first[:, places.inputs].T
            table_weights = network_weights
            if own is not None:
                table_weights = own.table_weights(network_weights, spec, places)
            if learned and "" in prefixes:
                result.encoder = (learned[0][:, i], float(learned[1][i, 0]))
            for prefix in prefixes:
                setattr(result, f"{prefix}weights", network_weights)
                setattr(result, f"{prefix}table_weights", table_weights)
                setattr(result, f"{prefix}predictions", predictions[i])
                setattr(result, "first_layer_final" if prefix else "first_layer", first)
