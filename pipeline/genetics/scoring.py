"""The genetic dimensions of people who were not in a study, from their fileset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.genetics.people import Joined
from pipeline.serving import (
    Fileset,
    GeneticScores,
    VariantWeights,
    load_variant_weights,
    open_fileset,
    scores_of_fileset,
)


def score_people(
    weights: VariantWeights | str | Path,
    people: Joined | Fileset | str | Path,
    on_block: Callable[[int, int], None] | None = None,
) -> GeneticScores:
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
    return scores_of_fileset(weights, people.fileset, people.rows, on_block)
