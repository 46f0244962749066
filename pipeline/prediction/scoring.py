"""A model and a new table (and its people's genotypes) → a prediction a row.

What is the same as in training comes from the model itself: how each column is read, and what is
fitted. Genotypes become the model's genetic dimensions by the weights that it keeps of variants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data import Table, read_table, whose_rows
from pipeline.errors import InputError
from pipeline.genetics import (
    Joined,
    id_columns,
    join,
    score_people,
    simulated_for,
)
from pipeline.prediction.outcomes import known_outcome
from pipeline.serving import (
    copies_of,
    forward,
    load_variant_weights,
    open_fileset,
    scores_of_copies,
)
from pipeline.tracking import FetchedModel, Origin

CACHE = Path(".lariat")
NONE, SIMULATED = "none", "simulated"


def columns_of_ids(id: str) -> tuple[str, ...]:
    """Of the parameter `id`: none, one, or the two of family and within-family id."""
    return () if id == NONE else id_columns(id)


@dataclass(frozen=True, eq=False)
class Scored:
    """People of a new table, as the model sees them.

    table         of those who could be scored: with a fileset, who are in it.
    frame         its columns, and the genetic dimensions that the model needs.
    predictions   (n, outputs) probabilities or quantities, a row a person of the table.
    notes         sentences for the reader; they name columns and count people.
    """

    table: Table
    frame: pd.DataFrame
    predictions: pd.DataFrame
    notes: tuple[str, ...]


def read_people(
    model: FetchedModel,
    data: str | Path,
    genotypes: str = NONE,
    ids: Sequence[str] = (),
    on_block: Callable[[int, int], None] | None = None,
) -> tuple[Table, pd.DataFrame, tuple[str, ...]]:
    """(the table of a file, its columns with the model's genetic dimensions, sentences).

    genotypes: `none`, the prefix of a fileset that has the people by their ids, or `simulated` for
    the people of the model's own study. ids: the column of people's ids, or those of family and
    within-family id. Raises InputError.
    """
    table = read_table(data, texts=tuple(ids))
    table, frame, notes = with_genotypes(model, table, genotypes, ids, on_block)
    return table, frame, (*table.warnings, *notes)


def with_genotypes(
    model: FetchedModel,
    table: Table,
    genotypes: str = NONE,
    ids: Sequence[str] = (),
    on_block: Callable[[int, int], None] | None = None,
) -> tuple[Table, pd.DataFrame, tuple[str, ...]]:
    """The same for a table that was read; with a fileset, of the people who are in it.

    Without one, the table may have the model's variants as columns, by their ids.
    """
    needed, frame = model.network.needed, table.frame
    if set(needed) <= set(frame.columns):  # none, or they are there already
        unused = genotypes not in (NONE, SIMULATED) and not needed
        return table, frame, ("the model uses no genotypes: the fileset is not read",) * unused
    if genotypes == NONE and model.variants is not None:
        weights = load_variant_weights(model.variants)
        if (copies := copies_of(weights, frame)) is not None:
            by_id = scores_of_copies(weights, copies)
            return table, _with_dimensions(frame, by_id.dimensions[list(needed)]), by_id.warnings
    joined = _joined(model, table, genotypes, ids)
    scored = score_people(_variants(model), joined, on_block)
    table = table if joined.table_rows is None else table.rows(joined.table_rows)
    frame = _with_dimensions(table.frame, scored.dimensions[list(needed)])
    return table, frame, (*joined.warnings, *scored.warnings)


def _with_dimensions(frame: pd.DataFrame, dimensions: pd.DataFrame) -> pd.DataFrame:
    frame = frame.drop(columns=[n for n in dimensions.columns if n in frame])
    return pd.concat([frame, dimensions.set_axis(frame.index)], axis=1)


def _variants(model: FetchedModel) -> Path:
    if model.variants is None:
        raise InputError(
            f"genotypes are used by weights of variants, but {model.name} keeps none, since what "
            "training learned of them is not on this machine; take the study's champion, or run "
            "the study anew"
        )
    return model.variants


def _joined(model: FetchedModel, table: Table, genotypes: str, ids: Sequence[str]) -> Joined:
    """Where the table's people are in a fileset."""
    if genotypes == NONE and model.origin.genotypes == SIMULATED:
        genotypes = SIMULATED  # the one set of genotypes that is nobody's
    if genotypes == NONE:
        raise InputError(
            f"{model.name} uses genotypes, but none are given; give genotypes=PREFIX, a PLINK "
            "fileset of these people, and id=COLUMN"
        )
    if genotypes != SIMULATED:
        return join(table, ids, open_fileset(genotypes), several_rows=True)
    if model.origin.genotypes != SIMULATED:
        raise InputError(
            f"{model.name} learned from genotypes that were read, but got genotypes=simulated; "
            "give genotypes=PREFIX, a PLINK fileset of these people"
        )
    outcome = known_outcome(table, model.origin)
    if outcome is None or not outcome.known.all():
        raise InputError(
            "simulated genotypes are drawn given the outcome, so the table must have "
            f"{model.origin.target} in every row, but {table.source} does not; give "
            "genotypes=PREFIX for real ones"
        )
    return Joined(simulated_for(outcome.values, CACHE), np.arange(len(table.frame)))


def score(model: FetchedModel, table: Table, frame: pd.DataFrame) -> Scored:
    """Predictions for the people of `read_people`."""
    predictions, notes = model.network.score(frame, as_read=True, place=table.place)
    return Scored(table, frame, predictions, tuple(notes))


def people_among(table: Table, origin: Origin, ids: Sequence[str] = ()) -> np.ndarray | None:
    """(n,) whose row it is, by these ids or by what said so in the study; None for one row each."""
    columns = ids or origin.person
    if not columns or not set(columns) <= set(table.frame.columns):
        return None
    return whose_rows(table, columns)


def inputs_of(model: FetchedModel, table: Table, frame: pd.DataFrame) -> np.ndarray:
    """(n, p) of the first layer for the people of `read_people`."""
    return model.network.inputs(frame, as_read=True, place=table.place)[0]


def raw_predictions(model: FetchedModel, inputs: np.ndarray) -> np.ndarray:
    """(o, n) as metrics take them: logits, or quantities in the target's unit, of (n, p) inputs."""
    z = forward(model.network.layers, inputs, model.network.activation).T
    center, unit = model.network.scale
    return z * unit + center
