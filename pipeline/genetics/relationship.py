"""Counts of alleles → standardized genotypes → the genomic relationship matrix, block by block.

With G the standardized genotypes (people × variants), divided by √variants,

    G_ij = (count_ij − 2·p_j) / √(2·p_j·(1 − p_j)·variants)        K = G·Gᵀ

(VanRaden 2008, method 2; Yang et al. 2010, eq. 3). Frequencies p_j and what is left out follow from
the training rows alone, no outcome is used, and a missing call is the training mean: G_ij = 0.

Shapes: N people, n training rows, m variants of a block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, NoReturn, TypeVar

import numpy as np

from pipeline.errors import InputError
from pipeline.networks import cholesky
from pipeline.process import add_products, solve
from pipeline.serving import NO_CALL

BLOCK_BYTES = 64 * 2**20
"""Of one block's standardized genotypes; about five such are held at once, besides K."""

MIRRORED_ROWS = 1_024
"""Rows of K that are copied from its lower triangle at a time."""

MAPPED_BYTES = 2**30
"""A larger K is not read into memory from the cache, but mapped."""

TOGETHER, AT_A_TIME = 8_192, 1_024
"""So many people are prepared for training in one call; of more, so many at a time, since they are
in float64 then."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Filters:
    """Variants that stay: of at least this frequency of the rarer allele, and of at most this share
    of missing calls, both among the training rows."""

    minor_allele_frequency: float = 0.0
    missing_rate: float = 1.0


class LeftOut(NamedTuple):
    """Variants left out: too many missing calls, the same in all training rows, too rare; of a sex
    chromosome or the mitochondria, whatever else they are."""

    missing: int = 0
    constant: int = 0
    rare: int = 0
    not_autosomal: int = 0

    def plus(self, other: LeftOut) -> LeftOut:
        return LeftOut(*(a + b for a, b in zip(self, other)))


class StandardBlock(NamedTuple):
    """A block after the filters.

    genotypes  (N, m) float32 in Fortran order, √variants·G
    kept       (m,) positions of its variants among all
    frequency  (m,) p
    left_out   how many of the block are not in it
    """

    genotypes: np.ndarray
    kept: np.ndarray
    frequency: np.ndarray
    left_out: LeftOut


class Relationship(NamedTuple):
    """K (N, N) float32, how many variants it is of, and how many were left out."""

    matrix: np.ndarray
    variants: int
    left_out: LeftOut


def block_variants(people: int) -> int:
    """How many variants of so many people make a block."""
    return max(1, BLOCK_BYTES // (4 * people))


def standard_blocks(
    blocks: Iterable[np.ndarray],
    training_rows: np.ndarray,
    filters: Filters,
    autosomal: np.ndarray | None = None,
) -> Iterator[StandardBlock]:
    """Of blocks of counts (N, ·) int8, NO_CALL where there is no call.

    autosomal: of all variants in the blocks' order, whether they may be used; None for all.
    """
    start = 0
    for counts in blocks:
        stop = start + counts.shape[1]
        usable = np.ones(stop - start, bool) if autosomal is None else autosomal[start:stop]
        yield _standardized(counts, start, training_rows, filters, usable)
        start = stop


def _standardized(
    counts: np.ndarray,
    start: int,
    training_rows: np.ndarray,
    filters: Filters,
    usable: np.ndarray,
) -> StandardBlock:
    calls = counts[training_rows]
    without = np.count_nonzero(calls == NO_CALL, axis=0)
    called = len(training_rows) - without
    total = calls.sum(axis=0, dtype=np.int64) - NO_CALL * without
    unknown = usable & ((called == 0) | (without > filters.missing_rate * len(training_rows)))
    constant = usable & ~unknown & ((total == 0) | (total == 2 * called))
    frequency = total / (2.0 * np.maximum(called, 1))
    rarer = np.minimum(frequency, 1.0 - frequency)
    rare = usable & ~unknown & ~constant & (rarer < filters.minor_allele_frequency)
    kept = np.flatnonzero(usable & ~(unknown | constant | rare))
    frequency = frequency[kept]
    kept_counts = counts if len(kept) == counts.shape[1] else counts[:, kept]
    genotypes = kept_counts.astype(np.float32, order="F")
    genotypes -= (2.0 * frequency).astype(np.float32)
    genotypes *= (1.0 / np.sqrt(2.0 * frequency * (1.0 - frequency))).astype(np.float32)
    missing = kept_counts == NO_CALL
    if missing.any():
        genotypes[missing] = 0.0
    left_out = LeftOut(
        int(unknown.sum()), int(constant.sum()), int(rare.sum()), int((~usable).sum())
    )
    return StandardBlock(genotypes, start + kept, frequency, left_out)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, the next one being made in a thread while one is used."""
    remaining = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(lambda: list(islice(remaining, 1)))
        while item := coming.result():
            coming = thread.submit(lambda: list(islice(remaining, 1)))
            yield item[0]
            del item


