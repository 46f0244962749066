"""The outcome of a new table's people, where it is known, in the classes of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.data import REGRESSION, Hints, Table, named, read_outcome, without_codes
from pipeline.errors import InputError
from pipeline.tracking import Origin


@dataclass(frozen=True, eq=False)
class KnownOutcome:
    """values (n,): positions in the model's classes, or quantities; meaningless where not known.

    known (n,): whether the outcome of a row is there.
    """

    values: np.ndarray
    known: np.ndarray


def _text(value: object) -> str:
    """A label as text, whole numbers without a point: 1, 1.0 and "1" are one label, True is not."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def known_outcome(table: Table, origin: Origin) -> KnownOutcome | None:
    """None where the table has no column of the target's name. Raises InputError for a label that
    no person of the study had, and for text in place of a quantity."""
    if origin.target not in table.frame.columns:
        return None
    column = without_codes(table, origin.target, Hints(missing={"": origin.missing}))
    known = column.notna().to_numpy()
    if not known.any():
        return None
    if origin.task == REGRESSION:
        table = replace(table, frame=table.frame.assign(**{origin.target: column}))
        return KnownOutcome(_quantities(table, origin.target, known), known)
    position = {_text(label): i for i, label in enumerate(origin.classes)}
    if set(position) == {"0", "1"}:
        position |= {"False": position["0"], "True": position["1"]}
    elif set(position) == {"False", "True"}:
        position |= {"0": position["False"], "1": position["True"]}
    texts = [_text(v) if k else "" for v, k in zip(column.astype(object), known)]
    if {"False", "True"} <= set(position):  # in whatever case, as in training
        texts = [t.capitalize() for t in texts]
    wrong = np.flatnonzero([k and t not in position for t, k in zip(texts, known)])
    if len(wrong):
        raise InputError(
            f"{origin.target} must be one of {named(position)}, as in the study, but "
            f"{table.source} has another value in {table.place(int(wrong[0]))} "
            f"({len(wrong)} such rows); correct it, or leave the column out"
        )
    return KnownOutcome(np.array([position.get(t, 0) for t in texts], np.int64), known)


def _quantities(table: Table, target: str, known: np.ndarray) -> np.ndarray:
    """(n,) float64; texts are read as a study reads them, by the one notation that all have."""
    values = pd.to_numeric(table.frame[target], errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(known & np.isnan(values))
    if not len(wrong):
        return values
    rows = np.flatnonzero(known)
    try:
        values = np.full(len(known), np.nan)
        values[rows] = read_outcome(table.rows(rows), target, REGRESSION).values
    except InputError:
        raise InputError(
            f"{target} must be a quantity, as in the study, but {table.source} has text "
            f"in {table.place(int(wrong[0]))}; correct it, or leave the column out"
        ) from None
    return values
