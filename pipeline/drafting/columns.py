"""What the columns of a table seem to be: no variables, codes, one-hot columns of one category.

Nothing here decides for a person: each is a proposal with its reason, which stands in the study
file as a comment. It has names of columns and counts, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data import Cohort
from pipeline.results import Inputs

FEWEST_CODES, MOST_CODES = 3, 12
"""Whole numbers of so many distinct values may be codes."""

_CASES = {
    "yes", "y", "true", "ja", "oui", "sí", "si", "sim", "да", "case", "cases", "patient",
    "affected", "diseased", "disease", "sick", "ill", "positive", "pos", "+", "abnormal",
    "malignant", "dead", "died", "death", "deceased", "event", "relapse", "recurrence",
}  # fmt: skip
"""Labels that are a case where the other of two is none of them; a person may say otherwise."""

_STEM = re.compile(r"^(.+?)[_.=:\s-]+([^_.=:]+)$")


@dataclass(frozen=True)
class VariableNote:
    """A variable as the study will have it: `kind` is number, category or group."""

    name: str
    kind: str
    columns: int
    missing: int


def left_out(cohort: Cohort, names: Iterable[str]) -> dict[str, str]:
    """Those of the columns that a cohort has no variable of → why."""
    variables = {column.name for column in cohort.schema.columns}
    return {
        name: cohort.left_out.get(name, "tells nobody apart").partition(";")[0]
        for name in names
        if name not in variables
    }


def likely_case(labels: Sequence[str]) -> str | None:
    """The one of two labels that means a case by the word, if just one does."""
    cases = [label for label in labels if label.strip().casefold() in _CASES]
    return cases[0] if len(cases) == 1 else None


def possible_codes(frame: pd.DataFrame, names: Iterable[str]) -> dict[str, int]:
    """Column → how many distinct values, where few whole numbers may be codes or quantities."""
    distinct_counts = {}
    for name in names:
        column = frame[name].dropna()
        if not pd.api.types.is_numeric_dtype(column.dtype) or column.dtype == bool:
            continue
        distinct = np.unique(column.to_numpy(float))
        if FEWEST_CODES <= len(distinct) <= MOST_CODES and np.all(distinct == distinct.round()):
            distinct_counts[name] = len(distinct)
    return distinct_counts


def one_hot_groups(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Stem → columns 0/1 called `stem_level`, three or more, of which no row has two.

    They are the levels of one category, so they are one variable.
    """
    by_stem: dict[str, list[str]] = {}
    for name in names:
        if match := _STEM.match(name):
            by_stem.setdefault(match.group(1), []).append(name)
    groups = {}
    for stem, members in by_stem.items():
        if len(members) < 3 or stem in frame.columns:
            continue
        numeric = [pd.api.types.is_numeric_dtype(frame[name].dtype) for name in members]
        if not all(numeric) or frame[members].isna().any(axis=None):
            continue
        values = frame[members].to_numpy(float)
        binary = np.isin(values, (0.0, 1.0)).all() and values.any(axis=0).all()
        if binary and values.sum(axis=1).max() == 1.0:
            groups[stem] = tuple(members)
    return groups


def variable_notes(
    inputs: Inputs, groups: Iterable[str], frame: pd.DataFrame
) -> list[VariableNote]:
    """The variables that a study will have, in the table's order."""
    notes = []
    for name in inputs.variable_names:
        columns = [c for c, v in zip(inputs.columns, inputs.variables) if v == name]
        plain = set(columns) <= {name, f"{name} missing"}
        kind = "group" if name in groups else "number" if plain else "category"
        missing = int(frame[name].isna().sum()) if name in frame.columns else 0
        notes.append(VariableNote(name, kind, len(columns), missing))
    return notes
