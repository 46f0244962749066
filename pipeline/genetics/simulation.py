"""Simulated genotypes of people whose outcome is known, with linkage as real genomes have it.

Chromosomes are cut into blocks of neighboring variants. Within a block every haplotype is a mosaic
of a pool of H ancestral haplotypes: it copies one of them and switches with the rate of Li and
Stephens (2003) to another, all equally likely. The pool is drawn from the coalescent with
recombination (msprime), so that frequencies and linkage are those of a population. A block has at
most one causal variant c, with alleles x_h of the ancestors and log odds ratio β an allele. The
ancestor copied at c is drawn

    in controls with probability 1/H,        in cases with probability ∝ exp(β·x_h),

and the copying process, which is reversible, runs from there to both sides. Given the outcome this
is exact for the log-additive model logit P(case) = const + Σ β_c·x_c, blocks being independent.

Values: effective size 3,100, from linkage in Europeans (Tenesa et al. 2007, Genome Research 17);
recombination 1e-8 a base pair and generation; one variant every 5,700 base pairs, the density of an
array of 500,000 variants; blocks of 100, 570,000 base pairs, over which the expected r² of
(10 + ρ)/(22 + 13ρ + ρ²), ρ = 4·3,100·distance·1e-8 (Ohta and Kimura 1971), falls from 0.34 between
neighbors to 0.01. So 5,000 variants are a panel of 50 loci, about as many as were known for
coronary disease in 2013, and 500,000 are the genome.

Shapes: N people, m variants of a block, H ancestral haplotypes, 2N haplotypes of people.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from pipeline.serving import Variants

SIMULATION_VERSION = 2
"""Another one means: other genotypes from the same seed."""

BLOCK_VARIANTS, BASE_PAIRS_A_VARIANT = 100, 5_700
ANCESTORS, EFFECTIVE_SIZE, RECOMBINATION, MUTATION = 200, 3_100, 1e-8, 1.25e-8
LEAST_FREQUENCY = 0.01
"""Of the rarer allele in the pool."""

CHROMOSOME_MEGABASES = (
    *(249, 243, 198, 191, 181, 171, 159, 146, 141, 136, 135),
    *(134, 115, 107, 103, 90, 81, 78, 59, 63, 48, 51),
)
"""Of chromosomes 1 to 22 in GRCh37."""

BLOCKS_AHEAD = 8
"""Blocks that are being drawn while one is used; two threads draw them."""


@dataclass(frozen=True)
class Simulation:
    """What decides simulated genotypes, besides the outcome.

    causal         how many blocks have a causal variant; None for every block
    score_auroc    AUROC that the true polygenic score has in expectation
    """

    variants: int = 5000
    causal: int | None = None
    score_auroc: float = 0.65
    seed: int = 0


@dataclass(frozen=True)
class SimulatedBlock:
    """counts (N, m) int8 of allele 1, its variants, and β a copy of allele 1, (m,)."""

    counts: np.ndarray
    variants: Variants
    effects: np.ndarray


@dataclass(frozen=True)
class _Place:
    """Where a block lies, how many variants it has, and its causal variant's part of σ."""

    chromosome: int
    start: int
    base_pairs: int
    variants: int
    deviation: float


