"""What is fitted on a network's own rows, where a population's networks train on resamples.

`pipeline.networks.own_rows` has the formulas. Each resample is fitted by itself, in float64 on its
own rows alone, so no other resample and no person of weight 0 changes a digit.

Fitted once, on all development people: levels of categories and which are joined as rare, which
columns there are, |g| of every variable, and the allele frequencies in K. A column that is constant
among a network's rows has weights of exactly 0 in it.

Shapes: N people (n development rows first), p_s columns of the table, K networks, d encoder
outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from pipeline.errors import InputError
from pipeline.networks import (
    MOST_DENSE,
    ColumnMap,
    FirstLayer,
    NetworkSpec,
    OwnKind,
    OwnRows,
    TrainingData,
    Weights,
    cholesky,
    initial_dual,
)
from pipeline.process import one_blas_thread

CONSTANT = 1e-9
"""A column that differs by less, as a share of its largest value, is constant (as in a schema)."""

PEOPLE_AT_ONCE = 1024
"""People whose relationship to others is held in float64 together."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """Of one resample.

    rows          of weight above 0, in their order
    loss_weights  (n,) float64 of the rows in the loss, mean 1
    validation    the rows that choose the best epoch
    center, scale (p_s,) m and a; a is 0 of a column that is left out
    shift         (p_s,) δ, what an imputed cell differs from the table's in own coordinates
    target        (c, u) of a quantity
    """

    rows: np.ndarray
    loss_weights: np.ndarray
    validation: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    target: tuple[float, float] = (0.0, 1.0)

    @property
    def share(self) -> np.ndarray:
        """(own rows,) of each in the mean loss, adding up to 1."""
        own = self.loss_weights[self.rows]
        return own / own.sum()


@dataclass(frozen=True, eq=False)
class Imputed:
    """Columns with imputed cells among the development rows, and their indicators.

    columns    (q,) places among the p_s columns; the indicator is the column after it
    low, high  (q,) the indicator's value where the cell is known, and where it is not
    """

    columns: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Ownership:
    """The resamples of a population's data, each fitted when it is first asked for."""

    def __init__(self, data: TrainingData):
        assert data.resamples is not None
        if data.rows[1] or data.resamples.weights.shape[1] != data.rows[0]:
            raise InputError(
                "with resamples all development rows stand first and none is for validation alone, "
                f"but got rows {data.rows} and resamples of {data.resamples.weights.shape[1]}"
            )
        self._data, self._resamples = data, data.resamples
        _, self._fitted = data.resamples.fitted.setdefault(id(data), (data, {}))
        self._starts: dict[tuple[int, int], np.ndarray] = {}

    def fitted(self, resample: int | None) -> Fitted:
        """None: all development rows, as the table has them."""
        if resample not in self._fitted:
            self._fitted[resample] = self._fit(resample)
        return self._fitted[resample]

    def _fit(self, resample: int | None) -> Fitted:
        data, resamples = self._data, self._resamples
        n, columns = data.rows[0], data.columns.shape[1]
        identity = np.zeros(columns), np.ones(columns), np.zeros(columns)
        if resample is None:
            drawn, validation = np.ones(n), np.zeros(0, int)
        else:
            if not 0 <= resample < len(resamples):
                raise InputError(
                    f"a network's resample must be 0 to {len(resamples) - 1}, but got {resample}"
                )
            drawn = resamples.weights[resample].astype(np.float64)
            validation = np.flatnonzero(resamples.validation[resample])
        rows = np.flatnonzero(drawn)
        row_weights = (
            np.ones(n) if data.row_weights is None else np.asarray(data.row_weights, float)
        )
        loss_weights = drawn * row_weights
        if resamples.balanced and resample is not None:
            counted = drawn if resamples.standardize else loss_weights
            classes = np.asarray(data.target[:n], int)
            counts = np.bincount(classes, counted)
            with np.errstate(divide="ignore", invalid="ignore"):
                loss_weights = loss_weights * (counted.sum() / (len(counts) * counts))[classes]
            loss_weights[drawn == 0.0] = 0.0
        loss_weights /= loss_weights.mean()
        if resample is None:
            return Fitted(rows, loss_weights, validation, *identity)
        if not resamples.standardize:
            target = self._target(rows, loss_weights)[0], 1.0
            return Fitted(rows, loss_weights, validation, *identity, target)
        center, scale, shift = self._standardized(rows, drawn[rows])
        target = self._target(rows, drawn)
        return Fitted(rows, loss_weights, validation, center, scale, shift, target)

    def _target(self, rows: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        if self._data.task != "regression":
            return 0.0, 1.0
        target = np.asarray(self._data.target, float)[rows]
        center = float(np.average(target, weights=weights[rows]))
        spread = np.average(np.square(target - center), weights=weights[rows])
        return center, float(np.sqrt(spread)) or 1.0

    def _standardized(self, rows: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, ...]:
        """center, scale and shift, (p_s,) each, from rows that were drawn so often."""
        values, imputed = self._data.columns[rows].astype(np.float64), self.imputed
        differs = np.zeros(values.shape[1])
        known_somewhere = np.ones(values.shape[1], bool)
        for j in imputed.columns:
            missing = self._missing[rows, j]
            known_somewhere[j] = not missing.all()
            if known_somewhere[j]:
                own = median(values[~missing, j], drawn[~missing])
                differs[j] = own - self._data.columns[self._missing[:, j], j][0]
                values[missing, j] = own
        share = drawn / drawn.sum()
        center = (share[:, None] * values).sum(axis=0)
        scale = np.sqrt((share[:, None] * np.square(values - center)).sum(axis=0))
        varies = np.ptp(values, axis=0) > CONSTANT * np.abs(values).max(axis=0)
        varies &= known_somewhere
        inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=varies)
        return center, inverse, differs * inverse

    @property
    def _missing(self) -> np.ndarray:
        assert self._data.missing is not None
        return self._data.missing

    @cached_property
    def imputed(self) -> Imputed:
        """A column whose cells are missing in test rows alone keeps the table's imputed value."""
        data, n = self._data, self._data.rows[0]
        if data.missing is None or not self._resamples.standardize:
            return Imputed(np.zeros(0, int), np.zeros(0), np.zeros(0))
        columns = np.flatnonzero(data.missing[:n].any(axis=0) & ~data.missing[:n].all(axis=0))
        low, high = [], []
        for j in columns:
            indicator, missing = data.columns[:, j + 1 : j + 2], data.missing[:, j]
            if not _tells(indicator, missing):
                raise InputError(
                    "the indicator of a column's imputed cells must be the column after it, where "
                    f"networks have imputed values of their own, but that of column {j} is not"
                )
            low.append(float(indicator[~missing][0, 0]))
            high.append(float(indicator[missing][0, 0]))
        return Imputed(columns, np.array(low), np.array(high))

    @property
    def kind(self) -> OwnKind:
        quantity = self._data.task == "regression"
        standardized = self._resamples.standardize
        return OwnKind(standardized, bool(len(self.imputed.columns)), quantity)

    def columns(self, resample: int | None, rows: np.ndarray) -> np.ndarray:
        """(rows, p_s) float64 as the network sees them."""
        fitted, columns = self.fitted(resample), self._data.columns[rows].astype(np.float64)
        own = (columns - fitted.center) * fitted.scale
        for j in self.imputed.columns:
            own[:, j] += self._missing[rows, j] * fitted.shift[j]
        return own

    def maps(self, resample: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a, β and t, (p_s,) each."""
        fitted, imputed = self.fitted(resample), self.imputed
        bias, tie = -fitted.center * fitted.scale, np.zeros(len(fitted.scale))
        shift = fitted.shift[imputed.columns]
        bias[imputed.columns] -= shift * imputed.low / (imputed.high - imputed.low)
        tie[imputed.columns + 1] = shift / (imputed.high - imputed.low)
        return fitted.scale, bias, tie

    def tensors(self, specs: Sequence[NetworkSpec], places: FirstLayer) -> OwnRows:
        """Of the networks of these specs, with first-layer columns in these places."""
        kind, each = self.kind, [self.fitted(spec.resample) for spec in specs]
        rank = [[min(len(fitted.rows), self._data.rank)] for fitted in each]
        own = OwnRows(
            tf.constant(np.stack([fitted.loss_weights for fitted in each]), tf.float32),
            tf.constant(rank, tf.float32),
        )
        if kind.standardized:
            maps = [self.maps(spec.resample) for spec in specs]
            scale, bias, tie = (
                np.stack([_placed(map[i], places, other) for map in maps])
                for i, other in enumerate((1.0, 0.0, 0.0))
            )
            map = ColumnMap(scale, bias, tie if kind.imputed else ())
            dense = places.count <= MOST_DENSE
            columns = map.dense(places.bias) if dense else map
            own = own._replace(columns=tf.nest.map_structure(tf.constant, columns))
        if kind.quantity:
            center, unit = (
                tf.constant([[[fitted.target[i]]] for fitted in each], tf.float32) for i in (0, 1)
            )
            own = own._replace(center=center, unit=unit)
        return own

    def held_at_zero(self, spec: NetworkSpec, places: FirstLayer) -> np.ndarray:
        """(p,) whether the column is constant among the network's rows."""
        return _placed(self.fitted(spec.resample).scale, places, 1.0) == 0.0

    def table_weights(self, weights: Weights, spec: NetworkSpec, places: FirstLayer) -> Weights:
        """One network's weights (NumPy) → those that take the table's columns as they are, and
        predict the target as it is."""
        if spec.resample is None:
            return weights
        scale, bias, tie = self.maps(spec.resample)
        first = weights.first.astype(np.float64)
        of_columns = first[:, places.columns]
        moved = first.copy()
        moved[:, places.columns] = of_columns * scale
        moved[:, 1 : places.shared] += of_columns[:, :-1] * tie[1:]
        moved[:, places.bias] += of_columns @ bias
        center, unit = self.fitted(spec.resample).target
        later = list(weights.later)
        if later:
            last = later[-1]
            later[-1] = type(last)(
                (last.weights * unit).astype(np.float32),
                (last.bias * unit + center).astype(np.float32),
            )
        else:
            moved *= unit
            moved[:, places.bias] += center
        return Weights(moved.astype(np.float32), tuple(later))

    def initial_encodings(self, seed: int, resample: int, drawn: np.ndarray) -> np.ndarray:
        """E₀ (N, d) float32 of everyone, V₀ in the span of the own people's genotypes alone.

        drawn: z (own people, d).
        """
        key = seed, resample
        if key not in self._starts:
            rows, relationship = self.fitted(resample).rows, self._data.relationship
            assert relationship is not None
            start = np.empty((len(relationship), drawn.shape[1]), np.float32)
            with one_blas_thread():  # the same digits on any number of cores
                dual = initial_dual(cholesky(relationship[np.ix_(rows, rows)]), drawn)
                for begin in range(0, len(start), PEOPLE_AT_ONCE):
                    people = slice(begin, begin + PEOPLE_AT_ONCE)
                    start[people] = relationship[people][:, rows].astype(np.float64) @ dual
            self._starts[key] = start
        return self._starts[key]


def median(values: np.ndarray, drawn: np.ndarray) -> float:
    """The median of values that count so often; numpy.median of the repeated ones."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(drawn[order])
    half = 0.5 * below[-1]
    at = int(np.searchsorted(below, half, "left"))
    middle = values[order[at]]
    if below[at] == half:
        middle = 0.5 * (middle + values[order[min(at + 1, len(order) - 1)]])
    return float(middle)


def _tells(column: np.ndarray, missing: np.ndarray) -> bool:
    """Whether a column has one value where cells are missing, and another where they are not."""
    if not column.size:
        return False
    yes, no = column[missing], column[~missing]
    return bool(yes[0] != no[0] and np.all(yes == yes[0]) and np.all(no == no[0]))


def _placed(of_columns: np.ndarray, places: FirstLayer, others: float) -> np.ndarray:
    """(p_s,) → (p,) float32, with one value for bias, spare columns and encodings."""
    placed = np.full(places.count, others, np.float32)
    placed[places.columns] = of_columns
    return placed
