"""What each column of a table is, decided once on the training table: its kind and notation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from pipeline.data.csv_text import LEADING_ZERO, THREE_DECIMALS
from pipeline.data.notations import (
    FORMATS,
    candidates,
    date_orders,
    known_texts,
    look_like_numbers,
    looks_like_date,
)
from pipeline.data.table import Table, named
from pipeline.errors import InputError
from pipeline.serving import CATEGORY, NUMBER, Column, Notation, as_number, numbers_of

# Standardized features are float32, which ends at 3.4e38.
LARGEST_NUMBER = 1e38


@dataclass(frozen=True)
class Hints:
    """What a study says of how its table is written.

    categories  columns of codes.
    numbers     column (or "" for all) → `1,234.5` or `1.234,5`, for numbers that can be read in
                both ways.
    missing     column (or "" for all) → texts and numbers that mean missing.
    dates       columns of dates to be taken as years.
    """

    categories: Sequence[str] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    dates: Sequence[str] = ()

    def missing_of(self, name: str) -> tuple[str, ...]:
        return tuple(str(x) for key in ("", name) for x in self.missing.get(key, ()))


class Unreadable(InputError):
    """A column that holds neither numbers nor categories as it stands. `why` names no value."""

    def __init__(self, sentence: str, why: str) -> None:
        super().__init__(sentence)
        self.why = why


def unreadable(table: Table, names: Sequence[str], hints: Hints) -> dict[str, Unreadable]:
    """Those of the columns that a table is refused for → why."""
    return _sorted_out(table, names, hints)[2]


def columns_of(
    table: Table, names: Sequence[str], hints: Hints
) -> tuple[dict[str, Column], list[str]]:
    """(name → what the column is, sentences on how columns were read). Raises InputError.

    Text, booleans and pandas categories are categories, and so are numbers with leading zeros
    (codes) and what the study names. Text is a column of numbers where every value is one in one
    notation; of two that fit, the one whose decimal mark the table's other columns have.
    """
    column_of, undecided, refused = _sorted_out(table, names, hints)
    if refused:
        first, *others = refused.items()
        also = "; refused too: " + named(f"{name} ({e.why})" for name, e in others)
        raise Unreadable(f"{first[1]}{also if others else ''}", first[1].why)
    marks = {table.decimal} | {_decimal_mark(column) for column in column_of.values()}
    marks.discard("")
    notes = []
    in_threes = [
        name
        for name, notations in undecided.items()
        if notations[0].plain and "," not in marks and _wanted(hints, name) is None
    ]
    column_of |= {name: Column(name, NUMBER, missing=hints.missing_of(name)) for name in in_threes}
    if in_threes and not marks:
        notes.append(
            f"{named(in_threes)}: all numbers have three decimals (1.234) and are read with "
            f"decimal points; if points stand between thousands, {_HOW}"
        )
    for name, notations in undecided.items():
        if name in in_threes:
            continue
        chosen, note = _decided(table, name, notations, hints, marks)
        column_of[name] = Column(name, NUMBER, chosen, hints.missing_of(name))
        notes += note
    columns = {name: column_of[name] for name in names}
    odd = [n for n, c in columns.items() if c.notation.plain and _has_odd_signs(table, c)]
    if odd:
        notes.append(f"{named(odd)}: odd spaces and the typographic minus are read as such")
    return columns, _how_read(columns) + notes + _codes_note(table, columns, hints)


def _sorted_out(
    table: Table, names: Sequence[str], hints: Hints
) -> tuple[dict[str, Column], dict[str, list[Notation]], dict[str, Unreadable]]:
    """By name: what a column is, notations of which several fit, and why it cannot be read."""
    column_of: dict[str, Column] = {}
    undecided: dict[str, list[Notation]] = {}
    refused: dict[str, Unreadable] = {}
    for name in names:
        try:
            column = _by_type(table, name, hints) or _of_text(table, name, hints, undecided)
        except Unreadable as error:
            refused[name] = error
            continue
        if column is not None:
            column_of[name] = column
    return column_of, undecided, refused


def _has_odd_signs(table: Table, column: Column) -> bool:
    """Whether plain numbers are text for a sign that other programs do not know."""
    values = table.frame[column.name]
    if column.kind != NUMBER or values.dtype != object:
        return False
    return any(isinstance(v, str) and not v.isascii() for v in values.unique())


def _decimal_mark(column: Column) -> str:
    """The decimal mark that a column of text speaks for, "" for none."""
    notation = column.notation
    if column.kind != NUMBER or notation.dates:
        return ""
    return "," if notation.decimal == "," else "." if notation.thousands == "," else ""


MOST_CODES = 12


def is_quantity(table: Table, name: str) -> bool:
    """Whether a column of numbers has more distinct ones than codes do, or broken ones."""
    values = pd.to_numeric(table.frame[name], errors="coerce")
    if values.isna().sum() > table.frame[name].isna().sum():
        return False  # text
    values = values.dropna().unique()
    return bool(len(values) > MOST_CODES or np.any(values != np.round(values)))


def _by_type(table: Table, name: str, hints: Hints) -> Column | None:
    """What a column is by its type or by the study; None for text that must be looked at."""
    values = table.frame[name]
    kind = pd.api.types.infer_dtype(values, skipna=True)
    missing = hints.missing_of(name)
    if kind in ("bytes", "complex") or (kind == "mixed" and not _plain(values)):
        raise Unreadable(
            f"a column must hold numbers, text or true and false, but {name} of {table.source} "
            "holds something else; convert it, or name it under drop",
            "neither numbers nor text",
        )
    if name in hints.categories or kind in ("categorical", "boolean"):
        return Column(name, CATEGORY, missing=missing)
    if kind in ("datetime", "datetime64", "date"):
        if name in hints.dates:
            return Column(name, NUMBER, Notation(dates="ymd"), missing)
        raise _dates(table, name)
    if kind in ("time", "timedelta", "timedelta64", "period"):
        raise _dates(table, name)
    if name in hints.dates and kind == "integer" and _eight_digits(values):
        return Column(name, NUMBER, Notation(dates="ymd"), missing)
    if name in hints.dates and not values.isna().all() and kind not in ("string", "mixed"):
        raise InputError(
            f"dates must name columns of dates, but {name} of {table.source} holds numbers; take "
            "it out of dates"
        )
    if pd.api.types.is_numeric_dtype(values.dtype) or values.isna().all():
        return Column(name, NUMBER, missing=missing)
    return None


def _eight_digits(values: pd.Series) -> bool:
    """Whether all whole numbers are dates such as 19630531."""
    texts = values.dropna().astype("int64").astype(str)
    return all(Notation(dates="ymd").number(text) is not None for text in texts.unique())


def _plain(column: pd.Series) -> bool:
    return all(isinstance(v, str | bool | int | float | np.generic) for v in column.dropna())


def _of_text(
    table: Table, name: str, hints: Hints, undecided: dict[str, list[Notation]]
) -> Column | None:
    """What a column of text is; None, and its notations in open_ones, where several fit."""
    missing = hints.missing_of(name)
    texts = known_texts(table.frame[name].dropna().unique(), missing)
    if not texts:
        return Column(name, NUMBER, missing=missing)
    if name in hints.dates:
        return Column(name, NUMBER, Notation(dates=_date_order(table, name, texts)), missing)
    codes = any(re.match(LEADING_ZERO, text) and _is_plain(text) for text in texts)
    if codes and name not in hints.numbers and not any(looks_like_date(t) for t in texts):
        return Column(name, CATEGORY, missing=missing)
    if all(re.fullmatch(THREE_DECIMALS, text) for text in texts):
        undecided[name] = [Notation(), Notation(",", ".")]
        return None
    notations = [] if looks_like_date(texts[0]) else candidates(texts)
    if len(notations) == 1:
        return Column(name, NUMBER, notations[0], missing)
    if notations:
        undecided[name] = notations
        return None
    if name in hints.numbers:
        raise InputError(
            f"`numbers` must name columns of numbers, but {name} of {table.source} has others; "
            "take it out of numbers"
        )
    _check_text(table, name, missing)
    return Column(name, CATEGORY, missing=missing)


def _is_plain(text: str) -> bool:
    return as_number(text) is not None


def _date_order(table: Table, name: str, texts: Sequence[str]) -> str:
    orders = date_orders(texts)
    if len(orders) == 1:
        return orders[0]
    if not orders:
        raise InputError(
            f"dates must name columns of dates, such as 1963-05-31, 31.5.1963 or 31 May 1963, with "
            f"years of four digits, but {name} of {table.source} has other values; write the dates "
            "so, or name it under drop"
        )
    if any("." in text for text in texts):
        return "dmy"
    raise InputError(
        f"the order of dates must be plain, but {name} of {table.source} can be read as day/month "
        "and as month/day; write the dates as 1963-05-31"
    )


_HOW = 'say `numbers: "1,234.5"` or `numbers: "1.234,5"` in the study (-P numbers=…)'


def _wanted(hints: Hints, name: str) -> str | None:
    return hints.numbers.get(name, hints.numbers.get(""))


def _decided(
    table: Table, name: str, notations: list[Notation], hints: Hints, marks: set[str]
) -> tuple[Notation, list[str]]:
    """Of several notations the one that study or table speak for, and a sentence on it."""
    wanted = _wanted(hints, name)
    if wanted is not None:
        decimal, thousands = FORMATS[wanted]
        for notation in notations:
            separated = notation.thousands if notation.thousands in ".," else ""
            if (notation.decimal == decimal and not separated) or separated == thousands:
                return notation, []
    texts = known_texts(table.frame[name].dropna().unique(), hints.missing_of(name))
    # Sentences that are kept have made-up numbers, never a person's.
    fitting = [n for n in notations if len(marks) == 1 and n.decimal in marks]
    if len(fitting) == 1:
        mark, example = ("points", "1,234") if "." in marks else ("commas", "1.234")
        if fitting[0].thousands not in (",", "."):
            mark, example = ("points", "1.234") if "." in marks else ("commas", "1,234")
        value = 1.234 if fitting[0].thousands not in (",", ".") else 1234
        note = f"{name}: numbers such as {example} are read as {value}"
        return fitting[0], [f"{note}, as other columns have decimal {mark}; else {_HOW}"]
    text = next(t for t in texts if len({n.number(t) for n in notations}) > 1)
    row = table.frame.index[table.frame[name] == text]
    where = f" in {table.place(int(row[0]))}" if len(row) else ""
    readings = " or ".join(f"{n.number(text):.10g}" for n in notations)
    raise InputError(
        f"numbers must have one reading, but {name} of {table.source} has {text}{where}, which can "
        f"be {readings}; {_HOW}"
    )


def _how_read(columns: Mapping[str, Column]) -> list[str]:
    """A sentence for each notation that is not the plain one."""
    names_by_notation: dict[str, list[str]] = {}
    for name, column in columns.items():
        if column.kind == NUMBER and not column.notation.plain:
            names_by_notation.setdefault(column.notation.words(), []).append(name)
    return [
        f"{named(names)} {'is' if len(names) == 1 else 'are'} read as {words}"
        for words, names in names_by_notation.items()
    ]


def _codes_note(table: Table, columns: Mapping[str, Column], hints: Hints) -> list[str]:
    """A sentence for columns that are categories only because of leading zeros."""
    names = []
    for name, column in columns.items():
        if column.kind == CATEGORY and name not in hints.categories:
            values = table.frame[name]
            if values.dtype != object:
                continue
            texts = [v for v in values.dropna().unique() if isinstance(v, str)]
            if texts and all(_is_plain(t) for t in texts):
                names.append(name)
    if not names:
        return []
    return [
        f"{named(names)}: numbers with leading zeros are taken as codes, one category each; name "
        "the column under numbers if they are quantities"
    ]


def _dates(table: Table, name: str) -> Unreadable:
    return Unreadable(
        f"a column must hold numbers or categories, but {name} of {table.source} holds dates or "
        "times; name it under dates to take it as a number of years, write it as a number (an age, "
        "days since …), or name it under drop",
        "dates; name it under dates to take it as years",
    )


def _check_text(table: Table, name: str, missing: Sequence[str]) -> None:
    """InputError if the column is text only because some numbers or dates in it are odd."""
    values = table.frame[name].dropna().map(str)
    values = values[~values.isin([*missing])]
    distinct = values.drop_duplicates()
    if values.map(looks_like_date).mean() > 0.5:
        raise _dates(table, name)
    looks = look_like_numbers(list(distinct))
    is_number = values.map(looks)
    # Rows as well as distinct values: "unknown" can be the commonest value of a quantity.
    if is_number.mean() > 0.5 or distinct.map(looks).mean() > 0.5:
        odd = values.index[~is_number]
        if not len(odd):
            raise _two_ways(table, name, distinct)
        value = repr(values[odd[0]][:40])
        raise Unreadable(
            f"a column of numbers must hold nothing else, but {name} of {table.source} has {value} "
            f"in {table.place(odd[0])}; write missing values as NA or name them under missing, or "
            f"name {name} under categories or drop",
            "numbers and text; name what means missing under missing",
        )


def _two_ways(table: Table, name: str, distinct: pd.Series) -> Unreadable:
    """Numbers throughout, and not written in one way: names two that differ."""
    first = distinct.iloc[0]
    fits = candidates([first])
    other = next(
        (t for t in distinct if not any(n.number(t) is not None for n in fits)), distinct.iloc[-1]
    )
    rows = [int(table.frame.index[table.frame[name] == text][0]) for text in (first, other)]
    return Unreadable(
        f"all numbers of a column must be written in one way, but {name} of {table.source} has "
        f"{first[:40]!r} in {table.place(rows[0])} and {other[:40]!r} in {table.place(rows[1])}; "
        f"write them alike, or name {name} under categories or drop",
        "numbers that are not written in one way",
    )


def as_numbers(table: Table, column: Column) -> np.ndarray:
    """(n,) float64 of a column of numbers, NaN where missing."""
    return numbers_of(column, table.frame[column.name], table.place)


def check_finite(table: Table, columns: Sequence[Column]) -> None:
    """InputError if a number in any of these columns is infinite or too large, in any row."""
    too_large = {}
    for column in columns:
        if column.kind != NUMBER:
            continue
        values = as_numbers(table, column)
        if count := int(np.sum(np.abs(values) > LARGEST_NUMBER)):
            too_large[column.name] = count
    if too_large:
        total = sum(too_large.values())
        raise InputError(
            f"numbers must be finite and within ±{LARGEST_NUMBER:g}, but {named(too_large)} of "
            f"{table.source} {'has' if len(too_large) == 1 else 'have'} {total} infinite or larger "
            f"{'value' if total == 1 else 'values'}; correct them, or write missing values as NA"
        )
