"""What a model does with its variables, on given people: importances, dependence, interactions.

    permutation importance   the score with a variable's values shuffled over people, less its score
                             (Breiman 2001; scikit-learn's `permutation_importance`). All columns of
                             a variable are shuffled together.
    partial dependence       the mean prediction when everyone has one value of a column (Friedman
                             2001; scikit-learn's `partial_dependence`)
    interaction of j and k   Friedman and Popescu's (2008) H, on the scale of the last layer:
                             H² = Σ_i (F_jk(x_i) − F_j(x_i) − F_k(x_i))² / Σ_i F_jk(x_i)², with F
                             centered partial dependences; 0 where their effects add up

Shapes: n people, p inputs, g variables, o outputs, m people of a sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.inspection import partial_dependence, permutation_importance

from pipeline.data import REGRESSION
from pipeline.metrics import metrics
from pipeline.prediction.coded import CodedClassifier, CodedColumns, CodedRegressor
from pipeline.prediction.outcomes import KnownOutcome
from pipeline.prediction.scoring import raw_predictions
from pipeline.results import kept_variables
from pipeline.tracking import FetchedModel

GRID, MOST_CURVES = 20, 24
MOST_PEOPLE, SAMPLE, MOST_PAIRED = 1_000, 60, 10
"""People of a dependence; people of an interaction; variables of which pairs are looked at."""


@dataclass(frozen=True, eq=False)
class Dependence:
    """Mean predictions along a column: `curves` output → (values,) at `grid`."""

    column: str
    numeric: bool
    grid: tuple
    curves: dict[str, np.ndarray]


def kept_names(model: FetchedModel) -> list[str]:
    """The variables with a weight that is not exactly 0, strongest first by ‖W_g‖."""
    first, inputs = model.network.layers[0][0], model.origin.inputs
    strength = dict.fromkeys(inputs.variable_names, 0.0)
    for variable, row in zip(inputs.variables, np.square(first).sum(axis=1), strict=True):
        strength[variable] += float(row)
    kept = kept_variables(first, inputs)
    return sorted((v for v, is_kept in kept.items() if is_kept), key=lambda v: -strength[v])


class _Shuffled(BaseEstimator):
    """The network on (n, g) rows: entry (i, v) says whose values of variable v person i has."""

    def __init__(self, model: FetchedModel, inputs: np.ndarray, columns: Sequence[np.ndarray]):
        self.model, self.inputs, self.columns = model, inputs, columns

    def fit(self, X, y=None):
        """Nothing is fitted here."""
        return self

    def raw(self, rows: np.ndarray) -> np.ndarray:
        """(o, n)."""
        inputs = np.zeros((len(rows), self.inputs.shape[1]))
        for source_rows, columns in zip(np.asarray(rows).T, self.columns, strict=True):
            inputs[:, columns] = self.inputs[np.ix_(source_rows, columns)]
        return raw_predictions(self.model, inputs)


def _columns_of(model: FetchedModel, names: Sequence[str]) -> list[np.ndarray]:
    variables = np.array(model.origin.inputs.variables, dtype=object)
    return [np.flatnonzero(variables == name) for name in names]


def repeats(variables: int) -> int:
    """How often each of so many variables is shuffled: 20 times, fewer of many, at least 5."""
    return max(5, min(20, 300 // max(variables, 1)))


def importances(model: FetchedModel, inputs: np.ndarray, outcome: KnownOutcome) -> pd.DataFrame:
    """variable, importance and its standard deviation over shuffles, the most important first.

    In units of the study's objective, larger is more important; of people of known outcome.
    """
    names, task = kept_names(model), model.origin.task
    metric = model.origin.objective.removeprefix("val_")
    sign = 1.0 if metrics.MAXIMIZED[metric] else -1.0
    inputs, y = inputs[outcome.known], outcome.values[outcome.known]
    shuffled = _Shuffled(model, inputs, _columns_of(model, names))
    rows = np.tile(np.arange(len(y))[:, None], (1, len(names)))

    def goodness(estimator: _Shuffled, rows: np.ndarray, y: np.ndarray) -> float:
        return sign * float(metrics.score(metric, y, estimator.raw(rows)[None], task)[0])

    shuffles = permutation_importance(
        shuffled, rows, y, scoring=goodness, n_repeats=repeats(len(names)), random_state=0
    )
    table = pd.DataFrame(
        {"variable": names, "importance": shuffles.importances_mean, "sd": shuffles.importances_std}
    )
    return table.sort_values("importance", ascending=False, kind="stable", ignore_index=True)


def dependences(coded: CodedColumns, codes: np.ndarray, names: Sequence[str]) -> list[Dependence]:
    """Of each column of these variables, in their order; at most MOST_CURVES."""
    origin, curves_of_columns = coded.model.origin, []
    kind = CodedRegressor if origin.task == REGRESSION else CodedClassifier
    estimator = kind(coded)
    step = max(len(codes) // MOST_PEOPLE, 1)
    people = codes[::step]
    order = [n for v in names for n in _sources(coded, v)]
    for name in dict.fromkeys(order[:MOST_CURVES]):
        position = coded.names.index(name)
        numeric = coded.is_number(position)
        if numeric:
            known = codes[:, position][~np.isnan(codes[:, position])]
            values = np.unique(known)
            if len(values) > GRID:
                values = np.unique(np.quantile(known, np.linspace(0.05, 0.95, GRID)))
            grid: tuple = tuple(float(v) for v in values)
        else:
            grid = coded.levels(position)
            values = np.arange(len(grid), dtype=float)
        if len(values) < 2:
            continue
        averages = partial_dependence(
            estimator,
            people,
            [position],
            custom_values={position: values},
            kind="average",
            method="brute",
            response_method="auto" if origin.task == REGRESSION else "predict_proba",
        )["average"]
        labels = list(coded.model.network.outputs)
        curves_of_columns.append(
            Dependence(name, numeric, grid, dict(zip(labels, averages, strict=True)))
        )
    return curves_of_columns


def _sources(coded: CodedColumns, variable: str) -> list[str]:
    """The table's columns, or the genetic dimensions, behind a variable."""
    network, inputs = coded.model.network, coded.model.origin.inputs
    columns = []
    for i, owner in enumerate(inputs.variables):
        if owner != variable:
            continue
        if i >= len(network.chosen):
            columns.append(inputs.columns[i])
        else:
            feature = network.schema.features[network.chosen[i]]
            columns.append(network.schema.columns[feature.column].name)
    return [name for name in dict.fromkeys(columns) if name in coded.names]


