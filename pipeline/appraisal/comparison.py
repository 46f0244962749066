"""Is the network better than a simpler model of the same people?

Differences are of scores on the same resamples of the test rows, so what makes a resample easy or
hard for both does not count. The baseline to beat is the best on the validation rows: test rows
have no say in that choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.appraisal.performance import Measures
from pipeline.appraisal.subject import Measure, Predicted, TestRows, measured
from pipeline.metrics import MAXIMIZED, OF_TASK, bootstrap

BETTER, WORSE, UNDECIDED = "better", "worse", "no difference shown"
HEAD = ["model", "inputs", "chosen", "failure", "validation"]


@dataclass(frozen=True, eq=False)
class Opponent:
    """A baseline with its predictions for the test rows, and its validation score.

    raw (o, n); none where it failed.
    """

    name: str
    inputs: str
    chosen: str
    raw: np.ndarray
    validation: float
    seconds: float
    failure: str = ""


def verdict(low: float, high: float, maximize: bool) -> str:
    """Of a 95 % interval of network − baseline: better or worse where it does not hold 0."""
    low, high = (low, high) if maximize else (-high, -low)
    return BETTER if low > 0 else WORSE if high < 0 else UNDECIDED


def difference(own: Sequence[Measure], other: Measure) -> tuple[float, float, float]:
    """(value, low, high) of the mean of networks' scores minus a baseline's, by resample."""
    value = float(np.mean([m.value for m in own])) - other.value
    many = np.mean([m.resampled for m in own], axis=0) - other.resampled
    return value, *bootstrap.interval([many])


def measured_opponent(rows: TestRows, opponent: Opponent) -> Mapping[str, Measure]:
    """`measured` of a baseline; nothing where it failed."""
    return {} if opponent.failure else measured(rows, Predicted(opponent.name, opponent.raw))


def baselines_table(
    task: str,
    opponents: Sequence[Opponent],
    measures: Sequence[Mapping[str, Measure]],
    networks: Measures,
    champion: str,
    metric: str,
) -> pd.DataFrame:
    """A row a baseline, whose measures are of `measured_opponent`.

    Columns `model inputs chosen failure validation`, of every score of the task `test_…`
    with `_low` and `_high`, and `difference`, champion minus baseline in the objective's metric,
    with `_low`, `_high` and a `verdict`; `mean_difference` … the same of the mean over networks.
    """
    table = []
    for opponent, found in zip(opponents, measures, strict=True):
        row: dict[str, object] = {
            "model": opponent.name, "inputs": opponent.inputs, "chosen": opponent.chosen,
            "failure": opponent.failure,
            "validation": opponent.validation,
        }  # fmt: skip
        for name in _shown(found, task) if found else ():
            low, high = found[name].interval
            row |= {f"test_{name}": found[name].value}
            row |= {f"test_{name}_low": low, f"test_{name}_high": high}
        if found:
            row |= _differences(networks, champion, found[metric], metric)
        table.append(row)
    # Without baselines the table has its head, which replaces one of an earlier start.
    return pd.DataFrame(table) if table else pd.DataFrame(columns=HEAD)


def _shown(measures: Mapping[str, Measure], task: str) -> list[str]:
    return [*OF_TASK[task], *(name for name in measures if name not in OF_TASK[task])]


def _differences(
    networks: Measures, champion: str, other: Measure, metric: str
) -> dict[str, object]:
    maximize = MAXIMIZED[metric]
    value, low, high = difference([networks[champion][metric]], other)
    mean, mean_low, mean_high = difference([m[metric] for m in networks.values()], other)
    return {
        "difference": value, "difference_low": low, "difference_high": high,
        "verdict": verdict(low, high, maximize),
        "mean_difference": mean, "mean_difference_low": mean_low, "mean_difference_high": mean_high,
        "mean_verdict": verdict(mean_low, mean_high, maximize),
    }  # fmt: skip


def best_on_validation(table: pd.DataFrame, maximize: bool) -> int | None:
    """The position of the baseline to beat; None where none was fitted."""
    if table.empty or "difference" not in table:
        return None
    usable = table["validation"].where(table["failure"] == "")
    if not usable.notna().any():
        return None
    return int(usable.argmax() if maximize else usable.argmin())
