"""Table file → `Cohort`: outcome, split, features; everything fitted on the training rows only.

Shapes: n rows (people), p columns, g variables. `features.py` says how columns are scaled.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from pipeline.data.features import as_labels, distinct_columns, fit_features, varies
from pipeline.data.outcome import BINARY, REGRESSION, Outcome, read_outcome
from pipeline.data.split import Split, split_rows
from pipeline.data.table import (
    CATEGORY,
    NUMBER,
    Table,
    as_numbers,
    check_finite,
    kind_of,
    named,
    read_table,
)
from pipeline.data.variables import Roles, row_weights, wanted_columns
from pipeline.errors import InputError
from pipeline.results import Inputs

__all__ = ["Cohort", "Split", "load_cohort"]


@dataclass(frozen=True, eq=False)
class Cohort:
    """People ready for a network.

    inputs        the p columns with their variables and families, in the table's order.
    features      (n, p) float32, mean 0 and variance 1 over the training rows.
    task          binary, multiclass or regression.
    outcome       (n,) integers, the position in `classes` (a case is position 1 of two), or the
                  quantities of a regression, float64 in the table's unit.
    classes       the labels as written, in sorted order: (0, 1), ('no', 'yes'); () of quantities.
    preprocessor  fitted: a table as `read_table` gives it → (rows, p) float64 features.
    fingerprint   sha256 of the data file; `source` its name, never its folder.
    warnings      sentences for the reader; they name columns and no value of a person.
    roles         what the study says of the table's columns.
    row_weights   (n,) float64 of the `sample_weight` column, or None.
    """

    inputs: Inputs
    features: np.ndarray
    outcome: np.ndarray
    classes: tuple
    target: str
    split: Split
    preprocessor: Pipeline
    fingerprint: str
    source: str
    warnings: tuple[str, ...]
    task: str
    roles: Roles
    row_weights: np.ndarray | None

    @property
    def scale(self) -> tuple[float, float]:
        """(center, unit) in which networks see the outcome: (outcome − center)/unit.

        Mean and standard deviation (that of n) of a quantity over the training rows, so that λ and
        learning rate mean the same whatever the target's unit; (0, 1) of classes.
        """
        if self.task != REGRESSION:
            return 0.0, 1.0
        train = self.outcome[self.split.train]
        return float(train.mean()), float(train.std())

    @property
    def unpenalized(self) -> tuple[str, ...]:
        """The variables with penalty factor 0, in the order of the inputs."""
        return tuple(v for v in self.inputs.variable_names if v in self.roles.unpenalized)

    @property
    def penalty_factor(self) -> np.ndarray:
        """(p,) what multiplies every λ on a column: 0 of unpenalized variables, else 1."""
        return np.array([float(v not in self.roles.unpenalized) for v in self.inputs.variables])

    @property
    def facts(self) -> dict[str, int | float | str]:
        """Counts of rows, cases of a binary outcome, columns and variables; and the sha256."""
        parts = {
            "train": self.split.train,
            "validation": self.split.validation,
            "test": self.split.test,
        }
        return {
            "rows": len(self.outcome),
            **{f"rows_{part}": len(rows) for part, rows in parts.items()},
            **self._outcome_facts(parts),
            "columns": len(self.inputs.columns),
            "variables": len(self.inputs.variable_names),
            **self._role_facts(),
            "data_sha256": self.fingerprint,
        }

    def _outcome_facts(self, parts: Mapping[str, np.ndarray]) -> dict[str, int | float | str]:
        if self.task == REGRESSION:
            mean, sd = (float(f"{value:.6g}") for value in self.scale)
            return {"target_mean_train": mean, "target_sd_train": sd}
        if self.task == BINARY:
            cases = {f"cases_{part}": int(self.outcome[rows].sum()) for part, rows in parts.items()}
            return {"cases": int(self.outcome.sum()), **cases}
        counts = np.bincount(self.outcome)
        said = (f"{label} ({count} rows)" for label, count in zip(self.classes, counts))
        return {"classes": named(said), "auroc": "one class against the rest, mean over classes"}

    def _role_facts(self) -> dict[str, str]:
        """What the study says of variables and rows, where it says anything."""
        facts = {}
        if self.unpenalized:
            facts["unpenalized"] = f"{named(self.unpenalized)} (penalty factor 0)"
        if self.roles.groups:
            facts["groups"] = "; ".join(f"{g}: {named(c)}" for g, c in self.roles.groups.items())
        if self.roles.weight is not None:
            facts["sample_weight"] = f"{self.roles.weight} (in the loss; metrics are unweighted)"
        return facts


def load_cohort(
    data: str | Path | Table,
    target: str,
    *,
    task: str = "auto",
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    families: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    unpenalized: Sequence[str] = (),
    sample_weight: str | None = None,
    identifier: str | None = None,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Cohort:
    """The cohort of a `.csv`, `.csv.gz` or `.parquet` file, or of a table that was read.

    A variable's columns, by its kind:
    - number (0/1 codes too): itself, missing values replaced by the training median, and, if
      training rows have missing ones, an indicator `glucose missing`.
    - category (text, booleans, pandas categories, and columns named in `categories`): one column a
      level, `education=1` …, and `education=missing` if training rows have missing ones; of two
      levels only the second has a column, `sex=male`. Levels are those of the training rows; any
      other has 0 in all of them before standardizing.
    Text with more than 50 distinct values, more than half of all (names, identifiers), constant
    and all-missing columns are dropped with a warning; all four are judged on training rows.
    Codes that stand for missing (-9, 999) cannot be known; likely ones get a warning.

    `task` auto is chosen from the target as `outcome.py` says. `families` maps a family to its
    columns; all others are `clinical`. `groups` maps a group to columns that are one variable from
    there on. `unpenalized` names variables with penalty factor 0, `sample_weight` a column of row
    weights, `identifier` one of people's ids. The split is stratified by class; see `split.py`.
    Raises InputError.
    """
    table = data if isinstance(data, Table) else read_table(data)
    roles = Roles(
        target,
        categories,
        drop,
        families or {},
        groups or {},
        unpenalized,
        sample_weight,
        identifier,
    )
    wanted = wanted_columns(table, roles)
    kinds = {name: kind_of(table, name, declared=name in categories) for name in wanted}
    check_finite(table, [*wanted, target])
    outcome = read_outcome(table, target, task)
    weights = row_weights(table, sample_weight)
    split = split_rows(outcome, validation_fraction, test_fraction, split_seed)
    return _fitted(table, roles, kinds, outcome, split, weights)


def _fitted(
    table: Table,
    roles: Roles,
    kinds: Mapping[str, str],
    outcome: Outcome,
    split: Split,
    weights: np.ndarray | None,
) -> Cohort:
    """The cohort of checked columns and rows; here everything is fitted that is fitted."""
    train = table.frame.iloc[split.train]
    kinds, notes = _informative(train, kinds, roles.categories, table.source)
    preprocessor, inputs = fit_features(train, kinds, roles.family_of, roles.group_of)
    features = _transform(preprocessor, table, inputs)
    notes += outcome.notes
    notes += _code_notes(table.frame, [name for name in kinds if kinds[name] == NUMBER])
    notes += _level_notes(table.frame, split, [name for name in kinds if kinds[name] == CATEGORY])
    inputs, renamed = distinct_columns(inputs)
    return Cohort(
        inputs=inputs,
        features=features,
        outcome=outcome.values,
        classes=outcome.classes,
        target=roles.target,
        split=split,
        preprocessor=preprocessor,
        fingerprint=table.fingerprint,
        source=table.source,
        warnings=(*notes, *renamed),
        task=outcome.task,
        roles=roles,
        row_weights=weights,
    )


def _informative(
    train: pd.DataFrame, kinds: Mapping[str, str], declared: Sequence[str], source: str
) -> tuple[dict[str, str], list[str]]:
    """The columns that can tell training rows apart, and a warning for each sort of the others."""
    missing, constant, identifiers = [], [], []
    for name, kind in kinds.items():
        known = int(train[name].notna().sum())
        if known == 0:
            missing.append(name)
        elif kind == NUMBER:  # with missing ones, whether a value is known tells people apart
            if known == len(train) and not varies(as_numbers(train[[name]]))[0]:
                constant.append(name)
        else:
            distinct = len(set(as_labels(train[[name]])[:, 0]))
            if distinct == 1:
                constant.append(name)
            elif name not in declared and distinct > 50 and distinct > known / 2:
                identifiers.append(name)
    reasons = (
        (missing, "missing in every training row"),
        (constant, "the same in every training row"),
        (identifiers, "text that differs between most people (a name or identifier?)"),
    )
    notes = [f"dropped {named(names)}: {reason}" for names, reason in reasons if names]
    kept = {
        name: kind
        for name, kind in kinds.items()
        if name not in {*missing, *constant, *identifiers}
    }
    if not kept:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise InputError(
            f"at least one variable besides the target must be left, but {source} has none{why}; "
            "give a table with a variable that differs between people"
        )
    return kept, notes


def _transform(preprocessor: Pipeline, table: Table, inputs: Inputs) -> np.ndarray:
    with warnings.catch_warnings():  # unknown levels get a sentence of our own
        warnings.filterwarnings("ignore", message="Found unknown categories")
        features = preprocessor.transform(table.frame)
    with np.errstate(over="ignore"):
        features = features.astype(np.float32)
    beyond = [inputs.columns[i] for i in np.flatnonzero(~np.isfinite(features).all(axis=0))]
    if beyond:
        raise InputError(
            f"numbers must be of a size, but {named(beyond)} of {table.source} has values too far "
            "from those of the training rows; correct them, or write missing values as NA"
        )
    return features


def _code_notes(frame: pd.DataFrame, numbers: Sequence[str]) -> list[str]:
    """Warnings for values that look like a code for missing: a lone negative, or far above all."""
    notes = []
    for name in numbers:
        values = np.unique(as_numbers(frame[[name]]))
        values = values[~np.isnan(values)]
        if len(values) < 3:
            continue
        code = None
        if values[0] in (-9, -99, -999, -9999) and values[1] >= 0:
            code = values[0]
        elif values[-1] in (999, 9999, 99999) and values[-2] < values[-1] / 2:
            code = values[-1]
        if code is not None:
            notes.append(
                f"{name} has the value {code:g}, unlike all others, and it is taken as a number; "
                "write NA if it stands for missing"
            )
    return notes


def _level_notes(frame: pd.DataFrame, split: Split, names: Sequence[str]) -> list[str]:
    unseen = []
    for name in names:
        labels = as_labels(frame[[name]])[:, 0]
        if set(labels) - set(labels[split.train]):
            unseen.append(name)
    if not unseen:
        return []
    return [f"{named(unseen)}: levels that occur in no training row count as none of its levels"]
