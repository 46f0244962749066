"""The people of a table and of a PLINK fileset, joined by their ids.

Ids of people stay out of every warning that is recorded: those count, and only `named`, which is
for the terminal alone, has some of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data import Table, require_known
from pipeline.errors import InputError
from pipeline.genetics.plink import Fileset

FIRST_FEW = 5


@dataclass(frozen=True, eq=False)
class Joined:
    """Each person's row in the fileset, (N,), in the order of the table.

    table_rows   the positions in the table of the people who are in both, or None for all
    warnings     counts of people who are in only one of the two
    named        the same with the first ids, for the terminal alone
    """

    fileset: Fileset
    rows: np.ndarray
    table_rows: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def row_names(rows: int) -> list[str]:
    """Ids of the people of a table without ids: row-1, row-2 and so on, in its order."""
    return [f"row-{i}" for i in range(1, rows + 1)]


def table_ids(table: Table, column: str) -> np.ndarray:
    """(N,) text of the column of people's ids. InputError unless each has one of their own."""
    require_known([column], list(table.frame.columns), "id", table.source)
    values = table.frame[column]
    unknown = int(values.isna().sum())
    if unknown:
        raise InputError(
            f"every row must have an id, but {unknown} of {len(values)} rows have none in {column} "
            f"of {table.source}; give ids, or remove the rows"
        )
    if pd.api.types.is_float_dtype(values.dtype) and (values % 1 == 0).all():
        values = values.astype(np.int64)  # 7.0 in a Parquet file is the person 7
    ids = values.map(str).to_numpy(dtype=str)
    _check_unique(ids, f"{column} of {table.source}")
    return ids


def _check_unique(ids: np.ndarray, where: str) -> None:
    _, counts = np.unique(ids, return_counts=True)
    twice = int((counts > 1).sum())
    if twice:
        raise InputError(
            f"each person must have an id of their own, but {twice} "
            f"{'id stands' if twice == 1 else 'ids stand'} more than once in {where}; "
            "keep one row a person, or make the ids distinct"
        )


def join(table: Table, column: str | None, fileset: Fileset) -> Joined:
    """The people of both, in the table's order. Raises InputError where none is, or ids are wrong.

    Without an id column the fileset must be of the table's own rows, by the names that
    scripts/simulate_genotypes.py gives them.
    """
    _check_unique(fileset.people, f"{fileset.name}.fam")
    if column is not None:
        return _by_id(table_ids(table, column), column, table.source, fileset)
    names = row_names(len(table.frame))
    if len(names) != len(fileset.people) or set(names) != set(fileset.people):
        raise InputError(
            f"the people of {fileset.name}.fam must be found in {table.source} by an id, but the "
            "study names no column of ids; give id=COLUMN, the column that holds the second "
            "column of the .fam"
        )
    return Joined(fileset, _positions(names, fileset.people))


def _positions(wanted, people: np.ndarray) -> np.ndarray:
    place = {person: i for i, person in enumerate(people.tolist())}
    return np.array([place[person] for person in wanted], np.int64)


def _by_id(ids: np.ndarray, column: str, source: str, fileset: Fileset) -> Joined:
    common = np.isin(ids, fileset.people)
    if not common.any():
        raise InputError(
            f"{column} of {source} must hold ids of {fileset.name}.fam (its second column), but "
            f"none of {len(ids)} ids is among its {len(fileset.people)} people; check the column, "
            "zeros in front, and the fileset"
        )
    without = (
        (ids[~common], f"of {source} are not in {fileset.name}.fam"),
        (
            fileset.people[~np.isin(fileset.people, ids)],
            f"of {fileset.name}.fam are not in {source}",
        ),
    )
    warnings, named = [], []
    for people, where in without:
        if len(people):
            text = f"{len(people)} people {where}; left out"
            few = ", ".join(people[:FIRST_FEW]) + (", …" if len(people) > FIRST_FEW else "")
            warnings.append(text)
            named.append(f"{text}: {few}")
    return Joined(
        fileset,
        _positions(ids[common].tolist(), fileset.people),
        None if common.all() else np.flatnonzero(common),
        tuple(warnings),
        tuple(named),
    )
