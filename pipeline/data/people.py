"""Whose row it is, where people have several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.data.table import Table, named
from pipeline.data.variables import Roles
from pipeline.errors import InputError


def people_of(table: Table, roles: Roles) -> tuple[np.ndarray | None, list[str]]:
    """((n,) whose row it is, or None for one row each; sentences).

    By the study's `person`, which must be known in every row, or else by ids where these repeat.
    """
    columns = person_columns(roles)
    if not columns:
        return None, []
    people, notes = whose_rows(table, columns), _alike(table, columns)
    if roles.person is None and people is None:
        return None, notes
    name, values = named(columns), table.frame[list(columns)]
    if rows_without := int(values.isna().any(axis=1).sum()):
        raise InputError(
            f"person must be known in every row, but {name} of {table.source} is missing in "
            f"{rows_without} of {len(values)} rows; complete them, or leave these rows out"
        )
    if roles.person is not None:
        return people, notes
    return people, [
        *notes,
        f"{name} occurs in several rows: they are taken as one person's and stay together in "
        "the split; name the column under person if that is meant",
    ]


def _alike(table: Table, columns: Sequence[str]) -> list[str]:
    """A sentence where ids of different people would be one but for capitals and leading zeros."""
    values = table.frame[list(columns)].dropna().astype(str).drop_duplicates()
    bare = values.apply(
        lambda c: c.str.strip().str.casefold().str.replace(r"^0+(?=.)", "", regex=True)
    )
    alike = len(values) - len(bare.drop_duplicates())
    if not alike:
        return []
    return [
        f"{alike} ids of {named(columns)} are another's but for capitals or zeros in front, and "
        "count as people of their own; write the ids of a person in one way if they are the same"
    ]


def person_columns(roles: Roles) -> Sequence[str]:
    """The columns of which equal values are one person."""
    return roles.identifier if roles.person is None else (roles.person,)


def whose_rows(table: Table, columns: Sequence[str]) -> np.ndarray | None:
    """(n,) integers, equal where these columns are; None where no two rows are one person's.

    A row in which one of them is missing is somebody's of whom nothing else is known.
    """
    values = table.frame[list(columns)]
    codes = values.groupby(list(columns), sort=False).ngroup().to_numpy()
    known = codes >= 0
    if len(np.unique(codes[known])) == known.sum():
        return None
    return np.where(known, codes, len(codes) + np.arange(len(codes)))
