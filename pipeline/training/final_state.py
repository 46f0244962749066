"""The end of training: last states settled and certified, everyone predicted, results filled in.

Shapes: K slots, N people (n training rows first), o outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.networks import Constants, NetworkSpec, TrainedNetwork, Weights, optimizer
from pipeline.solvers import Given, settled
from pipeline.training import tensors
from pipeline.training.population import Setting, Snapshots


class Ending:
    """best and final: the networks' states at the best and at the last epoch; exact: the constants
    in float64, for the certificates."""

    def __init__(self, setting: Setting, best: Snapshots, final: Snapshots, exact: Constants):
        self.setting, self.best, self.final, self.exact = setting, best, final, exact

    def of(
        self,
        networks: np.ndarray,
        specs: Sequence[NetworkSpec],
        results: Sequence[TrainedNetwork],
    ) -> None:
        """Settle these networks of the population, at most a part's, into their results."""
        setting = self.setting
        filled = setting.filled(networks)
        own = [specs[i] for i in filled]
        initial = tensors.initial_encodings(
            setting.data, setting.architecture, [spec.seed for spec in own]
        )
        weights, encoder = self.final.stacked(filled)
        into = [results[i] for i in networks]
        weights = self._settled(weights, encoder, initial, own, into)
        if setting.judged:
            self._keep(*self.best.stacked(filled), initial, into, ("",))
            self._keep(weights, encoder, initial, into, ("final_",))
        else:
            self._keep(weights, encoder, initial, into, ("", "final_"))

    def _keep(
        self, weights: Weights, encoder, initial, into: list[TrainedNetwork], prefixes: tuple
    ) -> None:
        """Weights, first layers and everyone's predictions, into the results under each prefix."""
        data, places = self.setting.data, self.setting.architecture.first_layer
        predictions = self.setting.predict(weights, encoder, initial, 0, len(data.target))
        weights = weights._replace(first=self.setting.places.narrowed(weights.first))
        dual = () if encoder == () else (encoder.coefficients.numpy(), encoder.scale.numpy())
        for i, result in enumerate(into):
            own = tf.nest.map_structure(lambda x, i=i: x[i], weights)
            first = own.first[:, places.inputs].T
            if dual and "" in prefixes:
                result.encoder = (dual[0][:, i], float(dual[1][i, 0]))
            for prefix in prefixes:
                setattr(result, f"{prefix}weights", own)
                setattr(result, f"{prefix}predictions", predictions[i])
                setattr(result, "first_layer_final" if prefix else "first_layer", first)

    def _settled(
        self, weights: Weights, encoder, initial, specs, into: list[TrainedNetwork]
    ) -> Weights:
        """The last states with settled first layers, certified; in slots like the weights."""
        setting = self.setting
        n = setting.data.rows[0]
        encodings = tf.zeros([len(specs), 0, 0])
        if encoder != ():
            related = setting.constants.relationship[:n]
            encodings = optimizer.encode(encoder, initial[:n], related)
        hyper = tensors.hyperparameters(specs)
        given = Given(encodings, self.exact, hyper, setting.architecture, setting.data.task)
        weights, residual, objective = settled(
            weights, len(into), setting.constants, given, setting.schedule
        )
        for result, r, value in zip(into, residual, objective, strict=True):
            result.kkt_residual, result.objective = float(r), float(value)
        return weights
