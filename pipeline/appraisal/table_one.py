"""Table 1: who the people are, all of them, by part of the split and by outcome.

Means and standard deviations of quantities, counts and shares of levels, and what is missing. A
count below five is masked, and as many others that it does not follow from the totals, which are
shown: those of each column, and that the parts of the split, and the outcomes, add up to all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.metrics import masking

FEW_FOR_A_MEAN = 5


@dataclass(frozen=True, eq=False)
class Variable:
    """A column of the table: values (n,) of a quantity, or codes of `labels`, −1 missing."""

    name: str
    values: np.ndarray
    labels: tuple[str, ...] = ()

    @property
    def missing(self) -> np.ndarray:
        return self.values < 0 if self.labels else np.isnan(self.values)


def table_one(
    variables: Sequence[Variable],
    split: Mapping[str, np.ndarray],
    outcomes: Mapping[str, np.ndarray],
    people: np.ndarray | None = None,
) -> pd.DataFrame:
    """`variable level` and a column of texts for `all`, each part of the split and each outcome.

    split, outcomes: name → (n,) booleans; each divides the rows. people (n,): whose row it is.
    """
    rows = len(next(iter(split.values())))
    columns = {"all": np.ones(rows, bool), **split, **outcomes}
    partitions = [
        list(range(1, 1 + len(split))), list(range(1 + len(split), len(columns)))
    ]  # fmt: skip
    partitions = [part for part in partitions if part]
    cells = list(columns.values())
    table = [("rows", "", *(_count(c, people) for c in cells))]
    for variable in variables:
        table += _of_variable(variable, cells, partitions, people)
    return pd.DataFrame(table, columns=["variable", "level", *columns])


def _count(cell: np.ndarray, people: np.ndarray | None) -> str:
    few = cell.sum() if people is None else len(np.unique(people[cell]))
    return masking.MASK if few < masking.FEWEST else f"{int(cell.sum()):,}"


def _of_variable(
    variable: Variable,
    cells: Sequence[np.ndarray],
    partitions: Sequence[Sequence[int]],
    people: np.ndarray | None,
) -> list[tuple]:
    known = variable.values[~variable.missing]
    two_valued = not variable.labels and len(known) and set(np.unique(known)) <= {0.0, 1.0}
    if two_valued:  # the codes 0 and 1: how many have 1
        levels = [("0", variable.values == 0), ("1", variable.values == 1)]
    else:
        levels = [(label, variable.values == i) for i, label in enumerate(variable.labels)]
        levels = [(label, member) for label, member in levels if member.any()]
    quantity = not levels
    counted = [*levels] if levels else [("known", ~variable.missing)]
    if variable.missing.any():
        counted.append(("missing", variable.missing))
    texts = _counts([member for _, member in counted], cells, partitions, people)
    shown = list(zip((label for label, _ in counted), texts, strict=True))
    if quantity:
        shown = [("mean (sd)", _means(variable, cells, people)), *shown[1:]]
    if two_valued:
        shown = shown[1:]
    return [
        (variable.name if i == 0 else "", f"= {label}" if two_valued and i == 0 else label, *text)
        for i, (label, text) in enumerate(shown)
    ]


def _means(variable: Variable, cells: Sequence[np.ndarray], people: np.ndarray | None) -> list[str]:
    texts = []
    for cell in cells:
        which = cell & ~variable.missing
        values = variable.values[which]
        many = len(values) if people is None else len(np.unique(people[which]))
        texts.append(
            f"{_number(values.mean(), values)} ({_number(values.std(ddof=1), values)})"
            if many >= FEW_FOR_A_MEAN
            else masking.MASK
        )
    return texts


def _number(number: float, values: np.ndarray) -> str:
    """With one more digit than the values' size asks for."""
    size = float(np.median(np.abs(values)))
    return f"{number:,.0f}" if size >= 1000 else f"{number:.1f}" if size >= 10 else f"{number:.2f}"


def _counts(
    levels: Sequence[np.ndarray],
    cells: Sequence[np.ndarray],
    partitions: Sequence[Sequence[int]],
    people: np.ndarray | None,
) -> list[list[str]]:
    """Level × column: count and share in words, or the mask."""
    each = [[level & cell for cell in cells] for level in levels]
    counts = np.array([[m.sum() for m in row] for row in each], np.float64)
    distinct = counts
    if people is not None:
        distinct = np.array([[len(np.unique(people[m])) for m in row] for row in each])
    k, width = counts.shape
    at = np.arange(k * width).reshape(k, width)
    sums: list[list[int]] = [at[:, j].tolist() for j in range(width)]
    sums += [[-1 - at[i, 0], *at[i, list(part)]] for i in range(k) for part in partitions]
    hidden = masking.masked_counts(counts.ravel(), sums, people=distinct.ravel()).reshape(k, width)
    totals = [cell.sum() for cell in cells]
    return [
        [
            masking.MASK
            if hidden[i, j]
            else f"{int(counts[i, j]):,} ({counts[i, j] / totals[j]:.1%})"
            for j in range(width)
        ]
        for i in range(k)
    ]
