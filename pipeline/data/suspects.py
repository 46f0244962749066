"""Columns that are no variables though they look like ones: row numbers, ids, codes for missing,
and columns that reveal the outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from pipeline.data.kinds import as_numbers
from pipeline.data.outcome import BINARY, REGRESSION, Outcome
from pipeline.data.table import Table, named
from pipeline.metrics import metrics
from pipeline.results import Inputs
from pipeline.serving import CATEGORY, NUMBER, Column, Schema, levels_of

ALMOST_PERFECT = 0.99
"""AUROC, or rank correlation with a quantity, from which on one column alone is suspicious."""

_FEW_ROWS = 20
_ID_WORDS = r"ids?|iid|eid|pid|uid|sid|mrn|ssn|guid|uuid|subject|patient|participant|person|proband"
_IDENTIFIER = re.compile(
    rf"(?:^|[\W_])(?:{_ID_WORDS})(?:[\W_]*(?:id|ids|no|nr|num|number|key|code))?$"
    r"|(?:patient|subject|person|participant|record|case|study|sample)[\W_]?id$",
    re.IGNORECASE,
)
_OF_PLACES = re.compile(
    r"site|cent(?:er|re)|hospital|clinic|school|famil|fid|batch|plate|region|country|ward|doctor|"
    r"group|class|type",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"unnamed: ?\d+|index|x\.?\d*|row.{0,7}|nr|no|num|number|#|obs", re.I)


def no_variables(
    table: Table, columns: Mapping[str, Column], keep: Sequence[str], identified: bool
) -> tuple[dict[str, str], list[str]]:
    """(row numbers and ids → why they are none, sentences on columns that may be ids too).

    keep: columns that the study wants as variables. identified: whether the study says whose rows
    are whose. Row numbers are whole numbers without gaps, in any order, or in rising order; ids are
    columns called so in which all values differ.
    """
    numbers: list[str] = []
    ids: list[str] = []
    repeated: list[str] = []
    maybe: list[str] = []
    for name, column in columns.items():
        if name in keep or column.missing:
            continue
        called_id = bool(_IDENTIFIER.search(name)) and not _OF_PLACES.search(name)
        values = table.frame[name].dropna()
        if len(values) < max(len(table.frame) - 1, _FEW_ROWS):
            continue
        if column.kind == NUMBER:
            sort = _whole_numbers(column, table, _NUMBERING.fullmatch(name) is not None, called_id)
            {"numbers": numbers, "ids": ids, "maybe": maybe}.get(sort, []).append(name)
        elif not called_id:
            continue
        distinct = values.nunique()
        if (
            called_id
            and name not in numbers + ids
            and 20 <= distinct < len(values) <= 20 * distinct
        ):
            repeated.append(name)
    keep_it = "name it under keep if not"
    dropped = dict.fromkeys(numbers, f"it numbers the rows; {keep_it}")
    dropped |= dict.fromkeys(ids, f"an id by its name; {keep_it}")
    for name in repeated:
        advice = keep_it if identified else _who(repeated[0])
        dropped[name] = f"an id that occurs in several rows; {advice}"
    if not maybe:
        return dropped, []
    return dropped, [
        f"{named(maybe)}: another whole number of many digits in every row; name it under drop "
        "if it is an id"
    ]


def _who(name: str) -> str:
    return (
        f"if rows with the same {name} are one person's, say `person: {name}` in the study "
        f"(-P person={name}), else the same people are in training and test rows"
    )


def _whole_numbers(column: Column, table: Table, called_number: bool, called_id: bool) -> str:
    """What whole numbers that all differ are: numbers, ids, maybe (ids), or "" for a quantity."""
    if not column.notation.plain or pd.api.types.is_bool_dtype(table.frame[column.name].dtype):
        return ""
    values = as_numbers(table, column)
    values = values[~np.isnan(values)]
    if np.any(values != np.round(values)) or len(np.unique(values)) < len(values):
        return ""
    span = values.max() - values.min() + 1
    rising = bool(np.all(np.diff(values) > 0))
    if span <= len(values) + 1 or (rising and (len(values) >= 0.2 * span or called_number)):
        return "numbers"
    if called_id or called_number:
        return "ids"
    digits = np.char.str_len(np.abs(values).astype(np.int64).astype(str))
    return "maybe" if digits.min() == digits.max() >= 6 else ""


_CODES_BELOW = {-1.0, -7.0, -8.0, -9.0, -77.0, -88.0, -99.0, -777.0, -888.0, -999.0, -9999.0}
_CODES_ABOVE = {77.0, 88.0, 99.0, 777.0, 888.0, 999.0, 7777.0, 8888.0, 9999.0, 99999.0}


def code_notes(table: Table, columns: Sequence[Column], target: str | None = None) -> list[str]:
    """Sentences on values that look like a code for missing: lone negatives, or far above all."""
    notes = []
    for column in columns:
        values = np.unique(as_numbers(table, column))
        codes = likely_codes(values[~np.isnan(values)])
        if not codes:
            continue
        shown, several = named(f"{code:g}" for code in codes), len(codes) > 1
        what = "an outcome" if column.name == target else "a number"
        notes.append(
            f"{column.name} has the value{'s' if several else ''} {shown}, unlike all others, and "
            f"{'each' if several else 'it'} is taken as {what}; write NA if it stands for missing, "
            f"or say `missing: [{', '.join(f'{code:g}' for code in codes)}]` in the study"
        )
    return notes


def likely_codes(values: np.ndarray) -> list[float]:
    """The values (sorted, distinct) that stand apart as codes for missing do."""
    low, high = 0, len(values)
    while low < high and values[low] in _CODES_BELOW:
        low += 1
    while high > low and values[high - 1] in _CODES_ABOVE:
        high -= 1
    others = values[low:high]
    if len(others) < 2:
        return []
    codes = list(values[:low]) if others[0] >= 0 else []
    if high < len(values) and others[-1] < values[high] / 2:
        codes += list(values[high:])
    if not codes and len(values) <= 5 and values[-1] == 9 and values[-2] <= 4 and values[0] >= 0:
        codes = [9.0]
    return codes


def tellers(
    table: Table,
    schema: Schema,
    features: np.ndarray,
    inputs: Inputs,
    outcome: Outcome,
    train: np.ndarray,
    target: str,
) -> list[str]:
    """A sentence for each variable that alone predicts the outcome on the training rows.

    features (n, p); by AUROC of two classes, by rank correlation of a quantity, and by the
    commonest class of each level or along the sorted values of several classes.
    """
    y = outcome.values[train]
    evidence: dict[str, str] = {}
    for start in range(0, features.shape[1], 256):
        block = features[train, start : start + 256]
        for i, strength in _strong(block, y, outcome.task):
            evidence.setdefault(inputs.variables[start + i], strength)
    if outcome.task != REGRESSION:
        wrong = 0.02 * (len(y) - np.bincount(y).max())
        for column in schema.columns:
            if column.kind == CATEGORY and len(column.levels) > 2:
                values = table.frame[column.name].iloc[train]
                codes, _ = levels_of(column, values, True, table.place)
                rows_by_level = pd.crosstab(codes, y).to_numpy()
                if len(y) - rows_by_level.max(axis=1).sum() <= wrong:
                    evidence.setdefault(column.name, "a class for each level")
    return [
        f"{name} alone tells {target} almost perfectly on the training rows ({strength}); name it "
        "under drop if it is known only with the outcome"
        for name, strength in evidence.items()
    ]


def _strong(block: np.ndarray, y: np.ndarray, task: str) -> list[tuple[int, str]]:
    """(position, how strong) of the columns (n, columns) that predict y almost perfectly."""
    if task == BINARY:
        values = metrics.auroc(y, block.T)
        values = np.maximum(values, 1 - values)
        return [(int(i), f"AUROC {values[i]:.3f}") for i in np.flatnonzero(values > ALMOST_PERFECT)]
    if task == REGRESSION:
        ranks, r = rankdata(block, axis=0), rankdata(y)
        ranks, r = ranks - ranks.mean(axis=0), r - r.mean()
        size = np.sqrt((ranks**2).sum(axis=0) * (r**2).sum())
        values = np.abs(r @ ranks) / np.where(size > 0, size, 1.0)
        measure = "rank correlation"
        return [
            (int(i), f"{measure} {values[i]:.3f}") for i in np.flatnonzero(values > ALMOST_PERFECT)
        ]
    classes = len(np.unique(y))
    classes_in_order = y[np.argsort(block, axis=0, kind="stable")]
    changes = (np.diff(classes_in_order, axis=0) != 0).sum(axis=0)
    most_changes = classes - 1 + 0.02 * (len(y) - np.bincount(y).max())
    return [(int(i), "a range for each class") for i in np.flatnonzero(changes <= most_changes)]
