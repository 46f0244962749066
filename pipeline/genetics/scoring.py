"""The genetic dimensions of people who were not in a study, from their fileset.

    E_i = Σ_j (count_ij − 2·p_j)/s_j · V_j

with the weights V, frequencies p and scales s of `variant_weights`. A variant that a person has no
call of, or that cannot be used in their fileset (`matching`), counts as the mean of the training
people: it adds 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.errors import InputError
from pipeline.genetics.genotypes import read_blocks
from pipeline.genetics.matching import MatchCounts, match_variants
from pipeline.genetics.people import Joined
from pipeline.genetics.plink import MISSING, Fileset, open_fileset
from pipeline.genetics.variant_weights import VariantWeights, load_variant_weights


@dataclass(frozen=True, eq=False)
class Scored:
    """What a network's encoder makes of people's genotypes.

    dimensions  (N, d) float64, a row a person in the order asked for, a column a name of the
                weights (`genetic_3`, `PC1` …); the index is 0 … N − 1 and holds no id
    counts      how the variants of the model were found in the fileset
    warnings    the same in sentences, where something is to be said
    """

    dimensions: pd.DataFrame
    counts: MatchCounts
    warnings: tuple[str, ...]


def score_people(
    weights: VariantWeights | str | Path,
    people: Joined | Fileset | str | Path,
    on_block: Callable[[int, int], None] | None = None,
) -> Scored:
    """The genetic dimensions of people, who need not have been in the study.

    weights   of a network, or the file that its run keeps, `variants/variants.parquet`
    people    everyone of a fileset or of the fileset of this prefix, in the order of the .fam; or
              what `join(table, id, open_fileset(prefix))` gives: people of a table, in its order
    on_block  called with the variants read so far, and all of the fileset

    Of the people on whom a network was trained, and of those it was validated and tested on, these
    are the encodings of the study to the precision of float32. Raises InputError where a file
    cannot be used, or where no variant of the model is in the fileset.
    """
    if not isinstance(weights, VariantWeights):
        weights = load_variant_weights(Path(weights))
    if isinstance(people, (str, Path)):
        people = open_fileset(people)
    if isinstance(people, Fileset):
        people = Joined(people, np.arange(len(people.people)))
    fileset, rows = people.fileset, people.rows
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
    for calls in read_blocks(fileset, rows):
        stop = start + calls.shape[1]
        block = order[np.searchsorted(columns, start) : np.searchsorted(columns, stop)]
        dimensions += _standardized(
            calls[:, match.fileset_columns[block] - start], weights, match.sign, block
        )
        start = stop
        if on_block is not None:
            on_block(stop, total)
    table = pd.DataFrame(dimensions, columns=list(weights.names))
    return Scored(table, match.counts, match.counts.sentences(fileset.name))


def _standardized(
    calls: np.ndarray, weights: VariantWeights, sign: np.ndarray, block: np.ndarray
) -> np.ndarray:
    """(N, d) of the calls (N, m) of these variants of the model."""
    copies = np.where(sign[block] > 0, calls, 2 - calls.astype(np.int16))
    standard = (copies - 2.0 * weights.frequency[block]) / weights.scale[block]
    standard[calls == MISSING] = 0.0
    return standard @ weights.weights[block].astype(float)
