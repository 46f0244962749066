"""A trained encoder as weights of variants: recovered, kept as a file, and used on new people.

Training moves the dual coefficients C of the training people. With their standardized genotypes
G_t, scale a and initial dual u (pipeline.genetics.relationship), the encoder's weights are

    V = a·G_tᵀ·(u + C)   (variants × d)        E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with p_j the frequency of allele 1 in training people and s_j = √(2·p_j·(1 − p_j)·variants). A
variant that a person has no call of, or that their fileset lacks, counts as the mean: it adds 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.genetics.genotypes import Genotypes, read_blocks
from pipeline.genetics.plink import MISSING, Fileset, Variants
from pipeline.genetics.relationship import initial_dual

_NUMBERS = ("frequency", "scale")
_COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


@dataclass(frozen=True, eq=False)
class VariantWeights:
    """An encoder on variants.

    frequency, scale  (m,) p and s
    weights           (m, d) float32 V, one column for each of `names` (genetic_0 …)
    """

    variants: Variants
    frequency: np.ndarray
    scale: np.ndarray
    names: tuple[str, ...]
    weights: np.ndarray

    def save(self, path: Path) -> None:
        """A Parquet file, one row a variant; nothing of a person is in it."""
        columns = {
            "chromosome": self.variants.chromosome,
            "position": self.variants.position,
            "id": self.variants.id,
            "allele_1": self.variants.allele_1,
            "allele_2": self.variants.allele_2,
            "frequency": self.frequency,
            "scale": self.scale,
        }
        columns |= {name: self.weights[:, i] for i, name in enumerate(self.names)}
        pd.DataFrame(columns).to_parquet(path, index=False, compression="zstd")


def load_variant_weights(path: Path) -> VariantWeights:
    """What `save` wrote. Raises InputError for another file."""
    try:
        table = pd.read_parquet(path)
        names = tuple(name for name in table.columns if name.startswith("genetic_"))
        texts = {
            name: table[name].to_numpy(dtype=str)
            for name in ("chromosome", "id", "allele_1", "allele_2")
        }
        return VariantWeights(
            Variants(position=table["position"].to_numpy(), **texts),
            *(table[name].to_numpy(float) for name in _NUMBERS),
            names,
            table[list(names)].to_numpy(np.float32),
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"weights of variants must be a file that a study with genotypes wrote, but {path} "
            f"cannot be read as one ({reason}); take it from the network's run again"
        ) from None


def dual_of(
    genotypes: Genotypes, drawn: np.ndarray, coefficients: np.ndarray, scale: float
) -> np.ndarray:
    """a·(u + C) (n, d) of a network that started from these draws z (n, d)."""
    train = genotypes.training_rows
    related = genotypes.relationship[np.ix_(train, train)]
    return scale * (initial_dual(related, drawn) + coefficients)


def recover(
    genotypes: Genotypes,
    duals: Sequence[np.ndarray],
    names: Sequence[tuple[str, ...]],
    on_block: Callable[[int, int], None] | None = None,
) -> list[VariantWeights]:
    """V of several networks by one pass over the training people's genotypes.

    duals: (n, d) of each; names: of its columns; on_block(variants done, of all).
    """
    together = np.concatenate(duals, axis=1).astype(np.float32)  # (n, Σ d)
    kept, frequency, weights = [], [], []
    root, total = np.float32(np.sqrt(genotypes.variants)), len(genotypes.fileset.variants)
    for block in genotypes.standard_blocks(genotypes.training_rows):
        weights.append(block.genotypes.T @ together / root)
        kept.append(block.kept)
        frequency.append(block.frequency)
        if on_block is not None and len(block.kept):
            on_block(int(block.kept[-1]) + 1, total)
    variants = genotypes.fileset.variants.only(np.concatenate(kept))
    p, stacked = np.concatenate(frequency), np.concatenate(weights)
    scale = np.sqrt(2.0 * p * (1.0 - p) * genotypes.variants)
    ends = np.cumsum([dual.shape[1] for dual in duals])[:-1]
    parts = np.split(stacked, ends, axis=1)
    return [
        VariantWeights(variants, p, scale, tuple(own), part)
        for own, part in zip(names, parts, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Encoded:
    """New people's encodings, and how their fileset's variants matched.

    encodings   (N, d), a row a person of the .fam, a column a name of the weights
    matched     variants of the weights that are in the fileset with their two alleles, of which
    swapped     have allele 1 and 2 the other way round and were turned
    other_strand, other_alleles, ambiguous, missing
                variants that were not used: with the complementary alleles, with other alleles, of
                an id that stands more than once, and not in the fileset
    """

    people: np.ndarray
    encodings: pd.DataFrame
    matched: int
    swapped: int
    other_strand: int
    other_alleles: int
    ambiguous: int
    missing: int


def encode(
    weights: VariantWeights,
    fileset: Fileset,
    on_block: Callable[[int, int], None] | None = None,
) -> Encoded:
    """The encodings of a fileset's people, who need not have been in the study."""
    at, sign, counted = _matches(weights.variants, fileset.variants)
    everyone, total = np.arange(len(fileset.people)), len(fileset.variants)
    encodings = np.zeros((len(everyone), len(weights.names)))
    start = 0
    for counts in read_blocks(fileset, everyone):
        stop = start + counts.shape[1]
        own = np.flatnonzero((at >= start) & (at < stop))
        calls = counts[:, at[own] - start]
        known = calls != MISSING
        copies = np.where(sign[own] > 0, calls, 2 - calls.astype(np.int16))
        standard = (copies - 2.0 * weights.frequency[own]) / weights.scale[own] * known
        encodings += standard @ weights.weights[own].astype(float)
        start = stop
        if on_block is not None:
            on_block(stop, total)
    table = pd.DataFrame(encodings, columns=list(weights.names), index=fileset.people)
    return Encoded(fileset.people, table, **counted)


