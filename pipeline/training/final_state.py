"""The end of training: last states settled and certified, everyone predicted, results filled in.

Shapes: K slots, N people (n training rows first), o outputs, d encoder outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.networks import NetworkSpec, TrainedNetwork
from pipeline.solvers import finished
from pipeline.training import tensors
from pipeline.training.population import Setting, Snapshots
from pipeline.training.problems import Problems


class Ending:
    """best and final: the networks' states at the best and at the last epoch."""

    def __init__(self, setting: Setting, best: Snapshots, final: Snapshots):
        self.setting, self.best, self.final = setting, best, final
        self._problems = Problems(setting.data, setting.architecture)

    def settle(self, network: int, spec: NetworkSpec, result: TrainedNetwork) -> None:
        """Bring the last state's first layer to a stationary point, and certify it."""
        places = self.setting.places
        weights, learned = self.final.of(network)
        problem = self._problems.of(spec, weights.later, self._encodings(spec, learned))
        settled = finished(places.narrowed(weights.first), problem, self.setting.schedule)
        self.final.replace_first(network, places.widened(settled.first))
        result.kkt_residual, result.kkt_residual_absolute = settled.certificate
        result.objective = settled.objective

    def _encodings(self, spec: NetworkSpec, learned: tuple) -> np.ndarray | None:
        """(n, d) float64: a·(E₀ + K·C) of the training rows."""
        if not learned:
            return None
        data, (coefficients, scale) = self.setting.data, learned
        assert data.relationship_factor is not None and data.relationship is not None
        n, d = coefficients.shape
        start = data.relationship_factor[:n] @ tensors.genetic_draws(spec.seed, n, d)
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
        initial = tensors.initial_encodings(
            setting.data, setting.architecture, [specs[i].seed for i in filled]
        )
        kept_results = [results[i] for i in networks]
        if setting.keeps_best_epoch:
            self._keep(self.best.stacked(filled), initial, kept_results, ("",))
            self._keep(self.final.stacked(filled), initial, kept_results, ("final_",))
        else:
            self._keep(self.final.stacked(filled), initial, kept_results, ("", "final_"))

    def _keep(
        self, state: tuple, initial, kept_results: list[TrainedNetwork], prefixes: tuple[str, ...]
    ) -> None:
        """Weights, first layers and everyone's predictions, into the results under each prefix."""
        data, places = self.setting.data, self.setting.architecture.first_layer
        weights, encoder = state
        predictions = self.setting.predict(weights, encoder, initial, 0, len(data.target))
        weights = weights._replace(first=self.setting.places.narrowed(weights.first))
        encoder_arrays = (
            () if encoder == () else (encoder.coefficients.numpy(), encoder.scale.numpy())
        )
        for i, result in enumerate(kept_results):
            network_weights = tf.nest.map_structure(lambda x, i=i: x[i], weights)
            first = network_weights.first[:, places.inputs].T
            if encoder_arrays and "" in prefixes:
                result.encoder = (encoder_arrays[0][:, i], float(encoder_arrays[1][i, 0]))
            for prefix in prefixes:
                setattr(result, f"{prefix}weights", network_weights)
                setattr(result, f"{prefix}predictions", predictions[i])
                setattr(result, "first_layer_final" if prefix else "first_layer", first)
