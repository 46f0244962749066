"""A data file → a table as read, with its fingerprint, and what kind each of its columns is.

Nothing is fitted here: reading and checking look at every row, and change no value but its type.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet

from pipeline.errors import InputError

# Texts that mean "no value". Unlike pandas' own list this has SAS's and Stata's "." and leaves
# "None" alone, which is an answer in many questionnaires.
MISSING_TEXTS = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", ".")

# Standardized features are float32, which ends at 3.4e38.
LARGEST_NUMBER = 1e38

NUMBER, CATEGORY = "number", "category"

_DATE = r"\d{4}-\d{2}-\d{2}([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{4}"
_DECIMAL_COMMA = r"[+-]?\d+,\d+"


@dataclass(frozen=True, eq=False)
class Table:
    """A file as read: `frame` with text column names, `source` the file's name without folders,
    `fingerprint` the sha256 of its bytes, `lines` the line of each row (None unless a CSV)."""

    frame: pd.DataFrame
    source: str
    fingerprint: str
    lines: np.ndarray | None = None

    def rows(self, positions: np.ndarray) -> Table:
        """The table of these rows alone."""
        lines = None if self.lines is None else self.lines[positions]
        frame = self.frame.iloc[positions].reset_index(drop=True)
        return Table(frame, self.source, self.fingerprint, lines)

    def place(self, row: int) -> str:
        """Where a person finds the row at this position: its line in a CSV, else its number."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"


def named(names: Iterable[str]) -> str:
    """Names for a sentence: `a`, `a and b`, `a, b and c`; of more than ten, the first ten."""
    names = [str(name) for name in names]
    if len(names) > 10:
        names = [*names[:10], f"{len(names) - 10} more"]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def require_known(
    wanted: Iterable[str], known: Sequence[str], role: str, source: str, what: str = "a column"
) -> None:
    """InputError, with the nearest names, unless every wanted name is a column of the table."""
    lowered = {name.lower(): name for name in known}
    for name in wanted:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name).lower(), lowered, n=3, cutoff=0.5)
        if near:
            hint = f"did you mean {' or '.join(lowered[found] for found in near)}?"
        else:
            hint = f"its {what.removeprefix('a ')}s are {named(known)}"
        raise InputError(f"{role} must name {what} of {source}, but got {name}; {hint}")


def read_table(data: str | Path, texts: Sequence[str] = ()) -> Table:
    """The table of a `.csv`, `.csv.gz` or `.parquet` file.

    Text is stripped of outer spaces, MISSING_TEXTS become missing, and text that is numbers
    throughout becomes numbers, except in the columns `texts`: an id 007 is not 7. Raises InputError
    for a file that is missing, unreadable, of another suffix, no table, or without rows, and for
    columns without a name of their own.
    """
    path = Path(data)
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz", ".parquet")):
        raise InputError(
            f"data must be a .csv, .csv.gz or .parquet file, but got {path}; "
            "save the table in one of these formats"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"data must be a file that exists, but there is no {path}; check the path"
        ) from None
    except OSError as error:
        raise InputError(
            f"data must be a readable file, but {path} cannot be read ({error.strerror}); "
            "check the path and its permissions"
        ) from None
    fingerprint = hashlib.sha256(content).hexdigest()
    if not content.strip():
        raise InputError(f"data must have a header and rows, but {path.name} is empty; check it")
    lines = None
    if name.endswith(".parquet"):
        frame = _parse_parquet(content, path.name)
    else:
        frame, lines = _parse_csv(_text(content, path.name), path.name, texts)
    if frame.empty:
        raise InputError(
            f"data must have rows, but {path.name} has none below its header; add some"
        )
    frame = frame.reset_index(drop=True)  # a stored index is no variable
    for position, column in enumerate(frame.columns):
        frame.isetitem(position, tidy(frame[column], as_text=column in texts))
    return Table(frame, path.name, fingerprint, lines)


def _text(content: bytes, source: str) -> str:
    """The text of a CSV file, unpacked if it is compressed, without a byte-order mark."""
    try:
        if source.lower().endswith(".gz"):
            content = gzip.decompress(content)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error):
        raise InputError(
            f"a .csv.gz file must be gzip-compressed, but {source} is not, or is damaged; "
            "compress it again, or give the .csv"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"a CSV file must be UTF-8 text, but {source} has another byte at position "
            f"{error.start}; save it again with the encoding UTF-8"
        ) from None


def _parse_csv(
    text: str, source: str, texts: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray | None]:
    header, lines = _shape_of_csv(text, source)
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            header=0,
            names=header,
            dtype={name: str for name in texts if name in header},
            skipinitialspace=True,
            low_memory=False,
            keep_default_na=False,
            na_values=list(MISSING_TEXTS),
            index_col=False,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"data must be a comma-separated table, but {source} cannot be read as one ({reason}); "
            "save it again as CSV"
        ) from None
    return frame, lines if len(lines) == len(frame) else None


