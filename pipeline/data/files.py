"""A data file → a table as read. Nothing is fitted here, and no value is changed but its type."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet

from pipeline.data.csv_text import (
    LEADING_ZERO,
    THREE_DECIMALS,
    checked_names,
    parse_csv,
    text_of,
)
from pipeline.data.table import Table, named
from pipeline.errors import InputError
from pipeline.serving import MISSING_TEXTS, tidy_text


def read_table(data: str | Path, texts: Sequence[str] = ()) -> Table:
    """The table of a `.csv`, `.csv.gz` or `.parquet` file.

    Text is stripped of outer spaces, MISSING_TEXTS become missing, and text that is numbers
    throughout becomes numbers where nothing is lost by it, and never in the columns `texts`: an id
    007 is not 7. Rows without any value are left out. Raises InputError for a file that is
    missing, unreadable, of another suffix, no table, or without rows, and for columns without a
    name of their own.
    """
    path = Path(data)
    content = _content(path)
    fingerprint = hashlib.sha256(content).hexdigest()
    lines, decimal = None, ""
    warnings: list[str] = []
    indexes: tuple[str, ...] = ()
    if path.name.lower().endswith(".parquet"):
        frame, indexes = _parse_parquet(content, path.name)
    else:
        text, warnings = text_of(content, path.name)
        frame, lines, decimal, csv_notes = parse_csv(text, path.name, texts)
        warnings += csv_notes
    unpacked: list[str] = []
    for position, name in enumerate(frame.columns):
        if frame.dtypes.iloc[position].kind not in "iufcb":
            values, wrapped = unwrapped(frame[name])
            unpacked += [name] if wrapped else []
            frame.isetitem(position, tidy(values, as_text=name in texts))
    if unpacked:
        warnings.append(
            f'{named(unpacked)}: values are written as a spreadsheet keeps text (="12" or \'12) '
            "and are read without the signs around them"
        )
    blank = frame.isna().all(axis=1).to_numpy() if len(frame) else np.zeros(0, bool)
    if blank.any():
        frame = frame[~blank]
        lines = None if lines is None else lines[~blank]
        warnings.append(f"{path.name}: {int(blank.sum())} rows without any value are left out")
    if frame.empty:
        raise InputError(
            f"data must have rows, but {path.name} has none below its header; add some"
        )
    frame = frame.reset_index(drop=True)
    return Table(frame, path.name, fingerprint, lines, indexes, tuple(warnings), decimal)


def _content(path: Path) -> bytes:
    name = path.name.lower()
    if re.match(r"[a-z][a-z0-9+.-]+:/", str(path)):
        raise InputError(
            f"data must be a file on this machine, but got the address {path}; download it first"
        )
    if path.is_dir():
        raise InputError(f"data must be a file, but {path} is a folder; name the table in it")
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
    if not content.strip():
        raise InputError(f"data must have a header and rows, but {path.name} is empty; check it")
    return content


def _parse_parquet(content: bytes, source: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """(the columns, with those of a stored index that has a name; the latter's names)."""
    try:
        names = pyarrow.parquet.read_schema(io.BytesIO(content)).names
        checked_names(names, source)  # pandas' reader fails on a name that occurs twice
        frame = pd.read_parquet(io.BytesIO(content))
    except InputError:
        raise
    except (ValueError, OSError, KeyError, TypeError, NotImplementedError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"data must be a Parquet table, but {source} cannot be read as one ({reason}); "
            "save it again, or give a CSV"
        ) from None
    if isinstance(frame.columns, pd.MultiIndex):
        raise InputError(
            f"every column must have one name, but {source} has names of several levels "
            f"({named(map(str, frame.columns[:2]))} …); join them to one"
        )
    levels = [frame.index.get_level_values(i) for i in range(frame.index.nlevels)]
    frame.columns = checked_names(list(frame.columns), source)
    indexes = []
    for level in levels:
        name = "" if level.name is None else str(level.name).strip()
        if name and name not in frame.columns:
            frame[name] = pd.Series(level.to_numpy(), index=frame.index)
            indexes.append(name)
    return frame.reset_index(drop=True), tuple(indexes)


_WRAPPED = re.compile(r"=\"(.*)\"|'([^']*\d[^']*)")


def unwrapped(column: pd.Series) -> tuple[pd.Series, bool]:
    """(texts without what a spreadsheet puts around a text that looks like a number, whether all
    that are known have it): `="0012"`, `'12`."""
    if not pd.api.types.is_string_dtype(column.dtype):
        return column, False
    known = column.dropna()
    first = known.iloc[0] if len(known) else ""
    if not isinstance(first, str) or first.strip()[:1] not in ("=", "'"):
        return column, False
    matches = {
        text: _WRAPPED.fullmatch(tidy_text(text))
        for text in known.unique()
        if isinstance(text, str)
    }
    if len(matches) < known.nunique() or not all(matches.values()):
        return column, False
    inner = {
        text: match[1] if match[1] is not None else match[2]
        for text, match in matches.items()
        if match
    }
    return column.map(inner), True


def tidy(column: pd.Series, as_text: bool = False) -> pd.Series:
    """Text without outer spaces, MISSING_TEXTS as missing; numbers where every text is one.

    as_text: it stays text, and so does what a number would lose (`_loses`), and booleans.
    """
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
    try:
        codes, distinct = pd.factorize(column.astype(object))
    except TypeError:  # lists and the like
        return column
    values = [tidy_text(v) if isinstance(v, str) else v for v in distinct]
    values = [np.nan if isinstance(v, str) and v in MISSING_TEXTS else v for v in values]
    texts = np.array([*values, np.nan], dtype=object)
    tidied = pd.Series(texts[codes], index=column.index, name=column.name, dtype=object)
    if as_text or any(isinstance(v, bool) for v in values) or _loses(values):
        return tidied
    try:
        return pd.to_numeric(tidied)
    except (ValueError, TypeError):
        return tidied


def _loses(values: list) -> bool:
    """Whether a number would lose what a text says: leading zeros, or digits in threes."""
    texts = pd.Series([v for v in values if isinstance(v, str)], dtype=object)
    return bool(len(texts)) and bool(
        texts.str.match(LEADING_ZERO).any() or texts.str.fullmatch(THREE_DECIMALS).all()
    )
