"""How the numbers of a column of text are written: decided where all of them agree on one way.

The candidates are all combinations of decimal marks and marks between thousands; what stands around
every number (a currency, a unit, %) is taken off first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.serving import CURRENCIES, MISSING_TEXTS, Notation, tidy_text, with_leading_minus

FORMATS = {"1,234.5": (".", ","), "1.234,5": (",", ".")}
"""What a study can say of its numbers → (decimal mark, mark between thousands)."""

_MARKS: tuple[tuple[str, str], ...] = (
    (".", ""),
    (",", ""),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
)
_MARKS += ((",", "'"),)
_BOUND = re.compile(r"^(?:<=?|>=?|≤|≥)\s*(?=[\d.,+-])")
_BEFORE = re.compile(rf"^[+-]?\s?((?:[{CURRENCIES}]|US\$|(?:USD|EUR|GBP|CHF|JPY)\s?)\s?)\d")
_AFTER = re.compile(r"\d\s*([^\d\s.,'’<>][^<>]{0,14})$")
_GENERAL = re.compile(
    r"[+-]?\s?\d[\d.,' ’]*(?:[eE][+-]?\d+)?(?:\s?[%‰]|\s?[a-zA-Zµ°][a-zA-Z/0-9²³µ°]{0,7})?"
)
_MONTH_NAME = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DATES = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?",
    r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})( .*)?",
    rf"\d{{1,2}}[-/. ]\s?{_MONTH_NAME}[-/., ]\s?(\d{{4}}|\d{{2}})( .*)?",
    rf"({_MONTH_NAME}[-/. ]\s?)(\d{{1,2}}[-/., ]\s?)?\d{{4}}( .*)?",
    rf"\d{{4}}[-/. ]{_MONTH_NAME}[-/. ]\d{{1,2}}",
    r"\d{1,2}:\d{2}(:\d{2})?( ?[ap]m)?",
)
"""Dates and times of day, as people write them; not all can be read as years."""


def candidates(texts: Sequence[str]) -> list[Notation]:
    """The notations by which every one of the texts is a number, one for each way to read them.

    Distinct texts, none of them missing. Two notations that read the same numbers are one.
    """
    texts = [tidy_text(text).translate(_DASHES) for text in texts]
    bounded = [bool(_BOUND.match(text)) for text in texts]
    if 2 * sum(bounded) > len(texts):
        return []  # <18 and >=18 are categories
    signed = [with_leading_minus(_BOUND.sub("", text)) for text in texts]
    below_zero = [s != _BOUND.sub("", text) for s, text in zip(signed, texts)]
    if all(below_zero):
        return []  # a note of some kind, not a sign
    bare = signed
    before = _common(_BEFORE, bare)
    after = _common(_AFTER, bare)
    if re.match(r"[eE][+-]?\d", after):  # an exponent is no unit
        after = ""
    readings: dict[tuple[float | None, ...], Notation] = {}
    for decimal, thousands in _MARKS:
        notation = Notation(
            decimal, thousands, before, after, any(bounded), below_zero=any(below_zero)
        )
        values = []
        for text in texts:
            value = notation.number(text)
            if value is None:
                break
            values.append(value)
        else:
            readings.setdefault(tuple(values), notation)
    return list(readings.values())


_DASHES = str.maketrans(dict.fromkeys("\u2212\u2010\u2011\u2013", "-"))


def _common(pattern: re.Pattern, texts: Sequence[str]) -> str:
    """What all texts have where the pattern looks, "" where they differ."""
    first = pattern.search(texts[0])
    if first is None:
        return ""
    part = first[1].strip()
    for text in texts:
        match = pattern.search(text)
        if match is None or match[1].strip() != part:
            return ""
    return part


def look_like_numbers(texts: Sequence[str]) -> dict[str, bool]:
    """Text → whether a person would take it for a number, however it is written.

    A bound is one beside bare numbers, not where all are bounds (<18 and >=65 are groups).
    """
    bare = {text: tidy_text(text).translate(_DASHES) for text in texts}
    looks = {text: bool(_GENERAL.fullmatch(b) or _BEFORE.match(b)) for text, b in bare.items()}
    if any(looks.values()):
        looks |= {t: True for t, b in bare.items() if _GENERAL.fullmatch(_BOUND.sub("", b))}
    return looks


def date_orders(texts: Sequence[str]) -> list[str]:
    """The orders (`ymd`, `dmy`, `mdy`) in which every text is a date."""
    texts = [tidy_text(text) for text in texts]
    return [
        order
        for order in ("ymd", "dmy", "mdy")
        if all(Notation(dates=order).number(text) is not None for text in texts)
    ]


def looks_like_date(text: str) -> bool:
    return any(re.fullmatch(form, tidy_text(text)) for form in _DATES)


def known_texts(values: Sequence[object], missing: Sequence[str]) -> list[str]:
    """The distinct texts of a column's values that do not mean missing."""
    texts = (tidy_text(v) if isinstance(v, str) else str(v) for v in values)
    return [t for t in dict.fromkeys(texts) if t not in MISSING_TEXTS and t not in missing]
