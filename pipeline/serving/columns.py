"""One column of a table, by what was decided on the training table: values → numbers or levels.

What does not fit is refused by the column's name and the first row, and its value is not repeated:
this runs where servers keep logs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from .errors import InputError
from .notation import (
    MISSING_TEXTS,
    PANDAS_ALONE,
    Notation,
    as_number,
    is_missing,
    plain_text,
    tidy_text,
    years_of,
)

NUMBER, CATEGORY = "number", "category"
MISSING, UNKNOWN = -1, -2
"""Codes of a category's values that are no level."""

Place = Callable[[int], str]


@dataclass(frozen=True)
class Column:
    """What a column of the training table is.

    notation    how numbers are written.
    missing     texts and numbers that mean missing here, beside MISSING_TEXTS: the study's codes.
    median      of a number's training values: stands for missing ones.
    levels      of a category, as written, in the order of its features.
    other       whether rare levels are joined to one more, which has the code len(levels) and takes
                unknown levels too, because the names of rare ones are not kept.
    has_missing whether training rows had missing values.
    """

    name: str
    kind: str
    notation: Notation = field(default_factory=Notation)
    missing: tuple[str, ...] = ()
    median: float = 0.0
    levels: tuple[str, ...] = ()
    other: bool = False
    has_missing: bool = False

    def means_missing(self, text: str) -> bool:
        """Whether a text is one of this column's codes for missing."""
        return text in self.missing or as_number(text) in _codes(self.missing)

    def words(self) -> str:
        """What the column is, for a person."""
        if self.kind == NUMBER:
            return self.notation.words()
        shown = ", ".join(self.levels[:6])
        more = f" and {len(self.levels) - 6} more" if len(self.levels) > 6 else ""
        other = ", rare ones as other" if self.other else ""
        return f"a category of {shown or 'rare levels'}{more}{other}"


def numbers_of(column: Column, values: pd.Series, place: Place) -> np.ndarray:
    """(n,) float64, NaN where missing. InputError where a value is no number as in training."""
    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        values = values.astype(object)
        kind = values.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) and column.notation.dates:
        return years_of(values.dt.tz_localize(None).to_numpy("datetime64[D]"))
    if column.notation.dates and pd.api.types.is_integer_dtype(kind):
        values, kind = values.astype("Int64").astype("string"), np.dtype(object)  # 19630531
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
        if pd.api.types.is_complex_dtype(kind):
            raise _no_fit(column, 0, place, "holds complex numbers")
        return _typed(column, values.to_numpy(dtype=np.float64, na_value=np.nan), kind, place)
    if column.notation.plain and not column.missing:
        numbers = _plain_numbers(values)
        if numbers is not None:
            return numbers
    codes, distinct = pd.factorize(values.astype(object))
    numbers = np.array([_one_number(column, value) for value in distinct] + [np.nan])
    wrong = [i for i, value in enumerate(distinct) if _one_number(column, value) is None]
    if wrong:
        row = int(np.flatnonzero(np.isin(codes, wrong))[0])
        raise _no_fit(column, row, place, "has another value")
    return numbers.astype(np.float64)[codes]


def _plain_numbers(values: pd.Series) -> np.ndarray | None:
    """Texts that are all plain numbers, read at once; None where any is not."""
    if pd.api.types.infer_dtype(values, skipna=True) != "string":
        return None
    try:
        numbers = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        return None
    return None if np.isinf(numbers).any() else numbers


def _typed(column: Column, numbers: np.ndarray, kind: object, place: Place) -> np.ndarray:
    """Numbers that came as numbers, where the column's notation lets a number be one."""
    notation = column.notation
    if column.missing:
        numbers = np.where(np.isin(numbers, _codes(column.missing)), np.nan, numbers)
    known = ~np.isnan(numbers)
    if not known.any():
        return numbers
    row = int(np.flatnonzero(known)[0])
    if notation.with_unit or notation.dates:
        raise _no_fit(column, row, place, "has a bare number")
    small = known & (np.abs(numbers) < 1000) & (numbers != 0)
    if notation.thousands == "." and pd.api.types.is_float_dtype(kind) and small.any():
        raise InputError(
            f"{column.name} has points between thousands in the training table, which pandas reads "
            f"as decimal points ({place(int(np.flatnonzero(small)[0]))}): give the column as text, "
            "or read the table with thousands='.'"
        )
    return numbers


def _codes(missing: tuple[str, ...]) -> list[float]:
    return [number for text in missing if (number := as_number(text)) is not None]


