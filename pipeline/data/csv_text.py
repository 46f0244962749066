"""The text of a CSV file → its columns: encoding, separator, shape, and what numbers would lose."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.data.table import named
from pipeline.errors import InputError
from pipeline.serving import MISSING_TEXTS

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LEADING_ZERO = r"[+-]?0\d"
THREE_DECIMALS = r"[+-]?[1-9]\d{0,2}\.\d{3}"
"""Numbers such as 265.000: in many countries the point stands between thousands."""

_SAID_SEPARATOR = re.compile(r"(?i:sep)=([,;\t|])[,;\t |]*(?:\r\n?|\n)")
_ZERO_SOMEWHERE = re.compile(r"(?:^|[\s,;|\"])[+-]?0\d", re.MULTILINE)
_LOOKED_AT_ROWS = 1000


def text_of(content: bytes, source: str) -> tuple[str, list[str]]:
    """(the text of a CSV file, unpacked if it is compressed; a sentence if it is not UTF-8)."""
    if other := _of_another_kind(content):
        raise InputError(
            f"a CSV must be text, but {source} is {other}; save the table as CSV, or give the file "
            "its own suffix"
        )
    try:
        if source.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise InputError(
            f"a .csv.gz file must be gzip-compressed, but {source} is not, or is damaged; "
            "compress it again, or give the .csv"
        ) from None
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16"), [f"{source} is read as UTF-16 text"]
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        text = _western(content)
        if text is None:
            raise InputError(
                f"a CSV file must be UTF-8 text, but {source} has another byte at position "
                f"{error.start}; save it again with the encoding UTF-8"
            ) from None
    encoding_note = (
        f"{source} is not UTF-8 and is read as Windows-1252 (Latin-1); check names with accents"
    )
    return text, [encoding_note]


def _of_another_kind(content: bytes) -> str:
    """What a file with the name of a CSV is by its first bytes; "" for none of these."""
    for start, kind in (
        (b"PK\x03\x04", "a ZIP archive or an Excel workbook"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
        (b"PAR1", "a Parquet table"),
        (b"SQLite format 3", "an SQLite database"),
        (b"$FL2", "an SPSS file"),
    ):
        if content.startswith(start):
            return kind
    opening = content[:200].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if opening.startswith((b"<!doctype", b"<html", b"<?xml", b"<table")):
        return "a page of HTML or XML"
    if opening.startswith((b"[{", b'{"')):
        return "JSON"
    return ""


def _western(content: bytes) -> str | None:
    """Windows-1252 text, of which Latin-1's is a part; None where it would make odd words."""
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return None
    # Another encoding shows as signs within words, or as words of accented letters alone.
    letter = r"[^\W\d_]"
    odd = rf"{letter}[^\x00-\x7f\w’´`°²³µ€–·]{letter}|(?:(?![a-zA-Z]){letter}){{3}}"
    return None if re.search(odd, text) or "\x00" in text else text


def _counts(text: str, separator: str) -> list[int]:
    """Values of the header and of the first lines that are not blank; [] where it is no CSV."""
    counts = []
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t"
    )
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                counts.append(len(fields))
            if len(counts) > _LOOKED_AT_ROWS:
                break
    except csv.Error:
        return []
    return counts


def _separator(text: str, source: str) -> str:
    """The separator by which every line has as many values as the header, and at least two."""
    counts = {separator: _counts(text, separator) for separator in SEPARATORS}
    fits = [s for s, c in counts.items() if c and c[0] > 1 and len(set(c)) == 1]
    if not fits:  # a line is wrong, or there is one column
        widest_separator = max(counts, key=lambda s: (counts[s][:1] or [0], s == ","))
        return widest_separator if (counts[widest_separator][:1] or [0])[0] > 1 else ","
    widest = max(counts[s][0] for s in fits)
    fits = [s for s in fits if counts[s][0] == widest]
    if len(fits) > 1:
        raise InputError(
            f"a CSV must have one separator, but {source} can be read with "
            f"{' and with '.join(SEPARATORS[s] for s in fits)}; save it with one of them alone, "
            "and text that has the other in quotes"
        )
    return fits[0]