def simulated_blocks(outcome: np.ndarray, simulation: Simulation) -> Iterator[SimulatedBlock]:
    """Blocks in the order of chromosomes and positions, drawn given the outcome 0/1 (N,).

    A block's draws depend on the seed and its number alone, so memory is bounded and threads may
    draw several at once.
    """
    cases = np.asarray(outcome) == 1
    places = _places(simulation)

    def draw(number: int) -> SimulatedBlock:
        rng = np.random.default_rng([simulation.seed, simulation.variants, number])
        return _block(rng, places[number], cases)

    with ThreadPoolExecutor(2) as threads:
        waiting: deque = deque()
        for number in range(len(places)):
            waiting.append(threads.submit(draw, number))
            if len(waiting) > BLOCKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _places(simulation: Simulation) -> list[_Place]:
    """Blocks spread over the chromosomes by length, evenly along each.

    Effects of standardized causal variants are normal (Yang et al. 2010): β_c·√(2p_c(1 − p_c)) =
    deviation_c with Σ deviation² = σ², and the true score then has AUROC Φ(σ/√2).
    """
    blocks = -(-simulation.variants // BLOCK_VARIANTS)
    length = np.array(CHROMOSOME_MEGABASES) * 1e6
    upto = np.round(np.cumsum(length) / length.sum() * blocks).astype(int)
    counts = np.diff(upto, prepend=0)
    longest = int((length[counts > 0] / counts[counts > 0]).min())
    base_pairs = min(BLOCK_VARIANTS * BASE_PAIRS_A_VARIANT, longest)
    rng = np.random.default_rng([simulation.seed, simulation.variants])
    deviation = np.zeros(blocks)
    causal = blocks if simulation.causal is None else simulation.causal
    chosen = rng.choice(blocks, causal, replace=False)
    deviation[chosen] = rng.standard_normal(causal)
    sigma = np.sqrt(2.0) * norm.ppf(simulation.score_auroc)
    deviation *= sigma / (np.sqrt(np.sum(np.square(deviation))) or 1.0)
    places: list[_Place] = []
    for chromosome, count in enumerate(counts, start=1):
        for i in range(count):
            start = int((i + 0.5) * length[chromosome - 1] / count - base_pairs / 2)
            number = len(places)
            size = min(BLOCK_VARIANTS, simulation.variants - number * BLOCK_VARIANTS)
            places.append(_Place(chromosome, start, base_pairs, size, deviation[number]))
    return places


def _ancestors(rng: np.random.Generator, place: _Place) -> tuple[np.ndarray, np.ndarray]:
    """Haplotypes (H, m) int8 with 1 for the rarer allele, and positions (m,) in the block."""
    import msprime  # a second, which studies without a simulation need not wait for

    history = msprime.sim_ancestry(
        ANCESTORS // 2,
        population_size=EFFECTIVE_SIZE,
        recombination_rate=RECOMBINATION,
        sequence_length=place.base_pairs,
        random_seed=int(rng.integers(1, 2**31)),
    )
    rate, seed = MUTATION, int(rng.integers(1, 2**31))
    while True:
        mutated = msprime.sim_mutations(
            history, rate, random_seed=seed, model=msprime.BinaryMutationModel()
        )
        alleles = mutated.genotype_matrix().astype(np.int8)  # (sites, H)
        frequency = alleles.mean(axis=1)
        common = np.flatnonzero(np.minimum(frequency, 1.0 - frequency) >= LEAST_FREQUENCY)
        if len(common) >= place.variants:
            break
        rate *= 2.0  # a short block: more mutations, for as many variants as are asked for
    chosen = np.sort(rng.choice(common, place.variants, replace=False))
    rare = np.where(frequency[chosen, None] > 0.5, 1 - alleles[chosen], alleles[chosen])
    return np.ascontiguousarray(rare.T), mutated.sites_position[chosen]


def _block(rng: np.random.Generator, place: _Place, cases: np.ndarray) -> SimulatedBlock:
    pool, positions = _ancestors(rng, place)
    causal_variant = int(rng.integers(place.variants))
    frequency = pool[:, causal_variant].mean()
    effects = np.zeros(place.variants)
    effects[causal_variant] = place.deviation / np.sqrt(2.0 * frequency * (1.0 - frequency))
    in_cases = np.cumsum(np.exp(effects[causal_variant] * pool[:, causal_variant]))
    draws = rng.random(2 * len(cases))
    copied = np.where(
        np.tile(cases, 2),
        np.searchsorted(in_cases, draws * in_cases[-1], side="right"),
        (draws * ANCESTORS).astype(np.int64),
    ).clip(max=ANCESTORS - 1)
    haplotypes = _mosaics(rng, pool, positions, causal_variant, copied)
    letters = _alleles(rng, place.variants)
    whole = place.start + 1 + positions.astype(np.int64)
    variants = Variants(
        chromosome=np.full(place.variants, str(place.chromosome)),
        position=whole,
        id=np.array([f"sim{place.chromosome}_{p}" for p in whole]),
        allele_1=letters[0],
        allele_2=letters[1],
    )
    return SimulatedBlock(haplotypes[: len(cases)] + haplotypes[len(cases) :], variants, effects)


def _mosaics(
    rng: np.random.Generator,
    pool: np.ndarray,
    positions: np.ndarray,
    causal_variant: int,
    copied: np.ndarray,
) -> np.ndarray:
    """Haplotypes (2N, m): pool (H, m) copied, from the ancestors `copied` (2N,) at the
    causal variant (its position in the block) on.

    Switches are a Poisson process of 4·effective size·recombination/H a base pair; most haplotypes
    have none within a block and are gathered whole.
    """
    variants = pool.shape[1]
    haplotypes = pool[copied]
    rate = 4.0 * EFFECTIVE_SIZE * RECOMBINATION / ANCESTORS
    reach = np.cumsum(rate * np.diff(positions))  # (m − 1,)
    if not len(reach):
        return haplotypes
    switches = rng.poisson(reach[-1] * len(copied))
    switching = rng.integers(len(copied), size=switches)
    gap = np.searchsorted(reach, rng.random(switches) * reach[-1], side="right")
    gap = np.minimum(gap, len(reach) - 1)
    switched, row = np.unique(switching, return_inverse=True)
    paths = np.full((len(switched), variants), -1, np.int64)
    # A switch between j and j + 1 begins on the side that is farther from the causal variant.
    paths[row, np.where(gap >= causal_variant, gap + 1, gap)] = rng.integers(
        ANCESTORS, size=switches
    )
    paths[:, causal_variant] = copied[switched]
    known = paths >= 0
    column = np.arange(variants)
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, variants)[:, ::-1], axis=1)[:, ::-1]
    source = np.where(column >= causal_variant, before, after)
    paths = np.take_along_axis(paths, source, axis=1)
    haplotypes[switched] = pool[paths, column]
    return haplotypes


def _alleles(rng: np.random.Generator, variants: int) -> tuple[np.ndarray, np.ndarray]:
    """Two different letters a variant."""
    bases = np.array(list("ACGT"))
    first = rng.integers(4, size=variants)
    return bases[first], bases[(first + rng.integers(1, 4, size=variants)) % 4]
