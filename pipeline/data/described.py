"""Columns of a table as a reader knows them, for tables about people: before any standardizing.

They have a value a person and stay in this process: what leaves it are counts, means and bands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.data.features import OTHER, learn
from pipeline.data.kinds import columns_of
from pipeline.data.table import Table, require_known
from pipeline.errors import InputError
from pipeline.serving import CATEGORY, MISSING, NUMBER, Column, levels_of, numbers_of

if TYPE_CHECKING:
    from pipeline.data.cohort import Cohort

MOST_DESCRIBED = 60
"""Variables that are described without being asked for: what a page can hold."""


@dataclass(frozen=True, eq=False)
class Described:
    """A column in people's values.

    values  (n,) float64, nan where missing; or the positions in `labels` of a category's levels,
            MISSING (−1) where missing. Rare levels are one, `other`.
    """

    name: str
    values: np.ndarray
    labels: tuple[str, ...] = ()

    @property
    def is_category(self) -> bool:
        return bool(self.labels)

    @property
    def missing(self) -> np.ndarray:
        """(n,) booleans."""
        return self.values == MISSING if self.is_category else np.isnan(self.values)


def described(
    table: Table, cohort: Cohort, asked: Sequence[str], rare_level_people: int
) -> tuple[Described, ...]:
    """The first MOST_DESCRIBED variables of the table, and the columns that are asked for.

    asked: any columns of the table but the target, variables or not. One that is the same in all
    training rows, or a name or an id, is left out. Raises InputError where the table lacks one.
    """
    known = {column.name: column for column in cohort.schema.columns}
    others = [str(c) for c in table.frame.columns if str(c) != cohort.target]
    require_known(asked, others, "report_by", table.source)
    names = dict.fromkeys([*list(known)[:MOST_DESCRIBED], *asked])
    found = []
    for name in names:
        column: Column | None = known.get(name)
        if column is None:
            read = columns_of(table, [name], cohort.roles.hints)[0][name]
            train, people = cohort.split.train, cohort.people
            column = learn(table, read, train, people, False, rare_level_people).column
        if column is not None:
            found.append(_of_column(table, column))
    return tuple(found)


def _of_column(table: Table, column: Column) -> Described:
    values = table.frame[column.name]
    if column.kind == NUMBER:
        return Described(column.name, numbers_of(column, values, table.place))
    assert column.kind == CATEGORY
    codes, _ = levels_of(column, values, True, table.place)
    labels = (*column.levels, OTHER)
    codes = np.where(codes < MISSING, len(column.levels), codes)  # unknown levels are rare ones
    return Described(column.name, codes, labels)


def bands(values: np.ndarray, bounds: Sequence[float]) -> Described:
    """A quantity cut at increasing bounds: below the first, from each to the next, and above.

    values (n,) float64; the bands' names are `below 45`, `45 to 55`, `55 and above`.
    """
    texts = [f"{bound:g}" for bound in bounds]
    names = [f"below {texts[0]}"] if texts else ["all"]
    names += [f"{low} to {high}" for low, high in zip(texts, texts[1:], strict=False)]
    names += [f"{texts[-1]} and above"] if texts else []
    codes = np.where(np.isnan(values), MISSING, np.searchsorted(bounds, values, side="right"))
    return Described("", codes.astype(np.int64), tuple(names))


def cut_at_quantiles(values: np.ndarray, parts: int = 3) -> tuple[float, ...]:
    """Bounds that cut known values into equal parts, at numbers of three digits."""
    known = values[~np.isnan(values)]
    cuts = np.quantile(known, np.arange(1, parts) / parts) if len(known) else []
    rounded = dict.fromkeys(float(f"{cut:.3g}") for cut in cuts)
    return tuple(cut for cut in rounded if len(known) and known.min() < cut <= known.max())


def check_bounds(bounds: Mapping[str, Sequence[float]], found: Sequence[Described]) -> None:
    """InputError where bounds are given for a category."""
    for column in found:
        if column.is_category and bounds.get(column.name):
            raise InputError(
                f"bounds under report_by are for quantities, but {column.name} is a category; "
                f"write {column.name} without bounds"
            )