def parse_csv(
    text: str, source: str, texts: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray | None, str, list[str]]:
    """(columns, line of each row, decimal mark of the numbers, sentences on how it was read).

    Columns of which a number would lose something (leading zeros, digits in threes, TRUE) are text.
    """
    notes: list[str] = []
    if said := _SAID_SEPARATOR.match(text):  # as Excel writes it; the line stays, without content
        text = text[said.end() :] if said.end() == len(text) else "\n" + text[said.end() :]
    separator = said[1] if said else _separator(text, source)
    header, lines, blank_lines = _shape_of_csv(text, source, separator)
    if separator != ",":
        named_separator = SEPARATORS.get(separator, repr(separator))
        notes.append(f"{source} is separated by {named_separator}, and is read so")
    if blank_lines:
        text = "".join(
            line for i, line in enumerate(io.StringIO(text, newline=""), 1) if i not in blank_lines
        )
        notes.append(f"{source}: {len(blank_lines)} lines without any value are left out")
    read = _Reader(text, source, header, separator)
    frame = read({name: str for name in texts if name in header})
    dtypes = {name: frame[name].dtype for name in header if name not in texts}
    doubtful = [name for name, kind in dtypes.items() if pd.api.types.is_bool_dtype(kind)]
    numbers = [name for name, kind in dtypes.items() if pd.api.types.is_numeric_dtype(kind)]
    numbers = [name for name in numbers if name not in doubtful]
    if _ZERO_SOMEWHERE.search(text):
        texts_of_numbers = read(str, numbers)
        doubtful += [n for n in numbers if texts_of_numbers[n].str.match(LEADING_ZERO).any()]
    floats = [n for n in numbers if pd.api.types.is_float_dtype(dtypes[n])]
    threes = _in_threes(frame, [n for n in floats if n not in set(doubtful)], read)
    as_text = [*doubtful, *threes]
    if as_text:
        frame = frame.assign(**read(str, as_text))
    decimal_columns = set(floats).difference(as_text)
    # One column with decimals is enough.
    decimals = any((frame[n] % 1 > 0).any() for n in floats if n in decimal_columns)
    return frame, lines if len(lines) == len(frame) else None, "." if decimals else "", notes


def _in_threes(frame: pd.DataFrame, names: list[str], read: _Reader) -> list[str]:
    """The columns of which every number is written as 265.000 is."""

    def between(values: np.ndarray) -> bool:
        """1 … 1000, of those that are known."""
        least, most = (extreme.reduce(values, initial=np.nan) for extreme in (np.fmin, np.fmax))
        return bool(1 <= least <= most <= 1000)

    names = [n for n in names if between(np.abs(frame[n].to_numpy(np.float64, na_value=np.nan)))]
    for rows in (50, None):
        if names:
            texts = read(str, names, rows)
            names = [n for n in names if texts[n].dropna().str.fullmatch(THREE_DECIMALS).all()]
    return names


class _Reader:
    """pandas.read_csv on one text, with names and missing texts as they are here."""

    def __init__(self, text: str, source: str, header: list[str], separator: str):
        self.text, self.source, self.header, self.separator = text, source, header, separator

    def __call__(self, dtype, columns: Sequence[str] | None = None, rows: int | None = None):
        try:
            return pd.read_csv(
                io.StringIO(self.text),
                sep=self.separator,
                header=0,
                names=self.header,
                dtype=dtype,
                usecols=columns,
                nrows=rows,
                skipinitialspace=True,
                low_memory=False,
                keep_default_na=False,
                na_values=list(MISSING_TEXTS),
                index_col=False,
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"data must be a comma-separated table, but {self.source} cannot be read as one "
                f"({reason}); save it again as CSV"
            ) from None


def _shape_of_csv(text: str, source: str, separator: str) -> tuple[list[str], np.ndarray, set[int]]:
    """The header's names, the line of each row, and the lines that have separators alone.

    pandas would rename the header's names silently, and fill, or shift by a column, rows of another
    length than the header.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != "\t"
    )
    header: list[str] | None = None
    lines, blank_lines = [], set()
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                continue  # a blank line
            if header is None:
                header = checked_names(fields, source)
                continue
            if not any(field.strip() for field in fields):
                blank_lines.add(reader.line_num)
                continue
            if len(fields) != len(header):
                raise InputError(
                    f"every line of a CSV must have as many values as its header, but {source} has "
                    f"{len(header)} in the header and {len(fields)} in line {reader.line_num}; "
                    "correct that line, or quote values that contain a comma"
                )
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(
            f"data must be a comma-separated table, but line {reader.line_num} of {source} cannot "
            f"be read ({error}); save it again as CSV"
        ) from None
    if header is None:
        raise InputError(f"data must have a header and rows, but {source} is empty; check it")
    return header, np.array(lines, dtype=np.int64), blank_lines


def checked_names(names: Sequence[object], source: str) -> list[str]:
    """Column names as stripped text; InputError if one is empty or occurs twice."""
    stripped = [str(name).strip() for name in names]
    unnamed = [str(i) for i, name in enumerate(stripped, start=1) if not name]
    if unnamed:
        raise InputError(
            f"every column must have a name, but column {named(unnamed)} of {source} has none; "
            "name it, or leave it out (row.names = FALSE in R, index=False in pandas)"
        )
    twice = [name for name, count in Counter(stripped).items() if count > 1]
    if twice:
        raise InputError(
            f"every column must have a name of its own, but {source} has {named(twice)} "
            "more than once; rename or remove the others"
        )
    return stripped
