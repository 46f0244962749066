"""Which variants a study's networks use: recovered weights, ranked, and tracked.

Two sets of networks get them. Shown are, of the best configuration with genetic inputs, one network
for each solution at the best epoch that keeps genetic dimensions, at most MOST_SHOWN. Served are
those of the best configuration that become models (`finalists`), with the genetic dimensions and
components that they use: new people are scored with these.

A variant's weight is what the hidden units see of it, ‖(V·W)_j‖ for one standard deviation of its
genotype, with W the first-layer weights of the encoder's outputs: it does not depend on how those
outputs are rotated. Most of V is often the seed's random start, so variants are ranked by what
training added to it, V − a·V₀ = a·G_tᵀ·C.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.genetics import (
    Encoders,
    Genotypes,
    VariantFile,
    causal_ids,
    dual_of,
    recovered_blocks,
    training_cholesky,
)
from pipeline.inspection import (
    best_configuration,
    by_configuration,
    kept_counts,
    solutions_of,
)
from pipeline.results import ANCESTRY, NetworkResult, StudyResults
from pipeline.serving import Variants, VariantWeights
from pipeline.study.finalists import MOST_MODELS
from pipeline.tracking import VARIANTS, VARIANTS_FOLDER, StudyRun
from pipeline.training import genetic_draws

GENETIC, MOST_SHOWN = "genetic", 3
SHOWN_BEST, SHOWN_BINS, SHOWN_IN_BIN, SHOWN_CAUSAL = 500, 2_000, 3, 200
"""Of a network's variants the report draws the first so many, so many of each stretch of the
genome, and a simulation's causal ones if they are so few; it knows the rank of every causal one."""

WEIGHTS = "variants/variants.parquet"


def _representatives(
    networks: Sequence[NetworkResult], results: StudyResults
) -> list[NetworkResult]:
    """One for each solution at the best epoch of the best of these networks' configurations."""
    if not networks:
        return []
    record = results.record
    best = best_configuration(StudyResults(record, tuple(networks)))
    if best is None:
        return []
    of_the_best = by_configuration(networks)[best]
    return [s.representative for s in solutions_of(of_the_best, record.objective, "best")]


def shown_networks(results: StudyResults) -> list[NetworkResult]:
    """The networks whose variants the report shows, the commonest solution first."""
    genetic = [n for n in results.networks if GENETIC in n.inputs.families]
    kept = _representatives(genetic, results)
    return [n for n in kept if (kept_counts(n, "best") or {}).get(GENETIC)][:MOST_SHOWN]


def served_networks(results: StudyResults) -> list[NetworkResult]:
    """The networks that become models and need genotypes, the commonest solution first."""
    served = _representatives(results.networks, results)[:MOST_MODELS]
    return [n for n in served if n.first_layer is not None and len(_used(n, GENETIC, ANCESTRY))]


def _used(network: NetworkResult, *families: str) -> list[int]:
    """Positions of the inputs of these families with a weight that is not exactly 0."""
    kept = np.any(np.asarray(network.first_layer) != 0.0, axis=1)
    return [i for i, family in enumerate(network.inputs.families) if family in families and kept[i]]


def weight_of(encoder: VariantWeights, network: NetworkResult, variants: int) -> np.ndarray:
    """(m,) ‖(V·W)_j‖/√variants of a network, for one standard deviation of a variant's genotype.

    variants: how many V has in all, of which `encoder` may have some.
    """
    rows = [network.inputs.columns.index(name) for name in encoder.names]
    first = np.asarray(network.first_layer, float)[rows]  # (d, h)
    reaching_units = encoder.weights @ np.linalg.cholesky(
        first @ first.T + 1e-12 * np.eye(len(rows))
    )
    return np.linalg.norm(reaching_units, axis=1) / np.sqrt(variants)


@dataclass(eq=False)
class _Recovery:
    """A network whose weights of variants are recovered, and of each block of variants what its
    hidden units see: of all that V has, and of what training added to it."""

    network: NetworkResult
    duals: list[np.ndarray]
    names: list[tuple[str, ...]]
    shown: bool
    weight: list[np.ndarray] = field(default_factory=list)
    added: list[np.ndarray] = field(default_factory=list)

    def take(self, block: list[VariantWeights], variants: int, file: VariantFile) -> None:
        """Weights of a block: all to be kept, those of the encoder, and what training added."""
        file.append(block[0])
        if self.shown:
            self.weight.append(weight_of(block[1], self.network, variants))
            self.added.append(weight_of(block[2], self.network, variants))