def relationship_matrix(blocks: Iterable[StandardBlock]) -> Relationship:
    """K, by symmetric rank-k updates, so that memory does not grow with the variants.

    K itself is all that is held of N × N numbers.
    """
    total, used, left_out = np.zeros((0, 0), np.float32), 0, LeftOut()
    for block in ahead(blocks):
        people = len(block.genotypes)
        if not len(total):
            total = np.zeros((people, people), np.float32, order="F")
        if len(block.kept):
            add_products(total, np.asfortranarray(block.genotypes))
        used += len(block.kept)
        left_out = left_out.plus(block.left_out)
    if not used:
        refuse_no_variants(left_out)
    total /= np.float32(used)
    for start in range(0, len(total), MIRRORED_ROWS):
        rows = slice(start, start + MIRRORED_ROWS)
        total[rows, start:] = np.tril(total[start:, rows]).T + np.tril(total[rows, start:], -1)
    return Relationship(total.T, used, left_out)


def refuse_no_variants(left_out: LeftOut) -> NoReturn:
    """InputError: nothing is left to make K of."""
    raise InputError(
        "at least one variant must vary among the training people and pass the filters, but "
        f"none does: {left_out.not_autosomal} are of X, Y, XY or MT, {left_out.missing} have "
        f"too many missing calls, {left_out.constant} do "
        f"not vary, {left_out.rare} are too rare; give other genotypes, change "
        "`minor_allele_frequency` or `missing_rate`, or give `genotypes=none`"
    )


def encoding_factor(relationship: np.ndarray, training_rows: int) -> np.ndarray:
    """(N, n) float32: K_t·L⁻ᵀ with L·Lᵀ = K_tt + jitter, of people of whom the first n train.

    It turns standard normal z (n, d) into the initial encodings E₀ = G·V₀ of everyone, whose
    weights V₀ = G_tᵀ·L⁻ᵀ·z are normal with variance 1/variants in the span of the training
    people's genotypes, and 0 outside it: a dense encoder's weights there never get a gradient, and
    would add noise to everyone who is not trained on. V₀ depends on nobody else's genotypes.
    """
    lower = cholesky(relationship[:training_rows, :training_rows])
    factors = np.empty((len(relationship), training_rows), np.float32)
    for people in people_at_a_time(len(relationship)):
        of_training = np.array(relationship[people, :training_rows], np.float64)
        factors[people] = solve(lower, of_training.T).T
    return factors


def people_at_a_time(people: int) -> list[slice]:
    """All together, or in parts where they are many."""
    size = people if people <= TOGETHER else AT_A_TIME
    return [slice(start, start + size) for start in range(0, people, max(size, 1))]


def bytes_of_relationships(people: int, training_people: int, computing: int | None = None) -> int:
    """Most that is held at once of K and of what is made of it, for N people and n in training.

    While K is computed, `computing`, by default 4·N² and six blocks; after that K, unless it stays
    on the disk (MAPPED_BYTES), K_t and its factor (4·N·n each, once here and once in the compiled
    program), L (8·n²) and one block of people in float64 (16·n each).
    """
    computing = 4 * people**2 + 6 * BLOCK_BYTES if computing is None else computing
    solving = 16 * people * training_people + 8 * training_people**2
    if 4 * people**2 <= MAPPED_BYTES:
        solving += 4 * people**2
    at_once = people if people <= TOGETHER else AT_A_TIME
    return max(computing, solving + 16 * training_people * at_once)
