"""The genetic dimensions of a table's people, from a PLINK fileset or from columns of variants.

What a kept model needs to take genotypes by itself. In a fileset people are found by the columns of
ids of the model's study, or, where that had none, by their place: row-1, row-2 and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import InputError
from .fileset import Fileset, open_fileset
from .variant_scores import (
    VariantWeights,
    columns_of_variants,
    load_variant_weights,
    scores_of_copies,
    scores_of_fileset,
)

NO_GENOTYPES = "none"
COPIES = "variants"
"""A column of mappings, a variant's id → copies of its allele 1: any number of variants in one."""

BETWEEN = "\t"
"""Stands between family and within-family id, and can stand in neither."""

FEW_VARIANTS = 1000
"""Up to so many variants of a model are columns of its signature, by their ids."""


def id_texts(values: pd.Series) -> np.ndarray:
    """(N,) a column of ids as text without blanks around; a number such as 7.0 is the id 7."""
    if pd.api.types.is_float_dtype(values.dtype) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return np.array(["" if pd.isna(v) else str(v).strip() for v in values], object)


def joint_ids(families: np.ndarray, people: np.ndarray) -> np.ndarray:
    """(N,) family and within-family id in one text."""
    ids = [f"{family}{BETWEEN}{person}" for family, person in zip(families, people, strict=True)]
    return np.array(ids, object)


def row_names(rows: int) -> list[str]:
    """Ids of the people of a table without ids: row-1, row-2 and so on, in its order."""
    return [f"row-{i}" for i in range(1, rows + 1)]


def genetic_dimensions(
    weights: Path, table: pd.DataFrame, genotypes: str, ids: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """((N, d) dimensions, of the table's index; sentences): a row a person of the table.

    weights    the file of the model's weights of variants
    genotypes  a fileset's prefix, or `none`: then the variants are columns of the table by their
               ids, or a column `variants` of mappings
    ids        the columns of people's ids: one, or those of family and within-family id

    Who is not in the fileset has no dimensions (NaN). Raises InputError.
    """
    loaded = load_variant_weights(weights)
    if genotypes != NO_GENOTYPES:
        fileset = open_fileset(genotypes)
        return _of_fileset(loaded, fileset, table, ids)
    copies = copies_of(loaded, table)
    if copies is None:
        by_id = f" and the column {' and '.join(ids)}" if ids else ""
        raise InputError(
            "the model uses genotypes, but the table has none; give the parameter genotypes, the "
            f"prefix of a PLINK fileset of these people{by_id}, or columns of variants by their "
            f"ids, or a column {COPIES} of mappings from ids to copies of allele 1"
        )
    found = scores_of_copies(loaded, copies)
    return found.dimensions.set_axis(table.index), found.warnings


def copies_of(weights: VariantWeights, table: pd.DataFrame) -> pd.DataFrame | None:
    """The columns of variants that a table has, or those of its column of mappings, else None."""
    where = columns_of_variants(weights, list(table.columns))
    if where:
        return table[[name for name, _ in where.values()]]
    if COPIES not in table.columns:
        return None
    mappings = table[COPIES].tolist()
    if not any(isinstance(m, dict) for m in mappings):
        return None  # a column of the table's own
    if any(not isinstance(m, dict) and not pd.isna(m) for m in mappings):
        raise InputError(
            f"the column {COPIES} must hold mappings from variants' ids to copies of allele 1, "
            'such as {"rs7": 2}, but has another value; correct it'
        )
    copies = pd.DataFrame([m if isinstance(m, dict) else {} for m in mappings])
    if not columns_of_variants(weights, list(copies.columns)):
        raise InputError(
            f"the column {COPIES} must name variants of the model, but names none of its "
            f"{len(weights.variants)}; the ids are those of the training fileset"
        )
    return copies


def example_of_copies(weights: VariantWeights) -> list[dict[str, int]]:
    """Two mappings that no person has, for an example: of the first variants with an id."""
    ids = [weights.variants.id[j] for j in range(min(len(weights.variants), FEW_VARIANTS))]
    columns = columns_of_variants(weights, ids)
    first = [weights.variants.id[j] for j in columns][:3]
    return [dict.fromkeys(first, 0), {name: i % 3 for i, name in enumerate(first)}]


def _of_fileset(
    weights: VariantWeights, fileset: Fileset, table: pd.DataFrame, ids: Sequence[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    missing = [name for name in ids if name not in table.columns]
    if missing:
        raise InputError(
            f"people are found in {fileset.name}.fam by {' and '.join(ids)}, as in the study, but "
            f"the table has no column {' and '.join(missing)}; add it, or rename yours"
        )
    people = fileset.people
    if len(ids) > 1:
        people = joint_ids(fileset.families, fileset.people)
    wanted = row_names(len(table))
    if ids:
        texts = [id_texts(table[name]) for name in ids]
        wanted = list(texts[0] if len(texts) == 1 else joint_ids(*texts))
    index = pd.Index(people)
    if index.has_duplicates:
        raise InputError(
            f"each person must have a different id, but some stand more than once in "
            f"{fileset.name}.fam; make the ids distinct"
        )
    rows = index.get_indexer(pd.Index(wanted, dtype=object)).astype(np.int64)
    there = rows >= 0
    if not there.any():
        raise InputError(
            f"{' and '.join(ids) or 'the rows of the table'} must be ids of {fileset.name}.fam, "
            f"but none of {len(rows)} is among its {len(people)} people; check the column, and "
            "zeros in front"
        )
    found = scores_of_fileset(weights, fileset, rows[there])
    dimensions = pd.DataFrame(np.nan, table.index, list(weights.names))
    dimensions.iloc[np.flatnonzero(there)] = found.dimensions.to_numpy()
    absent = int((~there).sum())
    said = (f"{absent} people are not in {fileset.name}.fam; they have no prediction",)
    return dimensions, (*(said if absent else ()), *found.warnings)
