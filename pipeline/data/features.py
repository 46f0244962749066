"""Columns of a table → the features of a network: impute, one-hot encode, standardize.

What is fitted here, on the training rows alone, is a `Schema`; it is applied in `pipeline.serving`,
to this table as to any later one.

Scale: every column, be it a quantity, a 0/1 code, a one-hot level or a missing-indicator, is
centered and divided by its standard deviation (that of n, not n − 1) over the training rows. Then
one first-layer weight means the same for all: the effect of one standard deviation. It is what the
penalties and the heat maps compare. The price: the few ones of a rare code become large values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from pipeline.data.table import Table, named
from pipeline.results import Inputs
from pipeline.serving import (
    MISSING,
    NUMBER,
    Column,
    Feature,
    Schema,
    as_number,
    levels_of,
    numbers_of,
    plain_text,
)

RARE_PEOPLE = 5
"""Levels of fewer training people than this are joined: they could tell who somebody is."""

OTHER = "other"
_BLOCK = 64


def plain_value(value: object) -> object:
    """A plain Python value, whole numbers as integers: 1.0 → 1."""
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def varies(values: np.ndarray) -> np.ndarray:
    """(columns,) whether each column of (n, columns) numbers differs by more than rounding."""
    return np.ptp(values, axis=0) > 1e-9 * np.abs(values).max(axis=0)


def sorted_levels(labels: Sequence[str]) -> list[str]:
    """Distinct labels, numbers first and by size, then text by alphabet."""

    def key(label: str) -> tuple[int, float, str]:
        number = as_number(label)
        return (1, 0.0, label) if number is None else (0, number, label)

    return sorted(set(labels), key=key)


@dataclass(frozen=True)
class Learned:
    """A column's description after the training rows were seen; None in place of it where they
    cannot be told apart by it, and why."""

    column: Column | None
    reason: str = ""


MISSING_THROUGHOUT = "missing in every training row"
CONSTANT = "the same in every training row"
TOO_ALIKE = "whole numbers too large to be told apart as quantities (an id?)"
NAMES = "text that differs between most people (a name or identifier?)"


def learn(
    table: Table,
    column: Column,
    train: np.ndarray,
    people: np.ndarray | None,
    declared: bool,
    rare: int = RARE_PEOPLE,
) -> Learned:
    """A column with its median or its levels, from the rows `train`.

    people (n,) are whose rows they are, None for one row each. A level of fewer than `rare` people
    is joined with others to one more level, and its name is kept nowhere.
    """
    values = table.frame[column.name].iloc[train]
    if column.kind == NUMBER:
        numbers = numbers_of(column, values, lambda row: table.place(int(train[row])))
        known = numbers[~np.isnan(numbers)]
        if not len(known):
            return Learned(None, MISSING_THROUGHOUT)
        if len(known) == len(train) and not varies(known[:, None])[0]:
            return Learned(None, TOO_ALIKE if values.nunique() > 1 else CONSTANT)
        median = float(np.median(known))
        return Learned(replace(column, median=median, has_missing=len(known) < len(train)))
    labels = [label for label in _labels(values) if not column.means_missing(label)]
    described = replace(column, levels=tuple(labels))
    codes, _ = levels_of(described, values, True, table.place)
    known = int(np.sum(codes >= 0))
    distinct = len(set(codes[codes >= 0].tolist()))
    if known == 0:
        return Learned(None, MISSING_THROUGHOUT)
    if distinct + (known < len(train)) == 1:
        return Learned(None, CONSTANT)
    if not declared and distinct > 50 and distinct > known / 2:
        return Learned(None, NAMES)
    counts = _people_of_each(codes, None if people is None else people[train], len(labels))
    frequent = [label for label, count in zip(labels, counts) if count >= rare]
    if {label.casefold() for label in labels} <= {"true", "false"}:
        frequent = labels
    if not frequent:
        return Learned(None, NAMES)
    other = int(np.sum(counts > 0)) > len(frequent)
    if other:  # a level that is called other is where the rare ones go
        frequent = [label for label in frequent if label != OTHER]
    levels = tuple(sorted_levels(frequent))
    return Learned(replace(column, levels=levels, other=other, has_missing=known < len(train)))


def _labels(values: pd.Series) -> list[str]:
    """The distinct values of a category as texts, whole numbers without a point."""
    distinct = pd.unique(values.astype(object).dropna())
    return list(dict.fromkeys(plain_text(value) for value in distinct))


def _people_of_each(codes: np.ndarray, people: np.ndarray | None, levels: int) -> np.ndarray:
    """(levels,) how many people have each level; people (n,) None for one row each."""
    known = codes >= 0
    if people is None:
        return np.bincount(codes[known], minlength=levels)
    pairs = pd.DataFrame({"code": codes[known], "person": people[known]}).drop_duplicates()
    return np.bincount(pairs["code"], minlength=levels)


def fit_schema(
    table: Table,
    columns: Mapping[str, Column],
    train: np.ndarray,
    family_of: Mapping[str, str],
    group_of: Mapping[str, str] | None = None,
) -> tuple[Schema, Inputs]:
    """(schema, the p columns it gives) from the rows `train`, for columns that were learned.

    family_of maps columns to families other than `clinical`. group_of maps them to the user's
    groups: the variable of their columns is then the group, and all its columns stand where its
    first one does. Column names may repeat; see `distinct_columns`.
    """
    group_of = group_of or {}
    place = {name: i for i, name in enumerate(columns)}
    first: dict[str, int] = {}
    for name in columns:
        first.setdefault(group_of.get(name, name), place[name])
    order = sorted(columns, key=lambda name: (first[group_of.get(name, name)], place[name]))
    features: list[Feature] = []
    for start in range(0, len(order), _BLOCK):
        block = [(place[name], columns[name]) for name in order[start : start + _BLOCK]]
        features += _fitted_features(table, block, train)
    owners = [list(columns)[feature.column] for feature in features]
    inputs = Inputs(
        tuple(feature.name for feature in features),
        tuple(group_of.get(name, name) for name in owners),
        tuple(family_of.get(name, "clinical") for name in owners),
    )
    return Schema(tuple(columns.values()), tuple(features)), inputs


def _fitted_features(
    table: Table, block: Sequence[tuple[int, Column]], train: np.ndarray
) -> list[Feature]:
    """The features of some columns with their centers and scales; constant ones are left out.

    A feature can be constant though its column is not: a code that is 1 or missing.
    """
    described = [(i, code, name) for i, c in block for code, name in _codes_and_names(c)]
    encoded = np.empty((len(train), len(described)), order="F")
    raw = Schema(
        tuple(column for _, column in block),
        tuple(
            Feature(name, k, code, 0.0, 1.0)
            for k, (_, column) in enumerate(block)
            for code, name in _codes_and_names(column)
        ),
    )
    rows = table.frame[[column.name for _, column in block]].iloc[train]
    everything = range(len(described))
    for i, values in raw.encoded(rows, as_read=True, place=table.place, only=everything, notes=[]):
        encoded[:, i] = values
    differs = np.flatnonzero(varies(encoded))
    if not len(differs):
        return []
    scaler = StandardScaler().fit(encoded[:, differs])
    return [
        Feature(described[i][2], described[i][0], described[i][1], float(center), float(scale))
        for i, center, scale in zip(differs, scaler.mean_, scaler.scale_, strict=True)
    ]


def _codes_and_names(column: Column) -> list[tuple[int, str]]:
    """(code, name) of a column's features: a category of two levels has one, the second's."""
    if column.kind == NUMBER:
        missing = [(MISSING, f"{column.name} missing")] if column.has_missing else []
        return [(0, column.name), *missing]
    levels = [(i, f"{column.name}={level}") for i, level in enumerate(column.levels)]
    if column.other:
        levels.append((len(column.levels), f"{column.name}={OTHER}"))
    if len(levels) <= 2:
        levels = levels[1:]
    return [*levels, *([(MISSING, f"{column.name}=missing")] if column.has_missing else [])]


def distinct_columns(inputs: Inputs) -> tuple[Inputs, list[str]]:
    """Inputs whose columns have distinct names, and a sentence for each that was renamed.

    Level `c` of a variable `a=b` and level `b=c` of `a` would both be called `a=b=c`.
    """
    wanted, used, notes = set(inputs.columns), {}, []
    for column, variable in zip(inputs.columns, inputs.variables, strict=True):
        name, number = column, 2
        while name in used or (name != column and name in wanted):
            name, number = f"{column} ({number})", number + 1
        if name != column:
            notes.append(f"a column of {variable} is called {name}, as there is another {column}")
        used[name] = variable
    return Inputs(tuple(used), inputs.variables, inputs.families), notes


def informative(
    table: Table,
    columns: Mapping[str, Column],
    train: np.ndarray,
    people: np.ndarray | None,
    declared: Sequence[str],
    rare: int = RARE_PEOPLE,
) -> tuple[dict[str, Column], dict[str, str], list[str]]:
    """(columns that tell training rows apart, learned; the others → why not; sentences)."""
    kept: dict[str, Column] = {}
    reason_of: dict[str, str] = {}
    for name, column in columns.items():
        learned = learn(table, column, train, people, name in declared, rare)
        if learned.column is None:
            reason_of[name] = learned.reason
        else:
            kept[name] = learned.column
    reasons = (MISSING_THROUGHOUT, CONSTANT, TOO_ALIKE, NAMES)
    dropped = {n: why for why in reasons for n, own in reason_of.items() if own == why}
    joined = [name for name, column in kept.items() if column.other]
    notes = variant_notes(kept)
    if not joined:
        return kept, dropped, notes
    return (
        kept,
        dropped,
        [
            f"{named(joined)}: levels of fewer than {rare} training people are joined as {OTHER}",
            *notes,
        ],
    )


def same_answer(text: str) -> str:
    """What two ways to write one answer have in common: no capitals, single spaces, 1 for true."""
    bare = " ".join(text.casefold().split())
    return {"true": "1", "false": "0"}.get(bare, bare)


def variant_notes(columns: Mapping[str, Column]) -> list[str]:
    """A sentence for categories that have one answer written in several ways: in other letters'
    case, with other spaces, or TRUE beside 1. They stay as they are: alleles a and A differ."""
    several = []
    for name, column in columns.items():
        if len({same_answer(level) for level in column.levels}) < len(column.levels):
            several.append(name)
    if not several:
        return []
    return [
        f"{named(several)}: levels that differ only in capitals or spaces, or TRUE beside 1, are "
        "levels of their own; write them alike if they are the same answer"
    ]


def dropped_notes(dropped: Mapping[str, str]) -> list[str]:
    """A sentence for each reason, `dropped a and b: the same in every training row`."""
    by_reason: dict[str, list[str]] = {}
    for name, why in dropped.items():
        by_reason.setdefault(why, []).append(name)
    return [f"dropped {named(names)}: {why}" for why, names in by_reason.items()]
