"""The relationship matrix of many people by block columns, which need not be on one machine.

With lower triangle K_ij, i ≥ j, block column J has the rows from J's first person on:

    K[J₀:, J] = Σ_b G_b[J₀:]·G_b[J]ᵀ / variants

summed over blocks b of variants in their order, in float32, by one thread. Each block column is a
job of its own, whoever does it, so K has the same digits on one core and on a thousand workers, and
none of them holds more than one block column. Its other half is the mirror.

N people, M variants and columns of c people: a job reads N·M/4 bytes of the .bed, holds
4·N·c + 6·BLOCK_BYTES bytes and takes 2·M·(N − J₀)·c operations; all N/c together M·N².
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.linalg import blas

from pipeline.errors import InputError
from pipeline.genetics.relationship import (
    BLOCK_BYTES,
    Filters,
    LeftOut,
    ahead,
    block_variants,
    refuse_no_variants,
    standard_blocks,
)
from pipeline.process import OWNER_ONLY, cores, one_blas_thread
from pipeline.serving import Fileset, Variants

COLUMN_PEOPLE = 1_024
"""People of a block column. It decides by which calls of linear algebra a number is summed, and so
its last digits."""

_FIELDS = fields(Variants)
_SAMPLES, _SAMPLE_BYTES = 16, 2**16

Tell = Callable[[float], None]


@dataclass(frozen=True)
class Bed:
    """What a job needs of a fileset, wherever it runs: where it is, and no id.

    fileset    its counts, without names of people and variants
    autosomal  of each variant, whether it may be used
    looks      digest of the .bed's size and of parts of it
    """

    fileset: Fileset
    autosomal: np.ndarray
    rows: np.ndarray
    training_rows: np.ndarray
    filters: Filters
    variants_at_once: int
    looks: str

    @classmethod
    def of(
        cls, fileset: Fileset, rows: np.ndarray, training_rows: np.ndarray, filters: Filters
    ) -> Bed:
        """Of these rows of a fileset, of which training_rows train."""
        people, variants = (np.zeros(len(x), np.int8) for x in (fileset.people, fileset.variants))
        unnamed = Fileset(
            Path(fileset.prefix).absolute(), people, people, Variants(*[variants] * len(_FIELDS))
        )
        return cls(
            unnamed,
            fileset.variants.autosomal,
            np.asarray(rows),
            np.asarray(training_rows),
            filters,
            block_variants(len(rows)),
            _looks(unnamed),
        )

    def check(self) -> None:
        """InputError unless the file is here too."""
        try:
            same = _looks(self.fileset) == self.looks
        except OSError:
            same = False
        if not same:
            raise InputError(
                f"workers must see the genotypes of {len(self.rows):,} people under the same path, "
                f"but one has no such {self.fileset.name}.bed; put the fileset into a folder that "
                "all share, or take scheduler: local"
            )


def _looks(fileset: Fileset) -> str:
    """Of the .bed's size and of _SAMPLES parts of it, evenly spread."""
    path = f"{fileset.prefix}.bed"
    size = os.path.getsize(path)
    digest = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for i in range(_SAMPLES):
            file.seek(i * max(size - _SAMPLE_BYTES, 0) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


class Column(NamedTuple):
    """sums (N − J₀, c) float32 of variants · K; how many variants are in it, and left out."""

    sums: np.ndarray
    variants: int
    left_out: LeftOut


def block_column(bed: Bed, people: tuple[int, int], tell: Tell) -> Column:
    """The block column of the people from `people[0]` to before `people[1]`."""
    bed.check()
    start, stop = people
    total = np.zeros((len(bed.rows) - start, stop - start), np.float32, order="F")
    used, left_out = 0, LeftOut()
    counts = bed.fileset.blocks(bed.rows, bed.variants_at_once)
    blocks = standard_blocks(counts, bed.training_rows, bed.filters, bed.autosomal)
    with one_blas_thread():
        for block in ahead(blocks):
            genotypes = block.genotypes
            if len(block.kept):
                total = blas.sgemm(
                    1.0,
                    genotypes[start:],
                    genotypes[start:stop],
                    beta=1.0,
                    c=total,
                    trans_b=1,
                    overwrite_c=1,
                )
            used += len(block.kept)
            left_out = left_out.plus(block.left_out)
            tell(used / len(bed.autosomal) * (stop - start))
    return Column(total, used, left_out)


def columns_of(people: int) -> list[tuple[int, int]]:
    """The block columns, the longest first."""
    starts = range(0, people, COLUMN_PEOPLE)
    return [(start, min(start + COLUMN_PEOPLE, people)) for start in starts]


Each = Callable[
    [Callable[[Bed, tuple[int, int], Tell], Column], Bed, Sequence[tuple[int, int]]],
    Iterator[tuple[tuple[int, int], Column]],
]
"""(function, what all jobs share, jobs) → (job, its result), in any order."""


def on_all_cores(
    function: Callable[[Bed, tuple[int, int], Tell], Column],
    bed: Bed,
    jobs: Sequence[tuple[int, int]],
) -> Iterator[tuple[tuple[int, int], Column]]:
    """Jobs in this process, one a core at a time."""
    with ThreadPoolExecutor(cores()) as threads, one_blas_thread():
        for start in range(0, len(jobs), cores()):
            some = jobs[start : start + cores()]
            results = threads.map(lambda job: function(bed, job, lambda done: None), some)
            yield from zip(some, results, strict=True)


def write_relationship(
    path: Path,
    bed: Bed,
    each: Each = on_all_cores,
    on_people: Callable[[int], None] | None = None,
) -> tuple[int, LeftOut]:
    """K (N, N) float32 into an .npy, of which no more than a block column is in memory.

    Returns how many variants are in it, and left out. on_people(people done so far).
    """
    people, done = len(bed.rows), 0
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (people, people))
    path.chmod(OWNER_ONLY)
    for (start, stop), column in each(block_column, bed, columns_of(people)):
        if not column.variants:
            refuse_no_variants(column.left_out)
        values = column.sums / np.float32(column.variants)
        below, square = values[stop - start :], np.tril(values[: stop - start])
        matrix[start:stop, start:stop] = square + np.tril(square, -1).T
        matrix[stop:, start:stop] = below
        matrix[start:stop, stop:] = below.T
        used, left_out = column.variants, column.left_out
        done += stop - start
        if on_people is not None:
            on_people(done)
    matrix.flush()
    return used, left_out


def bytes_of_columns(people: int) -> int:
    """Held at once by this process while K is made by block columns on all its cores."""
    return cores() * (2 * 4 * people * min(COLUMN_PEOPLE, people) + 6 * BLOCK_BYTES)
