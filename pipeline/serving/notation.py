"""How the numbers of a column are written, and texts → numbers by it.

A notation is decided once, on the training table; here it is applied, value by value, so that a
number is read alike whatever stands in the other rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

MISSING_TEXTS = (
    *("", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan"),
    *("null", "NULL", ".", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
"""Texts that mean "no value". Unlike pandas' list this has SAS's and Stata's "." and leaves "None"
alone, which is an answer in many questionnaires."""

PANDAS_ALONE = ("None",)
"""Texts that pandas.read_csv takes for missing and that are answers here."""

_SPACES = str.maketrans(
    dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u205f\u3000", " ")
)
_MINUS = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2013\ufe63\uff0d", "-"))
_INVISIBLE = str.maketrans(dict.fromkeys("\u200b\u200e\u200f\u2060\ufeff"))
CURRENCIES = "€$£¥₹₽₩₺₪฿"

_GROUPS = {
    "": r"\d+",
    ",": r"\d{1,3}(?:,\d{2,3})*,\d{3}|\d+",
    ".": r"\d{1,3}(?:\.\d{3})+|\d+",
    " ": r"\d{1,3}(?: \d{3})+|\d+",
    "'": r"\d{1,3}(?:['’]\d{3})+|\d+",
}
"""Mark between thousands → the whole part of a number (commas in the Indian way too)."""


@dataclass(frozen=True)
class Notation:
    """How a column's numbers are written.

    decimal    the decimal mark; thousands the mark between thousands, "" for none.
    before, after
               what stands around every number: a currency, a unit, %.
    bounds     whether some values are written as `<5` or `>120`, which is read as the number.
    dates      "" or the order of a date, `ymd`, `dmy` or `mdy`: read as years, 1963.42.
    below_zero whether some values are written as `(5)` or `5-`, which is read as −5.
    """

    decimal: str = "."
    thousands: str = ""
    before: str = ""
    after: str = ""
    bounds: bool = False
    dates: str = ""
    below_zero: bool = False

    @property
    def plain(self) -> bool:
        """Whether every program reads such numbers by itself."""
        return self == Notation()

    @property
    def with_unit(self) -> bool:
        return bool(self.before or self.after)

    def words(self) -> str:
        """For a sentence: `numbers with decimal commas and the unit mg`."""
        if self.dates:
            order = {"ymd": "year-month-day", "dmy": "day-month-year", "mdy": "month-day-year"}
            return f"dates ({order[self.dates]}), read as years"
        marks = {",": "commas", ".": "points", " ": "spaces", "'": "apostrophes"}
        parts = []
        if self.decimal == ",":
            parts.append("decimal commas")
        if self.thousands:
            parts.append(f"{marks[self.thousands]} between thousands")
        if self.with_unit:
            parts.append(f"{self.before or self.after} {'before' if self.before else 'after'} each")
        if self.bounds:
            parts.append("bounds (<5 is read as 5)")
        if self.below_zero:
            parts.append("negative ones in parentheses or with the minus behind: (5) is read as -5")
        return "numbers with " + " and ".join(parts) if parts else "numbers"

    def number(self, text: str) -> float | None:
        """The number, NaN where the text says missing, None where it is not written so."""
        text = tidy_text(text)
        if text in MISSING_TEXTS:
            return np.nan
        if self.dates:
            return year_of(text, self.dates)
        text = text.translate(_MINUS)
        if self.bounds:
            text = re.sub(r"^(?:<=?|>=?|≤|≥)\s*", "", text)
        if self.below_zero:
            text = with_leading_minus(text)
        bare = without_unit(text, self.before, self.after)
        if bare is None:
            return None
        return _value(bare, self.decimal, self.thousands)


def with_leading_minus(text: str) -> str:
    """`(5)` and `5-`, as accountants and some databases write them, → `-5`; another as it is."""
    match = re.fullmatch(r"\(\s*(?![+-])([^()]*\d[^()]*)\)|(?![+-])([^()-]*\d)\s?-", text)
    return text if match is None else f"-{(match[1] or match[2]).strip()}"


def tidy_text(text: str) -> str:
    """Without outer and odd spaces: a no-break space becomes a space, a zero-width one nothing."""
    if not text.isascii():
        text = text.translate(_SPACES).translate(_INVISIBLE)
    return text.strip()


def without_unit(text: str, before: str, after: str) -> str | None:
    """The number's part of a text; None where the unit is not there."""
    sign = text[:1] if before and text[:1] in "+-" else ""
    text = text[len(sign) :]
    if not (text.startswith(before) and text.endswith(after)):
        return None
    return sign + text[len(before) : len(text) - len(after) or None].strip()


def _value(text: str, decimal: str, thousands: str) -> float | None:
    """The value of a number by its marks, None where it does not have their form."""
    mark = re.escape(decimal)
    whole = _GROUPS[thousands]
    form = rf"([+-]?)\s?(?:({whole})(?:{mark}(\d*))?|{mark}(\d+))(?:[eE]([+-]?\d+))?"
    match = re.fullmatch(form, text)
    if match is None:
        return None
    sign, whole, fraction, alone, exponent = match.groups()
    digits = re.sub(r"\D", "", whole or "0")
    return float(f"{sign}{digits}.{fraction or alone or '0'}e{exponent or 0}")


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<m>\d{1,2}|(?i:" + "|".join(_MONTHS) + r")[a-zA-Z]{0,6}\.?)"
_CLOCK = r"(?:[T ]\s*\d{1,2}:\d{2}.*)?"
_DATE_FORMS = {
    "ymd": rf"(?P<y>\d{{4}})[-/. ]{_MONTH}[-/. ](?P<d>\d{{1,2}})(?:[T ].*)?",
    "dmy": rf"(?P<d>\d{{1,2}})[-/. ]\s?{_MONTH}[-/., ]\s?(?P<y>\d{{4}}){_CLOCK}",
    "mdy": rf"{_MONTH}[-/. ]\s?(?P<d>\d{{1,2}})[-/., ]\s?(?P<y>\d{{4}}){_CLOCK}",
}
"""Months by number or in English; a time of day behind a date is not looked at."""


def year_of(text: str, order: str) -> float | None:
    """A date as a number of years, 1963.42; None where it is none in this order."""
    if re.fullmatch(r"\d{8}", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    match = re.fullmatch(_DATE_FORMS[order], text)
    if match is None:
        return None
    month = match["m"]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    try:
        day = np.datetime64(f"{int(match['y']):04d}-{number:02d}-{int(match['d']):02d}")
    except ValueError:
        return None
    return float(years_of(np.array([day]))[0])


def years_of(days: np.ndarray) -> np.ndarray:
    """datetime64 values → years with the passed part of the year; NaN for none."""
    year = days.astype("datetime64[Y]")
    start, end = year.astype("datetime64[D]"), (year + 1).astype("datetime64[D]")
    passed = (days.astype("datetime64[D]") - start) / (end - start)
    return np.where(np.isnat(days), np.nan, year.astype(np.int64) + 1970 + passed)


def is_missing(values: pd.Series) -> np.ndarray:
    """(n,) whether a value is missing by its type: NaN, None, NaT."""
    return values.isna().to_numpy(dtype=bool)


def plain_text(value: object) -> str:
    """A value as a level's text: whole numbers without a point, 1.0 and "1.0" → "1"."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = value if isinstance(value, str) else str(value)
    text = tidy_text(text)
    return text[:-2] if re.fullmatch(r"-?(?:0|[1-9]\d*)\.0", text) else text


def as_number(text: str) -> float | None:
    """The number that pandas would make of a text, None where it would leave it a text."""
    return _value(text, ".", "")
