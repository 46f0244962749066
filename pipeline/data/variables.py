"""Which columns of a table are variables, and what the study says of them: roles and groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.data.features import plain_value
from pipeline.data.kinds import Hints, as_numbers, columns_of
from pipeline.data.table import Table, named, require_known
from pipeline.errors import InputError
from pipeline.serving import NUMBER

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are, by name.

    groups       name → columns that are one variable to the penalty and in all counts.
    unpenalized  variables (columns without a group, or groups) with penalty factor 0.
    weight       the column of row weights, which is no variable.
    identifier   the columns of people's ids, which are no variables.
    person       the column that says whose row it is, where people have several.
    keep         variables though they look like row numbers or ids.
    hints        how the table is written, where the study says it.
    case         the label that is the case of a binary outcome, where the study says it.
    """

    target: str
    categories: Sequence[str] = ()
    drop: Sequence[str] = ()
    families: Columns = field(default_factory=dict)
    groups: Columns = field(default_factory=dict)
    unpenalized: Sequence[str] = ()
    weight: str | None = None
    identifier: Sequence[str] = ()
    person: str | None = None
    keep: Sequence[str] = ()
    hints: Hints = field(default_factory=Hints)
    case: bool | float | str | None = None

    @property
    def family_of(self) -> dict[str, str]:
        """Column → its family, where it is not `clinical`."""
        return _owners(self.families)

    @property
    def group_of(self) -> dict[str, str]:
        """Column → its group, where it has one."""
        return _owners(self.groups)


def _owners(members: Columns) -> dict[str, str]:
    return {column: name for name, columns in members.items() for column in columns}


def wanted_columns(table: Table, roles: Roles) -> list[str]:
    """The table's columns that are to be variables; InputError if any name given does not fit."""
    known = list(table.frame.columns)
    no_variable = {roles.target: "target"}
    require_known([roles.target], known, "target", table.source)
    if roles.weight is not None:
        require_known([roles.weight], known, "sample_weight", table.source)
        if roles.weight == roles.target:
            raise InputError(
                f"sample_weight must name another column than the target, but both are "
                f"{roles.target}; choose another"
            )
        no_variable[roles.weight] = "sample_weight"
    for identifier in roles.identifier:
        require_known([identifier], known, "id", table.source)
        if identifier in no_variable:
            raise InputError(
                f"id must name a column of its own, but {identifier} is the "
                f"{no_variable[identifier]}; choose another"
            )
        no_variable[identifier] = "id"
    if roles.person is not None:
        require_known([roles.person], known, "person", table.source)
        if no_variable.get(roles.person, "id") != "id":
            raise InputError(
                f"person must name a column of its own, but {roles.person} is the "
                f"{no_variable[roles.person]}; choose another"
            )
        no_variable[roles.person] = "person"
    no_variable |= dict.fromkeys(set(table.indexes) - no_variable.keys(), "stored index")
    for role, names in (
        ("categories", roles.categories),
        ("dates", roles.hints.dates),
        ("keep", roles.keep),
    ):
        _check_listed(role, names, known, no_variable, table)
    for role, mapping in (("numbers", roles.hints.numbers), ("missing", roles.hints.missing)):
        require_known([name for name in mapping if name], known, role, table.source)
    require_known(roles.drop, known, "drop", table.source)
    if roles.target in roles.drop:
        raise _no_variable("drop", roles.target, "target")
    for key, members in (("family", roles.families), ("group", roles.groups)):
        for name, columns in members.items():
            _check_listed(f"{key} {name}", columns, known, no_variable, table)
        _check_one_owner(key, members)
    wanted = [name for name in known if name not in no_variable and name not in roles.drop]
    _check_groups(roles, wanted, known)
    _check_unpenalized(roles, wanted, table)
    return wanted


def _check_listed(
    role: str, names: Iterable[str], known: Sequence[str], others: Mapping[str, str], table: Table
) -> None:
    require_known(names, known, role, table.source)
    for name in names:
        if name in others:
            raise _no_variable(role, name, others[name])


def _no_variable(role: str, name: str, other: str) -> InputError:
    return InputError(
        f"the {other} must be no variable, but {role} names {name}; take it out of {role}"
    )


def _check_one_owner(what: str, members: Columns) -> None:
    columns = [name for names in members.values() for name in dict.fromkeys(names)]
    twice = [name for name in dict.fromkeys(columns) if columns.count(name) > 1]
    if twice:
        raise InputError(
            f"a variable must belong to one {what}, but {named(twice)} is in several; keep one"
        )


def _check_groups(roles: Roles, wanted: Sequence[str], known: Sequence[str]) -> None:
    """Groups have names of their own, no dropped column, and columns of one family."""
    family_of = roles.family_of
    for name, columns in roles.groups.items():
        if name in known:
            raise InputError(
                f"a group must have a name that no column has, but {name} is a column too; "
                "rename the group"
            )
        dropped = [column for column in columns if column not in wanted]
        if dropped:
            raise InputError(
                f"a group must consist of variables, but group {name} has {named(dropped)}, which "
                "the study drops; take it out of the group or of drop"
            )
        families = {column: family_of.get(column, "clinical") for column in columns}
        if len(set(families.values())) > 1:
            members = named(f"{column} in {family}" for column, family in families.items())
            raise InputError(
                f"the columns of a group must be of one family, but group {name} has {members}; "
                "change families or groups"
            )


def _check_unpenalized(roles: Roles, wanted: Sequence[str], table: Table) -> None:
    group_of = roles.group_of
    inside = [name for name in roles.unpenalized if name in group_of]
    if inside:
        raise InputError(
            "the columns of a group must share one penalty, but unpenalized names "
            f"{named(inside)} of group {group_of[inside[0]]}; name the group, or take it out"
        )
    variables = [*(name for name in wanted if name not in group_of), *roles.groups]
    require_known(roles.unpenalized, variables, "unpenalized", table.source, "a variable")


def row_weights(table: Table, column: str | None) -> np.ndarray | None:
    """(n,) float64 of the weights' column. Raises InputError unless all are finite and above 0."""
    if column is None:
        return None
    try:
        described = columns_of(table, [column], Hints())[0][column]
        values = as_numbers(table, described) if described.kind == NUMBER else None
    except InputError:
        values = None
    if values is None:
        values = np.full(len(table.frame), np.nan)
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        value = table.frame[column].astype(object).iloc[wrong[0]]
        shown = "missing" if pd.isna(value) else repr(plain_value(value))
        raise InputError(
            f"sample weights must be finite numbers above 0, but {column} of {table.source} has "
            f"{shown} in {table.place(wrong[0])} "
            f"({len(wrong)} such {'row' if len(wrong) == 1 else 'rows'}); correct or remove "
            f"{'it' if len(wrong) == 1 else 'them'}"
        )
    return values
