"""A table as read: its frame, where it came from, and the columns that a study names in it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from pipeline.errors import InputError


@dataclass(frozen=True, eq=False)
class Table:
    """A file as read.

    frame        text column names; numbers where every value is written as one and nothing is lost
                 by it (01 is not 1), text as written elsewhere.
    source       the file's name without folders; `fingerprint` the sha256 of its bytes.
    lines        the line of each row, None unless a CSV.
    indexes      columns that were a stored index: ids, and never variables.
    warnings     sentences on how the file was read.
    decimal      the decimal mark of the file's columns of numbers, "" where none has decimals.
    """

    frame: pd.DataFrame
    source: str
    fingerprint: str
    lines: np.ndarray | None = None
    indexes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    decimal: str = ""

    def rows(self, positions: np.ndarray) -> Table:
        """The table of these rows alone."""
        lines = None if self.lines is None else self.lines[positions]
        frame = self.frame.iloc[positions].reset_index(drop=True)
        return replace(self, frame=frame, lines=lines)

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
            hint = f"did you mean {' or '.join(lowered[near_name] for near_name in near)}?"
        else:
            hint = f"its {what.removeprefix('a ')}s are {named(known)}"
        raise InputError(f"{role} must name {what} of {source}, but got {name}; {hint}")
