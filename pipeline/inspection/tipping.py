"""Where along λ the solutions change, and where the seed decides between them, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.inspection.solutions import by_configuration, solution_label
from pipeline.networks import LAMBDAS
from pipeline.results import NetworkResult, StudyResults
from pipeline.words import inputs_words, listed

MOST_STRETCHES = 8  # of one path that are named one by one


def main_lambda(rows: pd.DataFrame) -> str | None:
    """The λ with the most distinct values above 0, at least two; None where none was searched."""
    distinct = rows[list(LAMBDAS)].where(rows[list(LAMBDAS)] > 0).nunique()
    return str(distinct.idxmax()) if distinct.max() > 1 else None


def ends_of(networks: Sequence[NetworkResult]) -> tuple[str, ...]:
    """The solutions in which finished seeds end, the commonest first."""
    labels = Counter(solution_label(n) for n in networks if n.failure is None)
    return tuple(label for label, _ in sorted(labels.items(), key=lambda x: (-x[1], x[0])))


def _stretches(path: Sequence[tuple[float, tuple[str, ...]]]) -> list[tuple]:
    """Runs of neighbors along λ: (first λ, last λ, the solutions in which their seeds end, whether
    the seeds of each agree)."""
    stretches: list[tuple[list[float], list[str], bool]] = []
    for value, ends in path:
        agree = len(ends) == 1
        same = (
            stretches
            and stretches[-1][2] == agree
            and (not agree or stretches[-1][1] == list(ends))
        )
        if same:
            stretches[-1][0].append(value)
            stretches[-1][1].extend(e for e in ends if e not in stretches[-1][1])
        else:
            stretches.append(([value], list(ends), agree))
    return [(values[0], values[-1], ends, agree) for values, ends, agree in stretches]


def _stretch_words(low: float, high: float, ends: Sequence[str], agree: bool) -> str:
    where = f"at {low:.3g}" if low == high else f"from {low:.3g} to {high:.3g}"
    if agree:
        return f"{where} all seeds end with {ends[0]}"
    return f"{where} the seed decides between {listed(ends, 5)}"


def dividing_words(results: StudyResults, table: pd.DataFrame) -> tuple[str, ...]:
    """A sentence for each regularizer and inputs whose solutions differ along its λ.

    `Along lambda_group of group_lasso on clinical + genetic: from 0.001 to 0.004 all seeds end with
    genetic only; from 0.005 to 0.009 the seed decides between clinical only and genetic only; …`
    """
    groups, sentences = by_configuration(results.networks), []
    if table.empty:
        return ()
    for (inputs, regularizer), rows in table.groupby(["inputs", "regularizer"], sort=False):
        rows = rows[rows["finished"] > 0]
        name = main_lambda(rows)
        if name is None:
            continue
        rows = rows.sort_values(name)
        path = [(float(v), ends_of(groups[c])) for v, c in zip(rows[name], rows["configuration"])]
        if len({ends for _, ends in path}) == 1 and len(path[0][1]) == 1:
            continue
        start = f"Along {name} of {regularizer} on {inputs_words(inputs, results.record)}: "
        stretches = _stretches(path)
        if len(stretches) <= MOST_STRETCHES:
            sentences.append(start + "; ".join(_stretch_words(*s) for s in stretches) + ".")
            continue
        divided_values = [value for value, ends in path if len(ends) > 1]
        summary = f"solutions change {len(stretches) - 1} times from {path[0][0]:.3g} to "
        summary += f"{path[-1][0]:.3g}"
        if divided_values:
            summary += f"; the seed decides at {len(divided_values)} of {len(path)} values, "
            summary += f"between {np.min(divided_values):.3g} and {np.max(divided_values):.3g}"
        sentences.append(start + summary + ".")
    return tuple(sentences)
