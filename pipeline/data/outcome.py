"""The target's column → the task, the outcome as numbers, and its classes.

The task, unless a study says it (`task:`):

- two distinct values, whatever they are: binary;
- text, true/false or pandas categories of 3 to 20 distinct values, or 3 to 20 distinct whole
  numbers: multiclass;
- any other numbers: regression.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.data.features import plain_value, same_answer
from pipeline.data.kinds import Hints, as_numbers, columns_of
from pipeline.data.table import Table, named
from pipeline.errors import InputError
from pipeline.serving import CATEGORY, NUMBER, Column, plain_text

BINARY, MULTICLASS, REGRESSION = "binary", "multiclass", "regression"
MOST_INFERRED_CLASSES = 20
MOST_CLASSES = 100

_SELF_EXPLAINING = ((0, 1), (1, 2), (False, True), ("n", "y"), ("no", "yes"), ("false", "true"))


@dataclass(frozen=True, eq=False)
class Outcome:
    """values (n,): positions in `classes` as integers, or quantities as float64 and no classes."""

    task: str
    values: np.ndarray
    classes: tuple = ()
    notes: tuple[str, ...] = ()


def read_outcome(
    table: Table,
    target: str,
    task: str = "auto",
    hints: Hints | None = None,
) -> Outcome:
    """The outcome of every row. Raises InputError where the target does not suit the task."""
    hints = hints or Hints()
    _check_no_date(table, target)
    values = without_codes(table, target, hints)
    if missing := int(values.isna().sum()):
        raise InputError(
            f"the target must be known in every row, but {target} of {table.source} is missing in "
            f"{missing} of {len(values)} rows; remove these rows or complete them"
        )
    distinct = int(values.astype(object).nunique())
    if distinct == 1:
        requirement = "differ between rows" if task == REGRESSION else "have two classes"
        raise InputError(
            f"the target must {requirement}, but {target} of {table.source} has one value in "
            "all rows; take another target, or rows of the other class too"
        )
    declared = Hints(categories=(target,), missing=hints.missing)
    columns_of(table, [target], declared)  # refuses what has no labels
    chosen = _inferred(table, target, distinct, hints) if task == "auto" else task
    if chosen == REGRESSION:
        numbers, how_read = _quantities(table, target, hints)
        return Outcome(chosen, numbers, (), tuple(how_read))
    _check_classes(table, target, chosen, distinct)
    _check_labels(table, target, values)
    positions, classes = _classes(values)
    notes = _case_note(target, classes) if chosen == BINARY else ()
    if task == "auto" and chosen == MULTICLASS and pd.api.types.is_numeric_dtype(values.dtype):
        notes = (
            f"{target} is taken as {distinct} classes, as it has {distinct} distinct whole "
            "numbers; say `task: regression` in the study if they are quantities",
        )
    return Outcome(chosen, positions, classes, notes)


def without_codes(table: Table, target: str, hints: Hints) -> pd.Series:
    """The target's values, with what the study calls missing as missing."""
    values = table.frame[target]
    codes = hints.missing_of(target)
    if not codes:
        return values
    texts = values.astype(object).map(plain_text, na_action="ignore")
    return values.mask(texts.isin([plain_text(code) for code in codes]))


def _inferred(table: Table, target: str, distinct: int, hints: Hints) -> str:
    """The task by the module's rule."""
    if distinct == 2:
        return BINARY
    column = _described(table, target, hints)[0]
    if column.kind == CATEGORY:
        if distinct > MOST_INFERRED_CLASSES:
            raise InputError(
                f"a target of text must have at most {MOST_INFERRED_CLASSES} distinct values, but "
                f"{target} of {table.source} has {distinct}; take another target, join rare "
                f"classes, or say `task: multiclass` in the study (up to {MOST_CLASSES} classes)"
            )
        return MULTICLASS
    values = as_numbers(table, column)
    whole = bool(np.all(values == np.round(values)))
    return MULTICLASS if whole and distinct <= MOST_INFERRED_CLASSES else REGRESSION


def _described(table: Table, target: str, hints: Hints) -> tuple[Column, list[str]]:
    columns, notes = columns_of(table, [target], hints)
    return columns[target], notes


