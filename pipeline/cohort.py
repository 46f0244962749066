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
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from pipeline.errors import InputError
from pipeline.features import as_labels, distinct_columns, fit_features, plain_value, varies
from pipeline.results import Inputs
from pipeline.table import (
    CATEGORY,
    NUMBER,
    Table,
    as_numbers,
    check_finite,
    kind_of,
    named,
    read_table,
    require_known,
)

CASES_PER_PART = 2  # fewer, and an AUROC hangs on one person
_SELF_EXPLAINING = ((0, 1), (1, 2), (False, True), ("n", "y"), ("no", "yes"), ("false", "true"))


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of rows: sorted, disjoint, and together all n."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, eq=False)
class Cohort:
    """People ready for a network.

    inputs        the p columns with their variables and families, in the table's order.
    features      (n, p) float32, mean 0 and variance 1 over the training rows.
    outcome       (n,) integers, the position in `classes`; a case is position 1.
    classes       the two labels as written, in sorted order: (0, 1), ('no', 'yes').
    preprocessor  fitted: a table as `read_table` gives it → (rows, p) float64 features.
    fingerprint   sha256 of the data file; `source` its name, never its folder.
    warnings      sentences for the reader; they name columns and no value of a person.
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
    warnings: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, int | str]:
        """Counts: rows and cases, whole and by part, columns and variables; and the sha256."""
        parts = {
            "train": self.split.train,
            "validation": self.split.validation,
            "test": self.split.test,
        }
        return {
            "rows": len(self.outcome),
            **{f"rows_{part}": len(rows) for part, rows in parts.items()},
            "cases": int(self.outcome.sum()),
            **{f"cases_{part}": int(self.outcome[rows].sum()) for part, rows in parts.items()},
            "columns": len(self.inputs.columns),
            "variables": len(self.inputs.variable_names),
            "data_sha256": self.fingerprint,
        }


def load_cohort(
    data: str | Path,
    target: str,
    *,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    families: Mapping[str, Sequence[str]] | None = None,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Cohort:
    """The cohort of a `.csv`, `.csv.gz` or `.parquet` file with a binary outcome.

    A variable's columns, by its kind:
    - number (0/1 codes too): itself, missing values replaced by the training median, and, if
      training rows have missing ones, an indicator `glucose missing`.
    - category (text, booleans, pandas categories, and columns named in `categories`): one column a
      level, `education=1` …, and `education=missing` if training rows have missing ones; of two
      levels only the second has a column, `sex=male`. Levels are those of the training rows; any
      other has 0 in all of them before standardising.
    Text with more than 50 distinct values, more than half of all (names, identifiers), constant
    and all-missing columns are dropped with a warning; all four are judged on training rows.
    Codes that stand for missing (-9, 999) cannot be known; likely ones get a warning.

    `families` maps a family to its variables; all others are `clinical`. The split is stratified
    and depends on the order of outcomes, the fractions and `split_seed` alone. Raises InputError.
    """
    table = read_table(data)
    wanted = _wanted_columns(table, target, categories, drop, families)
    kinds = {name: kind_of(table, name, declared=name in categories) for name in wanted}
    check_finite(table, [*wanted, target])
    outcome, classes = _outcome(table, target)
    split = _split(outcome, validation_fraction, test_fraction, split_seed)

    train = table.frame.iloc[split.train]
    kinds, notes = _informative(train, kinds, categories, table.source)
    preprocessor, inputs = fit_features(train, kinds, _family_of(families or {}))
    features = _transform(preprocessor, table, inputs)
    notes += _class_notes(target, classes)
    notes += _code_notes(table.frame, [name for name in kinds if kinds[name] == NUMBER])
    notes += _level_notes(table.frame, split, [name for name in kinds if kinds[name] == CATEGORY])
    inputs, renamed = distinct_columns(inputs)
    return Cohort(
        inputs=inputs,
        features=features,
        outcome=outcome,
        classes=classes,
        target=target,
        split=split,
        preprocessor=preprocessor,
        fingerprint=table.fingerprint,
        source=table.source,
        warnings=(*notes, *renamed),
    )


def _wanted_columns(
    table: Table,
    target: str,
    categories: Sequence[str],
    drop: Sequence[str],
    families: Mapping[str, Sequence[str]] | None,
) -> list[str]:
    """The table's columns that are to be variables; InputError if any name given does not fit."""
    known = list(table.frame.columns)
    require_known([target], known, "target", table.source)
    for role, names in (("categories", categories), ("drop", drop)):
        require_known(names, known, role, table.source)
        if target in names:
            raise InputError(
                f"the target must be no variable, but {role} names {target}; take it out of {role}"
            )
    for family, names in (families or {}).items():
        require_known(names, known, f"family {family}", table.source)
    members = [name for names in (families or {}).values() for name in dict.fromkeys(names)]
    twice = [name for name in dict.fromkeys(members) if members.count(name) > 1]
    if twice:
        raise InputError(
            f"a variable must belong to one family, but {named(twice)} is in several; keep one"
        )
    return [name for name in known if name != target and name not in drop]


