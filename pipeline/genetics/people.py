"""The people of a table and of a PLINK fileset, joined by their ids.

A person's id is the second column of the .fam, within the family of the first; where ids are unique
within families only, both columns are the id. Ids of people stay out of every warning that is
recorded: those count, and only `named`, which is for the terminal alone, has some of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data import Table, require_known
from pipeline.errors import InputError
from pipeline.serving import (
    AUTOSOMES,
    BETWEEN,
    SEX_AND_MITOCHONDRIA,
    Fileset,
    id_texts,
    joint_ids,
    row_names,
)

FIRST_FEW = 5
CONTIGS_NAMED = 3


@dataclass(frozen=True, eq=False)
class Joined:
    """Each person's row in the fileset, (N,), in the order of the table.

    table_rows   the positions in the table of the people who are in both, or None for all
    warnings     counts of people who are in only one of the two, and of variants not to be used
    named        the same with the first ids, for the terminal alone
    """

    fileset: Fileset
    rows: np.ndarray
    table_rows: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


def id_columns(column: str | Sequence[str] | None) -> tuple[str, ...]:
    """The columns of ids: none, the within-family id, or those of family and within-family id.

    As text, two are separated by a comma: `FID,IID`.
    """
    if column is None:
        return ()
    return tuple(n.strip() for n in column.split(",")) if isinstance(column, str) else tuple(column)


def table_ids(
    table: Table, column: str | Sequence[str], *, several_rows: bool = False
) -> np.ndarray:
    """(N,) text of the people's ids; of two columns, family and id with BETWEEN between.

    several_rows: a person may have several. InputError where an id is missing, or else stands
    twice.
    """
    columns = id_columns(column)
    require_known(columns, list(table.frame.columns), "id", table.source)
    texts = [_texts(table, name) for name in columns]
    ids = texts[0] if len(texts) == 1 else joint_ids(*texts)
    if not several_rows:
        _check_unique(ids, f"{' and '.join(columns)} of {table.source}")
    return ids


def _texts(table: Table, column: str) -> np.ndarray:
    """(N,) text of a column of ids, without blanks around."""
    values = table.frame[column]
    unknown = int(values.isna().sum())
    if unknown:
        raise InputError(
            f"every row must have an id, but {unknown} of {len(values)} rows have none in {column} "
            f"of {table.source}; give ids, or remove the rows"
        )
    return id_texts(values)


def _repeated(ids: np.ndarray) -> int:
    """How many ids stand more than once."""
    index = pd.Index(ids)
    return int(index[index.duplicated()].nunique())


def _check_unique(ids: np.ndarray, where: str, instead: str = "") -> None:
    repeated = _repeated(ids)
    if repeated:
        advice = instead or "keep one row a person, or make the ids distinct"
        raise InputError(
            f"each person must have a different id, but {repeated} "
            f"{'id stands' if repeated == 1 else 'ids stand'} more than once in {where}; {advice}"
        )


def fileset_ids(fileset: Fileset, columns: int) -> np.ndarray:
    """(N,) ids of a fileset's people as `table_ids` gives those of a table of so many columns.

    Raises InputError unless each is another.
    """
    if columns == 2:
        ids = joint_ids(fileset.families, fileset.people)
        _check_unique(ids, f"the first two columns of {fileset.name}.fam")
        return ids
    instead = ""
    if _repeated(fileset.people) and not _repeated(joint_ids(fileset.families, fileset.people)):
        instead = (
            "they are unique within families, so name two columns of the table, that of the "
            "first and that of the second column of the .fam: id=FID,IID"
        )
    _check_unique(fileset.people, f"{fileset.name}.fam", instead)
    return fileset.people


def join(
    table: Table,
    column: str | Sequence[str] | None,
    fileset: Fileset,
    *,
    several_rows: bool = False,
) -> Joined:
    """The people of both, in the table's order. Raises InputError where none is, or ids are wrong.

    column: of people's ids, or the two columns of family and within-family id. Without, the fileset
    must be of the table's rows, by the names that scripts/simulate_genotypes.py gives them.
    several_rows: a person may have several rows of the table, all of them with the one genotype.
    """
    columns = id_columns(column)
    people = fileset_ids(fileset, len(columns))
    if columns:
        ids = table_ids(table, columns, several_rows=several_rows)
        return _by_id(ids, " and ".join(columns), table.source, fileset, people)
    names = row_names(len(table.frame))
    if len(names) != len(people) or set(names) != set(people):
        raise InputError(
            f"the people of {fileset.name}.fam must be found in {table.source} by an id, but the "
            "study names no column of ids; give id=COLUMN, the column that holds the second "
            "column of the .fam, or id=FID,IID, the columns that hold its first two"
        )
    warnings = _variant_warnings(fileset)
    return Joined(fileset, _positions(names, people), None, warnings, warnings)


def _positions(wanted: Sequence[str] | np.ndarray, people: np.ndarray) -> np.ndarray:
    return pd.Index(people).get_indexer(pd.Index(wanted, dtype=object)).astype(np.int64)


def _by_id(
    ids: np.ndarray, column: str, source: str, fileset: Fileset, people: np.ndarray
) -> Joined:
    fileset_rows = _positions(ids, people)
    common = fileset_rows >= 0
    if not common.any():
        which = "its first two columns" if BETWEEN in people[0] else "its second column"
        raise InputError(
            f"{column} of {source} must hold ids of {fileset.name}.fam ({which}), but "
            f"none of {len(ids)} ids is among its {len(people)} people; check the column, "
            "zeros in front, and the fileset"
        )
    fileset_only = np.ones(len(people), bool)
    fileset_only[fileset_rows[common]] = False
    warnings, named = [], []
    for missing, where in (
        (pd.unique(ids[~common]), f"of {source} are not in {fileset.name}.fam"),
        (people[fileset_only], f"of {fileset.name}.fam are not in {source}"),
    ):
        if len(missing):
            text = f"{len(missing)} people {where}; left out"
            first = ", ".join(person.replace(BETWEEN, " ") for person in missing[:FIRST_FEW])
            warnings.append(text)
            named.append(f"{text}: {first}" + (", …" if len(missing) > FIRST_FEW else ""))
    about_variants = _variant_warnings(fileset)
    return Joined(
        fileset,
        fileset_rows[common],
        None if common.all() else np.flatnonzero(common),
        (*warnings, *about_variants),
        (*named, *about_variants),
    )


def _variant_warnings(fileset: Fileset) -> tuple[str, ...]:
    """Variants that are left out for their chromosome, and those of which it is not known."""
    chromosomes = pd.Series(fileset.variants.chromosome, dtype=object)
    counts = chromosomes.value_counts()
    sentences = []
    left_out = [f"{counts[name]} of {name}" for name in SEX_AND_MITOCHONDRIA if name in counts]
    if left_out:
        total = int((~fileset.variants.autosomal).sum())
        sentences.append(
            f"{total} of {len(chromosomes)} variants of {fileset.name} are not on an autosome and "
            f"are left out: {', '.join(left_out)}"
        )
    unknown = counts[[name not in (*AUTOSOMES, *SEX_AND_MITOCHONDRIA) for name in counts.index]]
    if len(unknown):
        first = ", ".join(str(name) for name in unknown.index[:CONTIGS_NAMED])
        more = ", …" if len(unknown) > CONTIGS_NAMED else ""
        sentences.append(
            f"{int(unknown.sum())} of {len(chromosomes)} variants of {fileset.name} are on no "
            f"numbered chromosome ({first}{more}); they are taken as autosomal"
        )
    return tuple(sentences)
