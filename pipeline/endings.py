"""The end of training: last states finished and certified, everyone predicted, results filled in.

Shapes: K slots, N people (n training rows first), o outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline import optimiser, tensors
from pipeline.certificate import certifier
from pipeline.finishing import finished
from pipeline.network import Weights
from pipeline.parts import FEW, Setting, Snapshots
from pipeline.program import Constants
from pipeline.training_types import NetworkSpec, TrainedNetwork


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
        """Finish these networks of the population, at most a part's, into their results."""
        setting = self.setting
        filled = setting.filled(networks)
        own = [specs[i] for i in filled]
        initial = tensors.initial_encodings(
            setting.data, setting.architecture, [spec.seed for spec in own]
        )
        weights, encoder = self.final.stacked(filled)
        into = [results[i] for i in networks]
        weights = self._finished(weights, encoder, initial, own, into)
        if setting.data.rows[1]:
            self._keep(*self.best.stacked(filled), initial, into, "")
        else:
            self._keep(weights, encoder, initial, into, "")
        self._keep(weights, encoder, initial, into, "final_")

    def _keep(self, weights: Weights, encoder, initial, into: list[TrainedNetwork], prefix: str):
        """Weights, first layers and everyone's predictions, into the results."""
        architecture, data = self.setting.architecture, self.setting.data
        predictions = self.setting.predict(weights, encoder, initial, 0, len(data.target))
        weights = weights._replace(first=tensors.narrowed(weights.first, architecture))
        dual = () if encoder == () else (encoder.coefficients.numpy(), encoder.scale.numpy())
        for i, result in enumerate(into):
            if dual and not prefix:
                result.encoder = (dual[0][:, i], float(dual[1][i, 0]))
            own = tf.nest.map_structure(lambda x, i=i: x[i], weights)
            first = np.delete(own.first, architecture.shared_columns, axis=1).T
            setattr(result, f"{prefix}weights", own)
            setattr(result, f"{prefix}predictions", predictions[i])
            setattr(result, "first_layer_final" if prefix else "first_layer", first)

    def _finished(
        self, weights: Weights, encoder, initial, specs, into: list[TrainedNetwork]
    ) -> Weights:
        """The last states after their full-batch finish, certified; in slots like the weights."""
        setting, schedule = self.setting, self.setting.schedule
        n, architecture, task = setting.data.rows[0], setting.architecture, setting.data.task
        encodings = tf.zeros([len(specs), 0, 0])
        if encoder != ():
            related = setting.constants.relationship[:n]
            encodings = optimiser.encode(encoder, initial[:n], related)
        hyper = tensors.hyperparameters(specs)
        residual, objective = self._certified(weights, encodings, hyper, len(into))
        if schedule.tolerance is not None and (residual > schedule.tolerance).any():
            first = finished(
                weights,
                encodings,
                residual,
                setting.constants,
                hyper,
                architecture,
                task,
                schedule.tolerance,
                schedule.finish_steps,
            )
            weights = weights._replace(first=first)
            residual, objective = self._certified(weights, encodings, hyper, len(into))
        for slot, result in enumerate(into):
            result.kkt_residual = float(residual[slot])
            result.objective = float(objective[slot])
        return weights

    def _certified(self, weights: Weights, encodings, hyper, networks: int):
        """kkt_residual and objective (K,), 0 in slots beyond the networks.

        Some networks at a time, always the same number: products in float64 round by their shapes.
        """
        setting = self.setting
        certify = certifier(setting.architecture, setting.data.task)
        found = np.zeros((2, len(weights.first)))
        for start in range(0, networks, FEW):
            own = np.arange(start, min(start + FEW, networks))
            slots = setting.filled(own)
            weights_, encodings_, hyper_ = tf.nest.map_structure(
                lambda x, slots=slots: tf.gather(x, slots), (weights, encodings, hyper)
            )
            certificate = certify(weights_, encodings_, self.exact, hyper_)
            found[:, own] = np.stack(certificate)[:, : len(own)]
        return found
