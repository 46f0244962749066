"""A table's schema, learned on training rows: any later table → the features of a network.

Shapes: n rows, p features.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from .columns import CATEGORY, MISSING, Column, Place, levels_of, numbers_of
from .errors import InputError
from .notation import Notation

FORMAT = 1


@dataclass(frozen=True)
class Feature:
    """One feature: of the column at `column`, its number (code 0) or whether it is `code`.

    code is a level's position, len(levels) for the joined rare ones, MISSING for missing.
    The feature is (value − center)/scale.
    """

    name: str
    column: int
    code: int
    center: float
    scale: float


def row_number(row: int) -> str:
    return f"row {row + 1}"


@dataclass(frozen=True, eq=False)
class Schema:
    """The columns that features come from, and the p features in their order."""

    columns: tuple[Column, ...]
    features: tuple[Feature, ...]

    def transform(
        self,
        table: pd.DataFrame,
        *,
        as_read: bool = False,
        place: Place = row_number,
        only: Collection[int] | None = None,
    ) -> tuple[np.ndarray, list[str]]:
        """((n, p) float32 features, sentences about values that are not as in training).

        A person has the same features whatever other rows there are. as_read: whether the table is
        `read_table`'s, see `levels_of`. `place` names a row in errors. `only`: the features that
        are wanted; the others are 0 and their columns need not be there. Raises InputError.
        """
        wanted = range(len(self.features)) if only is None else sorted(only)
        features = np.zeros((len(table), len(self.features)), np.float32)
        notes: list[str] = []
        raw = self.encoded(table, as_read=as_read, place=place, only=wanted, notes=notes)
        for i, values in raw:
            feature = self.features[i]
            with np.errstate(over="ignore"):
                features[:, i] = (values - feature.center) / feature.scale
        return features, notes

    def encoded(
        self,
        table: pd.DataFrame,
        *,
        as_read: bool,
        place: Place,
        only: Collection[int],
        notes: list[str],
    ) -> Iterator[tuple[int, np.ndarray]]:
        """(position, (n,) float64 before standardizing) of features, column by column.

        Sentences are added to `notes`.
        """
        of_column: dict[int, list[int]] = {}
        for i in only:
            of_column.setdefault(self.features[i].column, []).append(i)
        checked_columns(table, [self.columns[c].name for c in of_column])
        for c, positions in of_column.items():
            column = self.columns[c]
            values = table[column.name]
            if column.kind == CATEGORY:
                codes, level_notes = levels_of(column, values, as_read, place)
                notes += level_notes
                for i in positions:
                    yield i, (codes == self.features[i].code).astype(np.float64)
                continue
            numbers = numbers_of(column, values, place)
            missing = np.isnan(numbers)
            for i in positions:
                if self.features[i].code == MISSING:
                    yield i, missing.astype(np.float64)
                else:
                    yield i, np.where(missing, column.median, numbers)

    def as_json(self) -> dict:
        """Plain JSON values, from which `from_json` makes the same again, to the last bit."""
        return {
            "format": FORMAT,
            "columns": [_brief(column) for column in self.columns],
            "features": [asdict(feature) for feature in self.features],
        }


def checked_columns(table: pd.DataFrame, names: Collection[str]) -> None:
    """InputError unless the table has each of these columns, once."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise InputError(
            f"the table must have the columns of the training table, but lacks "
            f"{', '.join(missing)}; add them, with NA where a value is unknown"
        )
    if not table.columns.is_unique:
        twice = [name for name in names if (table.columns == name).sum() > 1]
        if twice:
            raise InputError(
                f"every column must have a name of its own, but {', '.join(twice)} occurs more "
                "than once; rename or remove the others"
            )


def _brief(column: Column) -> dict:
    """A column's fields, without those that have their default."""
    fields = asdict(column)
    notation = {k: v for k, v in fields.pop("notation").items() if v != getattr(Notation(), k)}
    default = Column("", "")
    fields = {k: v for k, v in fields.items() if v != getattr(default, k)}
    return fields | ({"notation": notation} if notation else {})


def from_json(content: Mapping) -> Schema:
    """The schema that `as_json` gave."""
    if content["format"] != FORMAT:
        raise InputError(
            f"a table's schema must have format {FORMAT}, but got {content['format']}; "
            "use it with the version of Lariat that wrote it"
        )
    columns = []
    for fields in content["columns"]:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        columns.append(Column(**{**fields, "notation": Notation(**fields.get("notation", {}))}))
    return Schema(tuple(columns), tuple(Feature(**fields) for fields in content["features"]))


def synthetic_row(column: Column) -> tuple[object, object]:
    """Two values that no person gave: middle value and first level; half again and last level."""
    if column.kind == CATEGORY:
        levels = column.levels or ("NA",)
        return levels[0], levels[-1]
    low, high = float(column.median), float(f"{1.5 * column.median + 1:.3g}")
    notation = column.notation
    if notation.dates:
        forms = {"ymd": "{}-07-01", "dmy": "01.07.{}", "mdy": "07/01/{}"}
        return tuple(forms[notation.dates].format(int(low) + i) for i in range(2))  # type: ignore
    if notation.plain:
        return low, high
    written = (f"{value:g}".replace(".", notation.decimal) for value in (low, high))
    return tuple(f"{notation.before}{text}{notation.after}" for text in written)  # type: ignore
