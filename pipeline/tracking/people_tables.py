"""What a study's resamples say of people, as tables in its run: of groups, never of one person."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pandas as pd

PEOPLE_FOLDER = "people"
_TEXTS = ("people", "outcome", "estimate", "chosen", "variable", "inputs", "regularizer")


def people_files(tables: Mapping[str, pd.DataFrame]) -> dict[str, bytes]:
    """Those that have rows as files of the study's run, by their path in it."""
    return {
        f"{PEOPLE_FOLDER}/{name}.csv": table.to_csv(index=False).encode()
        for name, table in tables.items()
        if len(table)
    }


def people_tables_from_files(files: Mapping[str, bytes]) -> dict[str, pd.DataFrame]:
    """What `people_files` wrote, by name."""
    tables = {}
    for name, content in files.items():
        if name.endswith(".csv"):
            table = pd.read_csv(io.BytesIO(content), dtype=dict.fromkeys(_TEXTS, str))
            texts = [column for column in _TEXTS if column in table]
            table[texts] = table[texts].fillna("")
            tables[name.removesuffix(".csv")] = table
    return tables
