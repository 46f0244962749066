"""A trained encoder as weights of variants: recovered, and kept as a file.

Training moves the dual coefficients C of the training people. With their standardized genotypes
G_t, scale a and initial dual u (pipeline.genetics.relationship), the encoder's weights are

    V = a·G_tᵀ·(u + C)   (variants × d)        E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with p_j the frequency of allele 1 in training people and s_j = √(2·p_j·(1 − p_j)·variants).
`pipeline.serving` reads them, and computes E of new people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.genetics.genotypes import Genotypes
from pipeline.networks import cholesky, initial_dual
from pipeline.serving import VariantWeights


def _table(weights: VariantWeights) -> pa.Table:
    """As the file has it: one row a variant, nothing of a person."""
    variants = weights.variants
    columns = {
        "chromosome": pa.array(variants.chromosome, pa.string()),
        "position": pa.array(variants.position, pa.int64()),
        "id": pa.array(variants.id, pa.string()),
        "allele_1": pa.array(variants.allele_1, pa.string()),
        "allele_2": pa.array(variants.allele_2, pa.string()),
        "frequency": pa.array(weights.frequency, pa.float64()),
        "scale": pa.array(weights.scale, pa.float64()),
    }
    for i, name in enumerate(weights.names):
        columns[name] = pa.array(weights.weights[:, i], pa.float32())
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
        table = _table(weights)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)


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
