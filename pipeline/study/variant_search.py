"""Which variants a study's networks use: recovered weights, ranked, tracked and read back.

Of the best configuration with genetic inputs, one network for each solution at the best epoch that
keeps genetic dimensions, at most MOST_NETWORKS. A variant's weight is what the hidden units see of
it, ‖(V·W)_j‖ for one standard deviation of its genotype, with W the first-layer weights of the
encoder's outputs: it does not depend on how those outputs are rotated. Most of V is often the
seed's random start, so variants are ranked by what training added to it, V − a·V₀ = a·G_tᵀ·C.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.genetics import Encoders, Genotypes, VariantWeights, causal_ids, dual_of, recover
from pipeline.inspection import (
    best_row,
    by_configuration,
    configuration_table,
    kept_counts,
    solutions_of,
)
from pipeline.results import NetworkResult, StudyResults
from pipeline.tracking import VARIANTS, VARIANTS_FOLDER, StudyRun
from pipeline.training import genetic_draws

GENETIC, MOST_NETWORKS = "genetic", 3
SHOWN_BEST, SHOWN_BINS, SHOWN_IN_BIN, SHOWN_CAUSAL = 500, 2_000, 3, 200
"""Of a network's variants the report draws the first so many, so many of each stretch of the
genome, and a simulation's causal ones if they are so few; it knows the rank of every causal one."""

WEIGHTS = "variants/variants.parquet"


def chosen_networks(results: StudyResults) -> list[NetworkResult]:
    """The networks whose variants are shown, the commonest solution first."""
    genetic = [n for n in results.networks if GENETIC in n.inputs.families]
    if not genetic:
        return []
    best = best_row(
        configuration_table(StudyResults(results.record, tuple(genetic))), results.record.maximize
    )
    if best is None:
        return []
    networks = by_configuration(genetic)[int(best["configuration"])]
    found = solutions_of(networks, results.record.objective, "best")
    kept = [s.representative for s in found]
    kept = [n for n in kept if (kept_counts(n, "best") or {}).get(GENETIC)]
    return kept[:MOST_NETWORKS]


def weight_of(weights: VariantWeights, network: NetworkResult) -> np.ndarray:
    """(m,) ‖(V·W)_j‖/√m of a network, for one standard deviation of a variant's genotype."""
    rows = [network.inputs.columns.index(name) for name in weights.names]
    first = np.asarray(network.first_layer, float)[rows]  # (d, h)
    seen = weights.weights @ np.linalg.cholesky(first @ first.T + 1e-12 * np.eye(len(rows)))
    return np.linalg.norm(seen, axis=1) / np.sqrt(len(weights.variants))


def shown_variants(
    weights: VariantWeights,
    learned: VariantWeights,
    network: NetworkResult,
    causal: Sequence[str],
) -> pd.DataFrame:
    """The variants that the report keeps of a network; `causal` where it is known.

    learned: the weights without the random start; by them variants are ranked.
    """
    variants, added = weights.variants, weight_of(learned, network)
    order = np.argsort(-added, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(1, len(order) + 1)
    is_causal = np.isin(variants.id, causal)
    stretch = np.arange(len(order)) * SHOWN_BINS // len(order)
    in_stretch = pd.Series(rank).groupby(stretch).rank(method="first").to_numpy()
    drawn = (rank <= SHOWN_BEST) | (in_stretch <= SHOWN_IN_BIN)
    drawn |= is_causal & (len(causal) <= SHOWN_CAUSAL)
    at = np.flatnonzero(drawn | is_causal)
    table = pd.DataFrame(
        {
            "network": network.name,
            "rank": rank[at],
            "of": len(order),
            "chromosome": variants.chromosome[at],
            "position": variants.position[at],
            "id": variants.id[at],
            "allele_1": variants.allele_1[at],
            "allele_2": variants.allele_2[at],
            "frequency": weights.frequency[at].round(4),
            "learned": added[at],
            "weight": weight_of(weights, network)[at],
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
    """Recover, track and return the variants to show: no rows where every dimension is zeroed.

    Each network's run gets all of its weights, the study's run what the report shows. Networks of
    which this machine has no coefficients keep the rows that were shown of them; None where no
    chosen network has coefficients here.
    """
    networks, duals, names = [], [], []
    earlier = results.variants
    chosen = chosen_networks(results)
    for network in chosen:
        found = encoders.read(network.key)
        if found is None:
            continue
        coefficients, scale = found
        first = np.asarray(network.first_layer)
        own = [i for i, family in enumerate(network.inputs.families) if family == GENETIC]
        left = [j for j, i in enumerate(own) if np.any(first[i] != 0.0)]
        drawn = genetic_draws(network.seed, len(genotypes.training_rows), len(own))
        duals.append(dual_of(genotypes, drawn, coefficients, scale)[:, left])
        duals.append(scale * coefficients[:, left])
        names += [tuple(network.inputs.columns[own[j]] for j in left)] * 2
        networks.append(network)
    if chosen and not networks:
        return None
    tables = []
    if networks:
        causal = causal_ids(genotypes.fileset.prefix)
        recovered = recover(genotypes, duals, names, on_block)
        for network, weights, learned in zip(
            networks, recovered[0::2], recovered[1::2], strict=True
        ):
            run.write_files(network.run_id, {WEIGHTS: _parquet(weights)})
            tables.append(shown_variants(weights, learned, network, causal))
    lost = {n.name for n in chosen} - {n.name for n in networks}
    if earlier is not None and lost:
        tables.append(earlier[earlier["network"].isin(lost)])
    shown = pd.concat(tables, ignore_index=True) if tables else empty()
    run.write_files(
        run.run_id, {f"{VARIANTS_FOLDER}/{VARIANTS}": shown.to_csv(index=False).encode()}
    )
    return shown


def empty() -> pd.DataFrame:
    return pd.DataFrame(columns=["network", "rank", "chromosome", "position", "id", "learned"])


def _parquet(weights: VariantWeights) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variants.parquet"
        weights.save(path)
        return path.read_bytes()