def _shape_of_csv(text: str, source: str) -> tuple[list[str], np.ndarray]:
    """The header's names and the line of each row; pandas would rename the former silently, and
    fill, or shift by a column, rows of another length than the header."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    header: list[str] | None = None
    lines = []
    try:
        for fields in reader:
            if not fields or (len(fields) == 1 and not fields[0].strip()):
                continue  # a blank line
            if header is None:
                header = _checked_names(fields, source)
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
    return header, np.array(lines, dtype=np.int64)


def _checked_names(names: Sequence[object], source: str) -> list[str]:
    """Column names as stripped text; InputError if one is empty or occurs twice."""
    stripped = [str(name).strip() for name in names]
    if len(stripped) == 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if separator in stripped[0]:
                raise InputError(
                    f"a CSV must be separated by commas, but {source} seems to be separated by "
                    f"{word}; save it with commas, and with points in decimal numbers"
                )
    unnamed = [str(i) for i, name in enumerate(stripped, start=1) if not name]
    if unnamed:
        raise InputError(
            f"every column must have a name, but column {named(unnamed)} of {source} has none; "
            "name it, or leave it out (row.names = FALSE in R, index=False in pandas)"
        )
    twice = [name for name in dict.fromkeys(stripped) if stripped.count(name) > 1]
    if twice:
        raise InputError(
            f"every column must have a name of its own, but {source} has {named(twice)} "
            "more than once; rename or remove the others"
        )
    return stripped


def _parse_parquet(content: bytes, source: str) -> pd.DataFrame:
    try:
        names = pyarrow.parquet.read_schema(io.BytesIO(content)).names
        _checked_names(names, source)  # pandas' reader fails on a name that occurs twice
        frame = pd.read_parquet(io.BytesIO(content))
    except InputError:
        raise
    except (ValueError, OSError, KeyError, TypeError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"data must be a Parquet table, but {source} cannot be read as one ({reason}); "
            "save it again, or give a CSV"
        ) from None
    frame.columns = _checked_names(list(frame.columns), source)
    return frame


def tidy(column: pd.Series, as_text: bool = False) -> pd.Series:
    """Text stripped, missing where it says so, and as numbers where all of it is and may be."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_object_dtype(column.dtype):
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind == "decimal":
            return column.astype("float64")
        if kind not in ("string", "mixed", "mixed-integer"):
            return column
    elif not pd.api.types.is_string_dtype(column.dtype):
        return column
    column = column.astype(object)
    column = column.map(lambda v: v.strip() if isinstance(v, str) else v)
    column = column.mask(column.map(lambda v: isinstance(v, str) and v in MISSING_TEXTS), np.nan)
    try:
        if as_text or column.map(lambda v: isinstance(v, bool)).any():
            return column
        return pd.to_numeric(column)
    except (ValueError, TypeError):
        return column


def kind_of(table: Table, name: str, declared: bool = False) -> str:
    """NUMBER or CATEGORY: what a person would take the column for; `declared` as a category.

    Text, booleans and pandas categories are categories. Raises InputError for dates, for nested
    or binary values, and for a column of numbers in which some are written as text.
    """
    column = table.frame[name]
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind in ("bytes", "complex") or (kind == "mixed" and not _plain(column)):
        raise InputError(
            f"a column must hold numbers, text or true and false, but {name} of {table.source} "
            "holds something else; convert it, or name it under drop"
        )
    if declared or kind in ("categorical", "boolean"):
        return CATEGORY
    if kind in ("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period"):
        raise _dates(table, name)
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().all():
        return NUMBER
    _check_text(table, name)
    return CATEGORY


def _plain(column: pd.Series) -> bool:
    return all(isinstance(v, str | bool | int | float | np.generic) for v in column.dropna())


def _dates(table: Table, name: str) -> InputError:
    return InputError(
        f"a column must hold numbers or categories, but {name} of {table.source} holds dates or "
        "times; write it as a number (an age, days since …), or name it under drop"
    )


def _check_text(table: Table, name: str) -> None:
    """InputError if the column is text only because numbers or dates in it are written oddly."""
    texts = table.frame[name].dropna().map(str)
    is_number = pd.to_numeric(texts, errors="coerce").notna()
    distinct = texts[~texts.duplicated()]
    # Rows as well as distinct values: "unknown" can be the commonest value of a quantity.
    if is_number.mean() > 0.5 or is_number[distinct.index].mean() > 0.5:
        row = texts.index[~is_number][0]
        value = repr(texts[row][:40])
        raise InputError(
            f"a column of numbers must hold nothing else, but {name} of {table.source} has {value} "
            f"in {table.place(row)}; write missing values as NA, or name {name} under categories "
            "or drop"
        )
    has_comma = texts.str.fullmatch(_DECIMAL_COMMA)
    if has_comma.mean() > 0.5:
        row = texts.index[has_comma][0]
        raise InputError(
            f"decimal numbers must be written with a point, but {name} of {table.source} has "
            f"{texts[row][:40]!r} in {table.place(row)}; save the table with decimal points"
        )
    if texts.str.fullmatch(_DATE).mean() > 0.5:
        raise _dates(table, name)


def as_numbers(frame: pd.DataFrame) -> np.ndarray:
    """(n, columns) float64 of columns of numbers, NaN where missing."""
    return frame.apply(pd.to_numeric).to_numpy(dtype=np.float64, na_value=np.nan)


def check_finite(table: Table, names: Sequence[str]) -> None:
    """InputError if a number in any of these columns is infinite or too large, in any row."""
    found = {}
    for name in names:
        if not pd.api.types.is_numeric_dtype(table.frame[name].dtype):
            continue
        values = as_numbers(table.frame[[name]])
        if count := int(np.sum(np.abs(values) > LARGEST_NUMBER)):
            found[name] = count
    if found:
        total = sum(found.values())
        raise InputError(
            f"numbers must be finite and within ±{LARGEST_NUMBER:g}, but {named(found)} of "
            f"{table.source} {'has' if len(found) == 1 else 'have'} {total} infinite or larger "
            f"{'value' if total == 1 else 'values'}; correct them, or write missing values as NA"
        )
