"""The champion on parts of the test rows: by sex, by bands of age, by any column.

A part of fewer than FEWEST_IN_GROUP rows, or with fewer than five people of either outcome, has no
scores: chance alone would decide them, and people could be read off. `fairlearn`'s MetricFrame
gives the same numbers (the tests compare), but draws resamples of its own; here they are those of
all other intervals.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.appraisal.subject import BINARY, Predicted, TestRows, measured
from pipeline.metrics import bootstrap, decisions, masking

FEWEST_IN_GROUP = 20


class Grouping:
    """A column's parts: labels in order, and each test row's position among them, −1 unknown."""

    def __init__(self, column: str, labels: Sequence[str], which: np.ndarray):
        self.column, self.labels = column, (*labels, "missing")
        self.which = np.where(np.asarray(which) < 0, len(labels), which)


def groups_table(
    rows: TestRows,
    champion: Predicted,
    groupings: Sequence[Grouping],
    thresholds: Sequence[float],
) -> pd.DataFrame:
    """`column group people cases metric value low high`; people and cases are nan where masked, and
    a group without scores has one row, without a metric."""
    parts = [_by_column(rows, champion, grouping, thresholds) for grouping in groupings]
    columns = ["column", "group", "people", "cases", "metric", "value", "low", "high"]
    return pd.DataFrame([row for part in parts for row in part], columns=columns)


def _by_column(
    rows: TestRows, champion: Predicted, grouping: Grouping, thresholds: Sequence[float]
) -> list[tuple]:
    present = [g for g in range(len(grouping.labels)) if np.any(grouping.which == g)]
    members = [grouping.which == g for g in present]
    counts, cases = _shown_counts(rows, members)
    table: list[tuple] = []
    for i, g in enumerate(present):
        head = (grouping.column, grouping.labels[g], counts[i], cases[i])
        if not _large_enough(rows, members[i]):
            table.append((*head, "", np.nan, np.nan, np.nan))
            continue
        for metric, (value, low, high) in _scores(rows, champion, members[i], thresholds).items():
            table.append((*head, metric, value, low, high))
    return table


def _large_enough(rows: TestRows, members: np.ndarray) -> bool:
    people = None if rows.people is None else rows.people[members]
    if members.sum() < FEWEST_IN_GROUP or (
        people is not None and len(np.unique(people)) < FEWEST_IN_GROUP
    ):
        return False
    if rows.task != BINARY:
        return rows.task != "multiclass" or len(np.unique(rows.outcome[members])) > 1
    of_class = masking.people_in(rows.outcome[members].astype(int), people, 2)
    return int(of_class.min()) >= masking.FEWEST


def _shown_counts(rows: TestRows, members: Sequence[np.ndarray]) -> tuple[list[float], list[float]]:
    """Rows, and cases of a binary outcome, of each part; nan where masked."""
    binary = rows.task == BINARY
    case = rows.outcome == 1 if binary else np.zeros(len(rows.outcome), bool)
    kinds = [np.ones(len(case), bool), case, ~case] if binary else [np.ones(len(case), bool)]
    cells = [m & kind for kind in kinds for m in members]
    counts = np.array([cell.sum() for cell in cells], np.float64)
    people = None if rows.people is None else rows.people
    distinct = [int(c.sum()) if people is None else len(np.unique(people[c])) for c in cells]
    k = len(members)
    # The total of every kind is known, and all of a part are its cases and its others.
    sums = [tuple(range(i * k, (i + 1) * k)) for i in range(len(kinds))]
    if binary:
        sums += [(-1 - i, k + i, 2 * k + i) for i in range(k)]
    hidden = masking.masked_counts(counts, sums, people=np.array(distinct))
    shown = np.where(hidden, np.nan, counts)
    return shown[:k].tolist(), (shown[k : 2 * k].tolist() if binary else [np.nan] * k)


def _scores(
    rows: TestRows, champion: Predicted, members: np.ndarray, thresholds: Sequence[float]
) -> dict[str, tuple[float, float, float]]:
    """Metric → value and interval, over the part of every resample that is in the group."""
    outcome, raw = rows.outcome[members], champion.raw[:, members]
    people = None if rows.people is None else rows.people[members]
    often = rows.times[members] if bootstrap.enough(outcome, rows.task, people) else rows.times[:0]
    part = _Part(outcome, rows.task, rows.classes, often.reshape(len(outcome), -1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {n: (m.value, *m.interval) for n, m in measured(part, Predicted("", raw)).items()}
        if rows.task != BINARY:
            return found
        risk = Predicted("", raw).risk(BINARY)
        at = np.asarray(thresholds, np.float64)
        own = decisions.fourfold(outcome, risk, at, part.once)
        many = decisions.fourfold(outcome, risk, at, part.times).measures()
    for i, threshold in enumerate(at):
        for name in ("sensitivity", "specificity"):
            if own.smallest[0, i] >= masking.FEWEST:
                low, high = bootstrap.interval([many[name][:, i]])
                found[f"{name} at {threshold:g}"] = (own.measures()[name][0, i], low, high)
    return found


class _Part(TestRows):
    """Some of the test rows, with their share of the resamples of all."""

    def __init__(self, outcome: np.ndarray, task: str, classes: tuple, times: np.ndarray):
        super().__init__(outcome, task, classes)
        self.__dict__["times"] = times
