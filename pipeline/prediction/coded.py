"""A table in numbers, one a column: what scikit-learn's inspections can change cell by cell.

A number is itself, NaN where missing; a category is the position of its level, as
`pipeline.serving` codes it. From codes follow the inputs of the network, exactly as in `Schema`.

Shapes: n people, c columns that the network reads (genetic dimensions last), p inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from pipeline.data import Table
from pipeline.prediction.scoring import raw_predictions
from pipeline.serving import MISSING, NUMBER, Column, levels_of, numbers_of, probabilities
from pipeline.tracking import FetchedModel


@dataclass(frozen=True, eq=False)
class CodedColumns:
    """The columns that a model's predictions depend on."""

    model: FetchedModel

    @property
    def columns(self) -> tuple[Column, ...]:
        used = self.model.network.columns
        return tuple(c for c in self.model.network.schema.columns if c.name in used)

    @property
    def names(self) -> tuple[str, ...]:
        """(c,) the table's columns, then genetic dimensions."""
        return (*(column.name for column in self.columns), *self.model.network.needed)

    def is_number(self, position: int) -> bool:
        """Whether a column is one of numbers."""
        return position >= len(self.columns) or self.columns[position].kind == NUMBER

    def levels(self, position: int) -> tuple[str, ...]:
        """The levels of a category; those of few people are joined as `other`."""
        column = self.columns[position]
        return (*column.levels, *(("other",) if column.other else ()))

    def codes(self, table: Table, frame: pd.DataFrame) -> np.ndarray:
        """(n, c) float64 of the people of `read_people`."""
        columns = [
            numbers_of(column, frame[column.name], table.place)
            if column.kind == NUMBER
            else levels_of(column, frame[column.name], True, table.place)[0]
            for column in self.columns
        ]
        columns += [frame[name].to_numpy(float) for name in self.model.network.needed]
        return np.column_stack([np.asarray(values, float) for values in columns])

    def inputs(self, codes: np.ndarray) -> np.ndarray:
        """(n, p) of the network for codes (n, c)."""
        network = self.model.network
        place = {column.name: i for i, column in enumerate(self.columns)}
        inputs = np.zeros((len(codes), len(network.chosen) + len(network.encodings)))
        used = set(network.used)
        for i, position in enumerate(network.chosen):
            if position not in used:
                continue
            feature = network.schema.features[position]
            column = network.schema.columns[feature.column]
            values = codes[:, place[column.name]]
            missing = np.isnan(values)
            if column.kind != NUMBER:
                raw = (values == feature.code).astype(float)
            elif feature.code == MISSING:
                raw = missing.astype(float)
            else:
                raw = np.where(missing, column.median, values)
            inputs[:, i] = np.float32((raw - feature.center) / feature.scale)
        for i, name in enumerate(network.encodings):
            if name in network.needed:
                inputs[:, len(network.chosen) + i] = codes[:, self.names.index(name)]
        return inputs


class _Fitted(BaseEstimator):
    """A model on codes (n, c), as scikit-learn sees an estimator that is fitted."""

    def __init__(self, coded: CodedColumns):
        self.coded = coded

    def fit(self, X, y=None):
        """Nothing is fitted here."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predicted(self, X) -> np.ndarray:
        """(n,) of two classes or a quantity, (n, classes) of several."""
        raw = raw_predictions(self.coded.model, self.coded.inputs(np.asarray(X, float)))
        return probabilities(raw, self.coded.model.origin.task)


class CodedClassifier(ClassifierMixin, _Fitted):
    """Probabilities of classes."""

    @property
    def classes_(self) -> np.ndarray:
        """Positions of the model's classes."""
        return np.arange(len(self.coded.model.origin.classes))

    def predict_proba(self, X) -> np.ndarray:
        """(n, classes)."""
        predicted = self.predicted(X)
        return np.column_stack([1.0 - predicted, predicted]) if predicted.ndim == 1 else predicted

    def predict(self, X) -> np.ndarray:
        """(n,) the likeliest class."""
        return self.predict_proba(X).argmax(axis=1)


class CodedRegressor(RegressorMixin, _Fitted):
    """A quantity in the table's unit."""

    def predict(self, X) -> np.ndarray:
        """(n,)."""
        return self.predicted(X)