def _one_number(column: Column, value: object) -> float | None:
    if isinstance(value, str):
        number = column.notation.number(value)
        if column.missing and number is None and tidy_text(value) in column.missing:
            return np.nan
    elif isinstance(value, bool | np.bool_):
        return None
    elif column.notation.dates and hasattr(value, "year"):
        return float(years_of(np.array([np.datetime64(str(value)[:10], "D")]))[0])
    else:
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
        bare = column.notation.with_unit or column.notation.dates
        if bare and number not in _codes(column.missing):
            return None
    return np.nan if number in _codes(column.missing) else number


def _no_fit(column: Column, row: int, place: Place, what: str) -> InputError:
    return InputError(
        f"{column.name} must hold {column.notation.words()}, as in the training table, but "
        f"{what} in {place(row)}; correct it, or write NA where the value is unknown"
    )


def levels_of(
    column: Column, values: pd.Series, as_read: bool, place: Place
) -> tuple[np.ndarray, list[str]]:
    """((n,) codes: positions among the levels, MISSING or UNKNOWN; sentences for the reader).

    as_read: the table comes from Lariat's own reader, so what is missing there is missing. In other
    tables pandas may have taken the answer None for missing, codes for numbers and TRUE for a
    boolean; each finds its level again where only one can be meant. InputError where it is lost.
    """
    codes, distinct = pd.factorize(values.astype(object))
    levels = _Levels(column)
    code_of_distinct = np.array(
        [*(levels.code(value) for value in distinct), MISSING], dtype=np.int64
    )
    positions, notes = code_of_distinct[codes], []
    lost = [level for level in column.levels if level in PANDAS_ALONE]
    blank = is_missing(values)
    if lost and not as_read and blank.any() and not np.any(positions == levels.exact[lost[0]]):
        if column.has_missing:
            raise InputError(
                f"{column.name} has both the answer {lost[0]} and missing values in the training "
                f"table, which pandas.read_csv reads alike ({place(int(np.flatnonzero(blank)[0]))})"
                ": read the table with keep_default_na=False, or write NA for missing ones"
            )
        positions[blank] = levels.exact[lost[0]]
        notes.append(
            f"{column.name}: {int(blank.sum())} missing values are taken for the answer {lost[0]}, "
            "which pandas.read_csv reads as missing; the training table has no missing ones"
        )
    unknown = int(np.sum(positions == UNKNOWN))
    if unknown:
        rule = "the joined rare levels" if column.other else "none of its levels"
        notes.append(
            f"{column.name}: {unknown} of {len(values)} rows have a level that the training rows "
            f"did not have, or too rarely; they count as {rule}"
        )
        if column.other:
            positions[positions == UNKNOWN] = len(column.levels)
    return positions, notes


def _text_of(value: object) -> str:
    return tidy_text(value) if isinstance(value, str) else plain_text(value)


class _Levels:
    """The levels of a column, to be found by text, by number and as a word for true or false."""

    def __init__(self, column: Column):
        self.column = column
        self.exact = {level: i for i, level in enumerate(column.levels)}
        self.by_number: dict[float, list[int]] = {}
        self.by_word: dict[str, list[int]] = {}
        for i, level in enumerate(column.levels):
            if (number := as_number(level)) is not None:
                self.by_number.setdefault(number, []).append(i)
            self.by_word.setdefault(level.casefold(), []).append(i)
        self.missing_numbers = _codes(column.missing)

    def code(self, value: object) -> int:
        """The code of one value; a text is the level that is written so, before anything else."""
        text = _text_of(value)
        written = isinstance(value, str)
        if written and text in self.exact:
            return self.exact[text]
        if written and (text in MISSING_TEXTS or text in self.column.missing):
            return MISSING
        text = plain_text(text)
        if text.casefold() in ("true", "false"):
            same = self.by_word.get(text.casefold(), [])
            return same[0] if len(same) == 1 else self.exact.get(text, UNKNOWN)
        number = as_number(text)
        if number is None:
            return self.exact.get(text, UNKNOWN)
        if number in self.missing_numbers:
            return MISSING
        same = self.by_number.get(number, [])
        if len(same) > 1:
            if written:
                return self.exact.get(text, UNKNOWN)
            raise _several(self.column, same)
        return same[0] if same else UNKNOWN


def _several(column: Column, same: list[int]) -> InputError:
    return InputError(
        f"{column.name} has the codes {' and '.join(column.levels[i] for i in same[:3])} in the "
        "training table, which are one number, and here it holds numbers; give it as text (in "
        f"pandas.read_csv: dtype={{'{column.name}': str}})"
    )