def shown_variants(
    variants: Variants,
    frequency: np.ndarray,
    weight: np.ndarray,
    added: np.ndarray,
    network: str,
    causal: Sequence[str],
) -> pd.DataFrame:
    """The variants that the report keeps of a network; `causal` where it is known.

    weight, added: (m,) what the hidden units see of each, and what training added to that; by the
    latter variants are ranked.
    """
    order = np.argsort(-added, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    is_causal = pd.Series(variants.id, dtype=object).isin(causal).to_numpy()
    stretch = np.arange(len(order)) * SHOWN_BINS // len(order)
    in_stretch = pd.Series(rank).groupby(stretch).rank(method="first").to_numpy()
    drawn = (rank <= SHOWN_BEST) | (in_stretch <= SHOWN_IN_BIN)
    drawn |= is_causal & (len(causal) <= SHOWN_CAUSAL)
    at = np.flatnonzero(drawn | is_causal)
    table = pd.DataFrame(
        {
            "network": network,
            "rank": rank[at],
            "of": len(order),
            "chromosome": variants.chromosome[at],
            "position": variants.position[at],
            "id": variants.id[at],
            "allele_1": variants.allele_1[at],
            "allele_2": variants.allele_2[at],
            "frequency": frequency[at].round(4),
            "learned": added[at],
            "weight": weight[at],
            "drawn": drawn[at],
        }
    )
    return table.assign(causal=is_causal[at]) if len(causal) else table


def find_variants(
    results: StudyResults,
    genotypes: Genotypes,
    encoders: Encoders,
    run: StudyRun,
    on_block: Callable[[int, int], None] | None = None,
) -> pd.DataFrame | None:
    """Recover and track weights of variants; returns the variants to show.

    Each network's run gets all of its weights, the study's run what the report shows: no rows where
    every genetic dimension is zeroed. Networks of which this machine has no coefficients keep the
    rows that were shown of them. None where nothing can be shown for that reason, or no network
    has genetic inputs.
    """
    shown = {n.replicate_key: n for n in shown_networks(results)}
    wanted = shown | {n.replicate_key: n for n in served_networks(results)}
    recoveries = []
    if wanted:
        lower = training_cholesky(genotypes)
        for key, network in wanted.items():
            recovery = _recovery(network, key in shown, genotypes, encoders, lower)
            if recovery is not None:
                recoveries.append(recovery)
        del lower
    table = _recover_and_track(recoveries, genotypes, run, on_block)
    genetic = any(GENETIC in n.inputs.families for n in results.networks)
    if not genetic or (shown and table is None):
        return None
    without_coefficients = {n.name for n in shown.values()} - {r.network.name for r in recoveries}
    if results.variants is not None and without_coefficients:
        earlier = results.variants[results.variants["network"].isin(without_coefficients)]
        table = earlier if table is None else pd.concat([table, earlier], ignore_index=True)
    table = _no_variants() if table is None else table
    run.write_files(
        run.run_id, {f"{VARIANTS_FOLDER}/{VARIANTS}": table.to_csv(index=False).encode()}
    )
    return table


def _recovery(
    network: NetworkResult,
    shown: bool,
    genotypes: Genotypes,
    encoders: Encoders,
    lower: np.ndarray,
) -> _Recovery | None:
    """None where this machine does not have what the network's encoder learned."""
    columns, ancestry = network.inputs.columns, _used(network, ANCESTRY)
    duals, names = [], []
    used = _used(network, GENETIC)
    if used:
        stored = encoders.read(network.key)
        if stored is None:
            return None
        coefficients, scale = stored
        first = network.inputs.families.index(GENETIC)
        at = [i - first for i in used]
        drawn = genetic_draws(
            network.seed, len(genotypes.training_rows), network.inputs.families.count(GENETIC)
        )
        duals = [dual_of(lower, drawn, coefficients, scale)[:, at], scale * coefficients[:, at]]
        names = [tuple(columns[i] for i in used)] * 2
    kept, kept_names = duals[:1], names[0] if names else ()
    if ancestry:
        components = genotypes.components
        assert components is not None  # else no input would be of that family
        at = [components.names.index(columns[i]) for i in ancestry]
        kept.append(components.dual[:, at])
        kept_names += tuple(columns[i] for i in ancestry)
    duals, names = [np.concatenate(kept, axis=1), *duals], [kept_names, *names]
    matrices = 3 if shown else 1
    return _Recovery(network, duals[:matrices], names[:matrices], shown)


def _recover_and_track(
    recoveries: Sequence[_Recovery],
    genotypes: Genotypes,
    run: StudyRun,
    on_block: Callable[[int, int], None] | None,
) -> pd.DataFrame | None:
    """The weights of each network, into its run; the variants to show of those that are shown."""
    if not recoveries:
        return None
    duals = [dual for recovery in recoveries for dual in recovery.duals]
    names = [columns for recovery in recoveries for columns in recovery.names]
    kept, frequency = [], []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.parquet" for i in range(len(recoveries))]
        with ExitStack() as open_files:
            files = [open_files.enter_context(VariantFile(path)) for path in paths]
            for block in recovered_blocks(genotypes, duals, names, on_block):
                in_turn = iter(block)
                for recovery, file in zip(recoveries, files, strict=True):
                    its_weights = [next(in_turn) for _ in recovery.duals]
                    recovery.take(its_weights, genotypes.variants, file)
                kept.append(block[0].variants)
                frequency.append(block[0].frequency)
        for recovery, path in zip(recoveries, paths, strict=True):
            if recovery.network.run_id is not None:
                run.write_files(recovery.network.run_id, {WEIGHTS: path.read_bytes()})
    causal, variants = causal_ids(genotypes.fileset.prefix), Variants.concatenated(kept)
    p = np.concatenate(frequency)
    tables = [
        shown_variants(
            variants, p, np.concatenate(r.weight), np.concatenate(r.added), r.network.name, causal
        )
        for r in recoveries
        if r.shown
    ]
    return pd.concat(tables, ignore_index=True) if tables else None


def _no_variants() -> pd.DataFrame:
    return pd.DataFrame(columns=["network", "rank", "chromosome", "position", "id", "learned"])
