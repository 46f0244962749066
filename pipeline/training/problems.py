"""A population's data as the solvers see it: one network's first layer, in float64."""

from __future__ import annotations

import numpy as np

from pipeline.networks import LAMBDAS, Architecture, NetworkSpec, TrainingData
from pipeline.solvers import Problem
from pipeline.training.own_rows import Ownership


class Problems:
    """What the problems of a population's networks share; columns are held once."""

    def __init__(
        self, data: TrainingData, architecture: Architecture, own: Ownership | None = None
    ):
        if own is None and data.resamples is not None:
            own = Ownership(data)
        self._own = own
        n, places = data.rows[0], architecture.first_layer
        self.places, self._architecture, self._task = places, architecture, data.task
        self._columns = np.ones((n, places.shared + 1))
        self._columns[:, places.columns] = data.columns[:n]
        if data.task == "multiclass":
            self._target = np.eye(architecture.outputs)[data.target[:n].astype(int)].T
        else:
            self._target = np.asarray(data.target[:n], float)[None, :]
        row_weights = (
            np.ones(n) if data.row_weights is None else np.asarray(data.row_weights, float)
        )
        self._share = row_weights / row_weights.sum()
        factor = np.ones(len(data.group_index))
        if data.penalty_factor is not None:
            factor = np.asarray(data.penalty_factor, float)
        index = np.asarray(data.group_index)
        self._group = places.spread(index, index.max(initial=-1) + 1, 0)
        self._size = np.bincount(self._group)[self._group].astype(float)
        self._factor = places.spread(factor, 0.0, 0.0)

    def of(self, spec: NetworkSpec, later, encodings: np.ndarray | None = None) -> Problem:
        """Of the network of this spec; later are its layers, (weights (h_out, h_in), bias
        (h_out, 1)) each, encodings (n, d) of the training rows where there are genotypes. Of a
        network with a resample its own rows, as it sees them."""
        layers = tuple((np.asarray(w, float), np.asarray(b, float)) for w, b in later)
        columns, target, share = self._rows(spec.resample)
        if encodings is not None and self._own is not None:
            encodings = encodings[self._own.fitted(spec.resample).rows]
        if encodings is not None:
            columns = np.concatenate([columns, encodings], axis=1)
        l1, l2, group = (float(getattr(spec, name)) for name in LAMBDAS)
        return Problem(
            columns=columns,
            target=target,
            share=share,
            task=self._task,
            activation=self._architecture.activation,
            later=layers,
            lambdas=(l1, l2, group),
            group=self._group,
            size=self._size,
            factor=self._factor,
            decay=0.5 * spec.weight_decay * sum(float(np.square(w).sum()) for w, _ in layers),
        )

    def _rows(self, resample: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """columns, target and share of `Problem` of the rows that count."""
        if self._own is None or resample is None:
            return self._columns, self._target, self._share
        fitted = self._own.fitted(resample)
        columns = np.ones((len(fitted.rows), self._columns.shape[1]))
        columns[:, self.places.columns] = self._own.columns(resample, fitted.rows)
        center, unit = fitted.target
        target = (self._target[:, fitted.rows] - center) / unit
        return columns, target, fitted.share