def _quantities(table: Table, target: str, hints: Hints) -> tuple[np.ndarray, list[str]]:
    """((n,) float64, sentences on how they were read); InputError unless they are numbers."""
    column, notes = _described(table, target, hints)
    if column.kind != NUMBER:
        values = [repr(plain_value(v)) for v in table.frame[target].astype(object).unique()[:2]]
        raise InputError(
            f"a regression target must be numbers, but {target} of {table.source} holds "
            f"{named(values)}; take another target, or say `task: multiclass` in the study"
        )
    return as_numbers(table, column), notes


def _check_classes(table: Table, target: str, task: str, distinct: int) -> None:
    """InputError unless the number of distinct values suits a binary or multi-class task."""
    about = f"{target} of {table.source} has {distinct}"
    if task == BINARY and distinct != 2:
        raise InputError(
            f"the target must have exactly 2 distinct values, but {about}; take another target, "
            "recode it to 0 and 1, or say `task: multiclass` or `task: regression` in the study"
        )
    if task == MULTICLASS and distinct == 2:
        raise InputError(
            f"a multi-class target must have 3 or more distinct values, but {about}; "
            "say `task: binary` in the study"
        )
    if task == MULTICLASS and distinct > MOST_CLASSES:
        raise InputError(
            f"a multi-class target must have at most {MOST_CLASSES} distinct values, but {about}; "
            "take another target, join rare classes, or say `task: regression` in the study"
        )


def _check_labels(table: Table, target: str, values: pd.Series) -> None:
    """InputError where two labels are one to a person: other capitals or spaces, TRUE beside 1."""
    labels = [plain_text(value) for value in values.astype(object).unique()]
    if len({same_answer(label) for label in labels}) < len(set(labels)):
        raise InputError(
            f"the labels of a target must differ in more than capitals and spaces, but those of "
            f"{target} in {table.source} do not, or have TRUE beside 1; write each class in one way"
        )


def _classes(column: pd.Series) -> tuple[np.ndarray, tuple]:
    """((n,) positions in the classes, the classes in sorted order)."""
    codes, values = pd.factorize(column.astype(object))
    labels = [plain_value(value) for value in values]
    if {str(label).casefold() for label in labels} == {"true", "false"}:
        labels = [str(label).casefold() == "true" for label in labels]
    try:
        order = sorted(range(len(labels)), key=lambda i: labels[i])  # type: ignore[arg-type,return-value]
    except TypeError:  # text and a number
        order = sorted(range(len(labels)), key=lambda i: str(labels[i]))
    return np.argsort(order)[codes].astype(np.int64), tuple(labels[i] for i in order)


def with_case(
    table: Table, target: str, outcome: Outcome, case: bool | float | str | None
) -> Outcome:
    """The outcome with this label as the case, the second of two; None leaves it as it is.

    A label is the same as text and as number, and in any case of its letters where only one is.
    Raises InputError.
    """
    if case is None:
        return outcome
    if outcome.task != BINARY:
        raise InputError(
            f"case names one of two classes, but {target} of {table.source} is a {outcome.task} "
            "target; take case out of the study, or say `task: binary`"
        )
    classes = outcome.classes
    texts = [plain_text(label) for label in classes]
    wanted = plain_text(case)
    if wanted not in texts:
        texts, wanted = [t.casefold() for t in texts], wanted.casefold()
    if texts.count(wanted) != 1:
        raise InputError(
            f"case must be one of the labels of {target}, {classes[0]} or {classes[1]} in "
            f"{table.source}, but got {case}; write one of them"
        )
    if texts.index(wanted) == 1:
        return replace(outcome, notes=())
    return Outcome(BINARY, 1 - outcome.values, classes[::-1])


def _check_no_date(table: Table, target: str) -> None:
    """InputError for a target of dates or times, whose numbers nobody means."""
    kind = pd.api.types.infer_dtype(table.frame[target], skipna=True)
    if kind in ("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period"):
        raise InputError(
            f"a target must be classes or quantities, but {target} of {table.source} holds dates "
            "or times; write it as a number (days since …, an age, a year) or as classes"
        )


def explains_itself(classes: tuple) -> bool:
    """Whether two labels say which is the case: 0 and 1, no and yes."""
    return tuple(c.lower() if isinstance(c, str) else c for c in classes) in _SELF_EXPLAINING


def _case_note(target: str, classes: tuple) -> tuple[str, ...]:
    if explains_itself(classes):
        return ()
    note = (
        f"a case is {target} = {classes[1]}, the second of {classes[0]} and {classes[1]} in sorted "
        f"order; say `case: {classes[0]}` in the study (-P case=…) if the other is meant"
    )
    return (note,)