def interactions(model: FetchedModel, inputs: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """first, second, h (H) and size (root mean square of the part that does not add up, on the
    scale of the last layer), the largest size first; of the first MOST_PAIRED of names."""
    names = list(names)[:MOST_PAIRED]
    kept = kept_names(model)
    rng = np.random.default_rng(0)
    m = min(len(inputs), SAMPLE)
    people = inputs[np.sort(rng.choice(len(inputs), m, replace=False))]
    shuffled = _Shuffled(model, people, _columns_of(model, kept))
    averaged_over = np.tile(np.arange(m), m)  # runs fastest
    values = np.repeat(np.arange(m), m)

    def centered(*variables: str) -> np.ndarray:
        rows = np.tile(averaged_over[:, None], (1, len(kept)))
        for name in variables:
            rows[:, kept.index(name)] = values
        mean = shuffled.raw(rows).reshape(-1, m, m).mean(axis=2)  # (o, m)
        return mean - mean.mean(axis=1, keepdims=True)

    alone = {name: centered(name) for name in names}
    pairs = []
    for first, second in combinations(names, 2):
        joint = centered(first, second)
        beyond_sum = joint - alone[first] - alone[second]
        total = float(np.square(joint).sum())
        h = float(np.sqrt(np.square(beyond_sum).sum() / total)) if total > 0 else 0.0
        pairs.append((first, second, h, float(np.sqrt(np.square(beyond_sum).sum(axis=0).mean()))))
    table = pd.DataFrame(pairs, columns=["first", "second", "h", "size"])
    return table.sort_values("size", ascending=False, kind="stable", ignore_index=True)
