"""A trained encoder as weights of variants: recovered, and kept as a file.

Training moves the dual coefficients C of the training people. With their standardized genotypes
G_t, scale a and initial dual u (pipeline.genetics.relationship), the encoder's weights are

    V = a·G_tᵀ·(u + C)   (variants × d)        E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with p_j the frequency of allele 1 in training people and s_j = √(2·p_j·(1 − p_j)·variants).
`scoring` computes E of new people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputError
from pipeline.genetics.genotypes import Genotypes
from pipeline.genetics.plink import Variants, chromosome_names
from pipeline.networks import cholesky, initial_dual
from pipeline.process import first_line

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

    def table(self) -> pa.Table:
        """As the file has it: one row a variant, nothing of a person."""
        columns = {
            "chromosome": pa.array(self.variants.chromosome, pa.string()),
            "position": pa.array(self.variants.position, pa.int64()),
            "id": pa.array(self.variants.id, pa.string()),
            "allele_1": pa.array(self.variants.allele_1, pa.string()),
            "allele_2": pa.array(self.variants.allele_2, pa.string()),
            "frequency": pa.array(self.frequency, pa.float64()),
            "scale": pa.array(self.scale, pa.float64()),
        }
        for i, name in enumerate(self.names):
            columns[name] = pa.array(self.weights[:, i], pa.float32())
        return pa.table(columns)


class VariantFile:
    """A Parquet file of weights, written a block of variants at a time."""

    def __init__(self, path: Path):
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> VariantFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def append(self, weights: VariantWeights) -> None:
        table = weights.table()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)


def load_variant_weights(path: Path) -> VariantWeights:
    """What a `VariantFile` wrote. Raises InputError for another file."""
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
        reason = first_line(error)
        raise InputError(
            f"weights of variants must be a file that a study with genotypes wrote, but {path} "
            f"cannot be read as one ({reason}); take it from the network's run again"
        ) from None


def training_cholesky(genotypes: Genotypes) -> np.ndarray:
    """L (n, n) float64 of the training people's relationship matrix, as `cholesky` gives it."""
    train = genotypes.training_rows
    return cholesky(genotypes.relationship[np.ix_(train, train)])


def dual_of(
    lower: np.ndarray, drawn: np.ndarray, coefficients: np.ndarray, scale: float
) -> np.ndarray:
    """a·(u + C) (n, d) of a network that started from these draws z (n, d); lower L (n, n)."""
    return scale * (initial_dual(lower, drawn) + coefficients)


def recovered_blocks(
    genotypes: Genotypes,
    duals: Sequence[np.ndarray],
    names: Sequence[tuple[str, ...]],
    on_block: Callable[[int, int], None] | None = None,
) -> Iterator[list[VariantWeights]]:
    """V of several networks, a block of variants at a time, by one pass over the training people.

    duals: (n, d) of each; names: of its columns; on_block(variants done, of all).
    """
    together = np.concatenate(duals, axis=1).astype(np.float32)  # (n, Σ d)
    ends = np.cumsum([dual.shape[1] for dual in duals])[:-1]
    root, total = np.float32(np.sqrt(genotypes.variants)), len(genotypes.fileset.variants)
    for block in genotypes.standard_blocks(genotypes.training_rows):
        variants, p = genotypes.fileset.variants.only(block.kept), block.frequency
        scale = np.sqrt(2.0 * p * (1.0 - p) * genotypes.variants)
        parts = np.split(block.genotypes.T @ together / root, ends, axis=1)
        if len(block.kept):
            yield [
                VariantWeights(variants, p, scale, tuple(columns), part)
                for columns, part in zip(names, parts, strict=True)
            ]
            if on_block is not None:
                on_block(int(block.kept[-1]) + 1, total)
