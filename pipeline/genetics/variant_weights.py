"""A trained encoder as weights of variants: recovered, and kept as a file.

Training moves the dual coefficients C of the training people. With their standardized genotypes
G_t, scale a and initial dual u (pipeline.genetics.relationship), the encoder's weights are

    V = a·G_tᵀ·(u + C)   (variants × d)        E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with p_j the frequency of allele 1 in training people and s_j = √(2·p_j·(1 − p_j)·variants).
`scoring` computes E of new people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.genetics.genotypes import Genotypes
from pipeline.genetics.plink import Variants, chromosome_names
from pipeline.genetics.relationship import cholesky, initial_dual

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
    return scale * (initial_dual(cholesky(related), drawn) + coefficients)


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