def _matches(wanted: Variants, there: Variants) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Of each wanted variant its position there or −1, ±1 for the same or swapped alleles; counts.

    By id, and then by the two alleles, in capitals or not.
    """
    places = pd.Series(np.arange(len(there)), index=there.id)
    twice = np.unique(places.index[places.index.duplicated()].to_numpy())
    twice = np.union1d(twice, pd.Index(wanted.id)[pd.Index(wanted.id).duplicated()])
    ambiguous = np.isin(wanted.id, twice) & np.isin(wanted.id, there.id)
    at = places[~places.index.duplicated()].reindex(wanted.id, fill_value=-1).to_numpy(copy=True)
    at[ambiguous] = -1
    found = at >= 0
    mine = _pairs(wanted, np.arange(len(wanted)))
    theirs = _pairs(there, np.where(found, at, 0))
    same = found & (mine == theirs).all(axis=1)
    swapped = found & ~same & (mine == theirs[:, ::-1]).all(axis=1)
    turned = np.array([[a.translate(_COMPLEMENT) for a in pair] for pair in theirs], dtype=str)
    flipped = (mine == turned).all(axis=1) | (mine == turned[:, ::-1]).all(axis=1)
    strand = found & ~same & ~swapped & flipped
    used = same | swapped
    counted = {
        "matched": int(used.sum()),
        "swapped": int(swapped.sum()),
        "other_strand": int(strand.sum()),
        "other_alleles": int((found & ~used & ~strand).sum()),
        "ambiguous": int(ambiguous.sum()),
        "missing": int((~found & ~ambiguous).sum()),
    }
    return np.where(used, at, -1), np.where(swapped, -1, 1), counted


def _pairs(variants: Variants, at: np.ndarray) -> np.ndarray:
    """(len(at), 2) alleles in capitals."""
    pairs = np.stack([variants.allele_1[at], variants.allele_2[at]], axis=1)
    return np.char.upper(pairs)
