"""Table file → `Cohort`: outcome, split, features; everything fitted on the training rows only.

A variable's columns, by its kind:

- number (0/1 codes too): itself, missing values replaced by the training median, and, if training
  rows have missing ones, an indicator `glucose missing`.
- category (text, booleans, pandas categories, numbers with leading zeros, and columns named in
  `categories`): one column a level, `education=1` …, and `education=missing` if training rows have
  missing ones; of two levels only the second has a column, `sex=male`. Levels are those of the
  training rows; any other has 0 in all of them before standardizing. Levels of fewer than
  `rare_level_people` training people are joined as `other`, with those that are unknown.

What a column is, and how its numbers are written, is decided on the whole table (`kinds.py`);
`numbers`, `missing` and `dates` say it where the table does not. Dropped with a warning are text of
which nearly every person has another (names, identifiers), constant and all-missing columns, judged
on training rows, and row numbers and ids (`suspects.py`) that `keep` does not name. Likely codes of
missing (-9, 999) get a warning, and so do columns that alone tell the outcome on training rows.

Shapes: n rows (people), p columns, g variables. `features.py` says how columns are scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.described import Described
from pipeline.data.features import (
    RARE_PEOPLE,
    distinct_columns,
    dropped_notes,
    fit_schema,
    informative,
)
from pipeline.data.files import read_table
from pipeline.data.kinds import Hints, check_finite, columns_of
from pipeline.data.outcome import BINARY, REGRESSION, Outcome, read_outcome, with_case
from pipeline.data.people import people_of
from pipeline.data.split import Split, split_rows
from pipeline.data.suspects import code_notes, no_variables, tellers
from pipeline.data.table import Table, named
from pipeline.data.variables import Roles, row_weights, wanted_columns
from pipeline.errors import InputError
from pipeline.results import Inputs
from pipeline.serving import MISSING, NUMBER, Column, Schema

__all__ = ["Cohort", "Split", "load_cohort"]


@dataclass(frozen=True, eq=False)
class Cohort:
    """People ready for a network.

    inputs        the p columns with their variables and families, in the table's order.
    features      (n, p) float32, mean 0 and variance 1 over the training rows.
    task          binary, multiclass or regression.
    outcome       (n,) integers, the position in `classes` (a case is position 1 of two), or the
                  quantities of a regression, float64 in the table's unit.
    classes       the labels as written: (0, 1), ('no', 'yes'); () of quantities. In sorted order,
                  but of two the case is the second, where the study says which it is.
    schema        learned: any table → (rows, p) features; see `pipeline.serving`.
    fingerprint   sha256 of the data file; `source` its name, never its folder.
    warnings      sentences for the reader; they name columns and no value of a person.
    roles         what the study says of the table's columns.
    row_weights   (n,) float64 of the `sample_weight` column, or None.
    people        (n,) integers, whose row it is, where people have several; else None.
    left_out      column → why it is no variable, of those that the study did not drop itself.
    described     columns in people's own values, for tables about people; they leave no process.
    """

    inputs: Inputs
    features: np.ndarray
    outcome: np.ndarray
    classes: tuple
    target: str
    split: Split
    schema: Schema
    fingerprint: str
    source: str
    warnings: tuple[str, ...]
    task: str
    roles: Roles
    row_weights: np.ndarray | None
    people: np.ndarray | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    described: tuple[Described, ...] = ()

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
    def imputed(self) -> np.ndarray:
        """(n, p) bool: cells of numbers that were missing, where the column has an indicator."""
        cells = np.zeros(self.features.shape, bool)
        of_column = {f.column: i for i, f in enumerate(self.schema.features) if f.code == 0}
        for i, feature in enumerate(self.schema.features):
            number = self.schema.columns[feature.column].kind == NUMBER
            if number and feature.code == MISSING and feature.column in of_column:
                indicator = self.features[:, i] * feature.scale + feature.center
                cells[:, of_column[feature.column]] = indicator > 0.5
        return cells

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
            **self._people_facts(parts),
            **self._outcome_facts(parts),
            "columns": len(self.inputs.columns),
            "variables": len(self.inputs.variable_names),
            **self._role_facts(),
            "data_sha256": self.fingerprint,
        }

    def _people_facts(self, parts: Mapping[str, np.ndarray]) -> dict[str, int]:
        if self.people is None:
            return {}
        each = {f"people_{part}": len(set(self.people[rows])) for part, rows in parts.items()}
        return {"people": len(set(self.people)), **each}

    def _outcome_facts(self, parts: Mapping[str, np.ndarray]) -> dict[str, int | float | str]:
        if self.task == REGRESSION:
            mean, sd = (float(f"{value:.6g}") for value in self.scale)
            return {"target_mean_train": mean, "target_sd_train": sd}
        if self.task == BINARY:
            stated = {} if self.roles.case is None else {"case": str(self.classes[1])}
            cases = {f"cases_{part}": int(self.outcome[rows].sum()) for part, rows in parts.items()}
            return {"cases": int(self.outcome.sum()), **cases, **stated}
        counts = np.bincount(self.outcome)
        counted_classes = (f"{label} ({count} rows)" for label, count in zip(self.classes, counts))
        return {
            "classes": named(counted_classes),
            "auroc": "one class against the rest, mean over classes",
        }

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
    case: bool | float | str | None = None,
    categories: Sequence[str] = (),
    drop: Sequence[str] = (),
    families: Mapping[str, Sequence[str]] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    unpenalized: Sequence[str] = (),
    sample_weight: str | None = None,
    identifier: str | Sequence[str] | None = None,
    person: str | None = None,
    keep: Sequence[str] = (),
    numbers: str | Mapping[str, str] | None = None,
    missing: Sequence[object] | Mapping[str, Sequence[object]] = (),
    dates: Sequence[str] = (),
    rare_level_people: int = RARE_PEOPLE,
    validation_fraction: float = 0.2,
    test_fraction: float = 0.2,
    split_seed: int = 0,
) -> Cohort:
    """The cohort of a `.csv`, `.csv.gz` or `.parquet` file, or of a table that was read.

    What columns become is said at the top of `cohort.py`. `task` auto is chosen from the target as
    `outcome.py` says; `case` is the label of two that is the case. `families` maps a family to its
    columns; all others are `clinical`. `groups` maps a group to columns that are one variable from
    there on. `unpenalized` names variables with penalty factor 0, `sample_weight` a column of row
    weights, `identifier` one or two of people's ids, `person` one that says whose row it is: the
    rows of a person stay together. The split is stratified by class; see `split.py`. Raises
    InputError.
    """
    ids = (identifier,) if isinstance(identifier, str) else tuple(identifier or ())
    hints = Hints(categories, _by_column(numbers), _by_column(missing), dates)
    table = data if isinstance(data, Table) else read_table(data, texts_of(hints, *ids, person))
    roles = Roles(
        target,
        categories,
        drop,
        families or {},
        groups or {},
        unpenalized,
        sample_weight,
        ids,
        person,
        keep,
        hints,
        case,
    )
    wanted = wanted_columns(table, roles)
    columns, notes = columns_of(table, wanted, hints)
    check_finite(table, list(columns.values()))
    outcome = read_outcome(table, target, task, hints)
    _check_outcome(table, target, outcome)
    weights = row_weights(table, sample_weight)
    people, about_people = people_of(table, roles)
    split = split_rows(outcome, validation_fraction, test_fraction, split_seed, people)
    outcome = with_case(table, target, outcome, case)  # the split is the same either way
    intended = {*keep, *categories, *unpenalized, *roles.group_of, *roles.family_of}
    dropped, maybe_ids = no_variables(table, columns, [*intended], people is not None)
    columns = {name: column for name, column in columns.items() if name not in dropped}
    notes = [*table.warnings, *notes, *about_people, *dropped_notes(dropped), *maybe_ids]
    fitted = _fitted(
        table, roles, columns, outcome, split, weights, people, rare_level_people, notes
    )
    return replace(fitted, left_out={**dropped, **fitted.left_out})


def texts_of(hints: Hints, *ids: str | None) -> tuple[str, ...]:
    """The columns that are read as text: codes and ids, of which a number loses leading zeros."""
    return (*hints.categories, *(name for name in ids if name is not None))


def _by_column(stated: object) -> dict:
    """What a study states of all columns (under "") or of some, as column → statement."""
    if isinstance(stated, Mapping):
        return dict(stated)
    return {"": stated} if stated else {}


def _is_number(table: Table, name: str) -> bool:
    kind = table.frame[name].dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _check_outcome(table: Table, target: str, outcome: Outcome) -> None:
    """InputError if a target of numbers has one that is infinite or too large."""
    if _is_number(table, target):
        check_finite(table, [Column(target, NUMBER)])
    elif outcome.task == REGRESSION:
        check_finite(table, [columns_of(table, [target], Hints())[0][target]])


def _fitted(
    table: Table,
    roles: Roles,
    columns: Mapping[str, Column],
    outcome: Outcome,
    split: Split,
    weights: np.ndarray | None,
    people: np.ndarray | None,
    rare: int,
    notes: list[str],
) -> Cohort:
    """The cohort of checked columns and rows; here everything is fitted that is fitted."""
    columns, dropped, joined = informative(
        table, columns, split.train, people, roles.categories, rare
    )
    notes += dropped_notes(dropped) + joined
    if not columns:
        why = "; ".join(note for note in notes if note.startswith("dropped"))
        reasons = f" ({why})" if why else ""
        raise InputError(
            f"at least one variable besides the target must be left, but {table.source} has none"
            f"{reasons}; give a table with a variable that differs "
            "between people"
        )
    schema, inputs = fit_schema(table, columns, split.train, roles.family_of, roles.group_of)
    features, unknown = _transform(schema, table, inputs)
    inputs, renamed = distinct_columns(inputs)
    numbers = [column for column in columns.values() if column.kind == NUMBER]
    if outcome.task == REGRESSION or _is_number(table, roles.target):
        numbers += [_target_column(table, roles)]
    notes += outcome.notes
    notes += code_notes(table, numbers, roles.target)
    notes += unknown
    notes += tellers(table, schema, features, inputs, outcome, split.train, roles.target)
    return Cohort(
        inputs=inputs,
        features=features,
        outcome=outcome.values,
        classes=outcome.classes,
        target=roles.target,
        split=split,
        schema=schema,
        fingerprint=table.fingerprint,
        source=table.source,
        warnings=(*notes, *renamed),
        task=outcome.task,
        roles=roles,
        row_weights=weights,
        people=people,
        left_out=dropped,
    )


def _target_column(table: Table, roles: Roles) -> Column:
    return columns_of(table, [roles.target], replace(roles.hints, categories=()))[0][roles.target]


def _transform(schema: Schema, table: Table, inputs: Inputs) -> tuple[np.ndarray, list[str]]:
    """((n, p) features of everyone, a sentence on levels that the training rows do not have)."""
    features, level_notes = schema.transform(table.frame, as_read=True, place=table.place)
    beyond = [inputs.columns[i] for i in np.flatnonzero(~np.isfinite(features).all(axis=0))]
    if beyond:
        raise InputError(
            f"numbers must be of a size, but {named(beyond)} of {table.source} has values too far "
            "from those of the training rows; correct them, or write missing values as NA"
        )
    joined = tuple(f"{column.name}: " for column in schema.columns if column.other)
    unseen = [
        note.partition(": ")[0] for note in level_notes if not (joined and note.startswith(joined))
    ]
    if not unseen:
        return features, []
    return features, [
        f"{named(unseen)}: levels that occur in no training row count as none of its levels"
    ]