def _outcome(table: Table, target: str) -> tuple[np.ndarray, tuple]:
    """((n,) positions in the classes, the two classes in sorted order)."""
    column = table.frame[target]
    if missing := int(column.isna().sum()):
        raise InputError(
            f"the target must be known in every row, but {target} of {table.source} is missing in "
            f"{missing} of {len(column)} rows; remove these rows or complete them"
        )
    kind_of(table, target, declared=True)  # refuses what has no labels
    codes, values = pd.factorize(column.astype(object))
    if len(values) == 1:
        raise InputError(
            f"the target must have two classes, but {target} of {table.source} has one value in "
            "all rows; take another target, or rows of the other class too"
        )
    if len(values) != 2:
        raise InputError(
            f"the target must have exactly 2 distinct values, but {target} of {table.source} has "
            f"{len(values)}; take another target, or recode it to 0 and 1"
        )
    labels = [plain_value(value) for value in values]
    try:
        order = sorted(range(2), key=lambda i: labels[i])
    except TypeError:  # text and a number
        order = sorted(range(2), key=lambda i: str(labels[i]))
    return np.argsort(order)[codes].astype(np.int64), tuple(labels[i] for i in order)


def _split(
    outcome: np.ndarray, validation_fraction: float, test_fraction: float, split_seed: int
) -> Split:
    if not (validation_fraction > 0 < test_fraction and validation_fraction + test_fraction < 1):
        raise InputError(
            "validation and test fractions must be above 0 and sum to less than 1, but got "
            f"{validation_fraction} and {test_fraction}; choose smaller ones, such as 0.2 and 0.2"
        )
    if not 0 <= split_seed < 2**32:
        raise InputError(
            f"the split's seed must be at least 0 and below 2^32, but got {split_seed}; "
            "choose another"
        )
    n_rows = len(outcome)
    test_rows, validation_rows = (round(n_rows * f) for f in (test_fraction, validation_fraction))
    counts = np.bincount(outcome, minlength=2)
    too_few = InputError(
        f"training, validation and test rows must each have at least {CASES_PER_PART} rows of each "
        f"class, but the smaller class has {counts.min()} of {n_rows} rows, too few for parts of "
        f"{n_rows - test_rows - validation_rows}, {validation_rows} and {test_rows} rows; "
        "add rows of that class, or make the smallest part larger"
    )
    try:
        rest, test = train_test_split(
            np.arange(n_rows), test_size=test_rows, stratify=outcome, random_state=split_seed
        )
        train, validation = train_test_split(
            rest, test_size=validation_rows, stratify=outcome[rest], random_state=split_seed
        )
    except ValueError:
        raise too_few from None
    for part in (train, validation, test):
        if np.bincount(outcome[part], minlength=2).min() < CASES_PER_PART:
            raise too_few
    return Split(np.sort(train), np.sort(validation), np.sort(test))


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


def _family_of(families: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {name: family for family, names in families.items() for name in names}


def _class_notes(target: str, classes: tuple) -> list[str]:
    lowered = tuple(c.lower() if isinstance(c, str) else c for c in classes)
    if lowered in _SELF_EXPLAINING:
        return []
    note = (
        f"a case is {target} = {classes[1]}, the second of {classes[0]} and {classes[1]} in sorted "
        "order; code it 0 and 1 if the other is meant"
    )
    return [note]


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
