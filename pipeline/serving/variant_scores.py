"""Weights of variants, and the genetic dimensions that they make of people's genotypes.

    E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with the weights V, frequencies p and scales s of an encoder (`pipeline.genetics.variant_weights`).
A variant of which a person has no call, or that cannot be used in their fileset (`matching`),
counts as the mean of the training people: it adds 0.

Shapes: N people, m variants, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import InputError
from .fileset import NO_CALL, Fileset, Variants, chromosome_names
from .matching import MatchCounts, match_variants

BLOCK_BYTES = 64 * 2**20
_TEXTS = ("chromosome", "id", "allele_1", "allele_2")
_ABOUT_A_VARIANT = (*_TEXTS, "position", "frequency", "scale")


@dataclass(frozen=True, eq=False)
class VariantWeights:
    """An encoder on variants.

    frequency, scale  (m,) p and s
    weights           (m, d) float32 V, one column for each of `names` (genetic_0 …, PC1 …)
    """

    variants: Variants
    frequency: np.ndarray
    scale: np.ndarray
    names: tuple[str, ...]
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class GeneticScores:
    """What a network's encoder makes of people's genotypes.

    dimensions  (N, d) float64, a row a person in the order asked for, a column a name of the
                weights (`genetic_3`, `PC1` …); the index is 0 … N − 1 and holds no id
    counts      how the variants of the model were found in the fileset
    warnings    the same in sentences, where something is to be said
    """

    dimensions: pd.DataFrame
    counts: MatchCounts
    warnings: tuple[str, ...]


def load_variant_weights(path: Path) -> VariantWeights:
    """What a study with genotypes wrote. Raises InputError for another file."""
    try:
        table = pd.read_parquet(path)
        names = tuple(str(name) for name in table.columns if name not in _ABOUT_A_VARIANT)
        texts = {name: table[name].to_numpy(dtype=object) for name in _TEXTS}
        texts["chromosome"] = chromosome_names(texts["chromosome"])
        return VariantWeights(
            Variants(position=table["position"].to_numpy(np.int64), **texts),
            table["frequency"].to_numpy(float),
            table["scale"].to_numpy(float),
            names,
            table[list(names)].to_numpy(np.float32),
        )
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"weights of variants must be a file that a study with genotypes wrote, but {path} "
            f"cannot be read as one ({reason}); take it from the network's run again"
        ) from None


def scores_of_fileset(
    weights: VariantWeights,
    fileset: Fileset,
    rows: np.ndarray,
    on_block: Callable[[int, int], None] | None = None,
) -> GeneticScores:
    """Of the people in these rows of a fileset; on_block(variants read so far, all of them).

    Raises InputError where no variant of the model is in the fileset.
    """
    match = match_variants(weights.variants, weights.frequency, fileset)
    if not match.counts.used:
        raise InputError(
            f"a fileset must have variants of the model, but of its {len(weights.variants)} "
            f"variants none can be used in {fileset.name}: {match.counts.missing} are not there "
            f"by id or by place, {match.counts.other_alleles} have other alleles; give the "
            "genotypes of the same array or imputation, and of the same build of the genome"
        )
    order = np.flatnonzero(match.fileset_columns >= 0)
    # In the order of the fileset.
    order = order[np.argsort(match.fileset_columns[order], kind="stable")]
    columns, total = match.fileset_columns[order], len(fileset.variants)
    dimensions = np.zeros((len(rows), len(weights.names)))
    start = 0
    for calls in fileset.blocks(rows, max(1, BLOCK_BYTES // (4 * max(len(rows), 1)))):
        stop = start + calls.shape[1]
        block = order[np.searchsorted(columns, start) : np.searchsorted(columns, stop)]
        block_calls = calls[:, match.fileset_columns[block] - start]
        copies = np.where(match.sign[block] > 0, block_calls, 2 - block_calls.astype(np.int16))
        dimensions += _weighted(copies, block_calls == NO_CALL, weights, block)
        start = stop
        if on_block is not None:
            on_block(stop, total)
    table = pd.DataFrame(dimensions, columns=list(weights.names))
    return GeneticScores(table, match.counts, match.counts.sentences(fileset.name))


def scores_of_copies(weights: VariantWeights, copies: pd.DataFrame) -> GeneticScores:
    """Of a table with a column a variant: copies of allele 1, 0 to 2, missing where unknown.

    A column is named by the variant's id, or by id and counted allele as PLINK's .raw files have
    it, `rs7_A`; of allele 2 the copies are turned. Columns that are no variant of the model are not
    looked at. Raises InputError for a value that is no number of copies.
    """
    where = columns_of_variants(weights, list(copies.columns))
    block = np.fromiter(where, np.int64, len(where))
    values = np.empty((len(copies), len(where)))
    for position, (j, (name, turned)) in enumerate(where.items()):
        try:
            count = pd.to_numeric(copies[name]).to_numpy(np.float64, na_value=np.nan)
        except (TypeError, ValueError):
            count = np.full(len(copies), -1.0)
        if ((count < 0) | (count > 2)).any():
            raise InputError(
                f"a variant's column must hold copies of an allele from 0 to 2, but {name} has "
                f"another value; allele 1 of {weights.variants.id[j]}, which is counted, is "
                f"{weights.variants.allele_1[j]}"
            )
        values[:, position] = 2 - count if turned else count
    dimensions = _weighted(values, np.isnan(values), weights, block)
    counts = MatchCounts(used=len(where), missing=len(weights.variants) - len(where))
    table = pd.DataFrame(dimensions, columns=list(weights.names))
    return GeneticScores(table, counts, counts.sentences("the table"))


def columns_of_variants(weights: VariantWeights, names: list) -> dict[int, tuple[str, bool]]:
    """Position of a variant of the model → its column among these, and whether allele 2 is counted.

    In the model's order. A variant without an id, or with one that stands twice, has no column.
    """
    given = {str(name) for name in names}
    ids = pd.Index(weights.variants.id)
    once = ~ids.duplicated(keep=False) & ~ids.isin((".", "0", ""))
    found: dict[int, tuple[str, bool]] = {}
    for j in np.flatnonzero(once):
        first, second = weights.variants.allele_1[j], weights.variants.allele_2[j]
        for name, turned in ((ids[j], False), (f"{ids[j]}_{first}", False),
                             (f"{ids[j]}_{second}", True)):  # fmt: skip
            if name in given:
                found[int(j)] = (name, turned)
                break
    return found


def _weighted(
    copies: np.ndarray, unknown: np.ndarray, weights: VariantWeights, block: np.ndarray
) -> np.ndarray:
    """(N, d) of the copies (N, m) of these variants of the model."""
    standard = (copies - 2.0 * weights.frequency[block]) / weights.scale[block]
    standard[unknown] = 0.0
    return standard @ weights.weights[block].astype(float)
