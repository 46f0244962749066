"""An appraisal in words and numbers, for every medium: the comparison with simpler models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.appraisal import BETTER, WORSE
from pipeline.results import Appraisal, StudyResults
from pipeline.words import metric_words

INTERVAL = "95 % interval over test rows"


def table_of(found: Appraisal, name: str) -> pd.DataFrame:
    """A table of the appraisal, without rows where it has none."""
    return found.tables.get(name, pd.DataFrame())


def number(value: object, digits: int = 3) -> str:
    """`0.712`, and – where it is unknown; quantities of a large unit with fewer decimals."""
    known = float(value)  # type: ignore[arg-type]
    if not np.isfinite(known):
        return "–"
    if abs(known) >= 100:
        return f"{known:,.0f}" if abs(known) >= 1000 else f"{known:.1f}"
    return f"{known:.{digits}f}"


def with_interval(row: Mapping, name: str = "value", low: str = "low", high: str = "high") -> str:
    """`0.712 (0.668 to 0.751)`."""
    text = number(row[name])
    if text == "–" or not (np.isfinite(row[low]) and np.isfinite(row[high])):
        return text
    return f"{text} ({number(row[low])} to {number(row[high])})"


def signed(value: float) -> str:
    """`+0.010` or `−0.003`."""
    text = number(value)
    return text if text == "–" or value < 0 or set(text) <= {"0", "."} else f"+{text}"


def signed_with_interval(row: Mapping, name: str, words: str = "") -> str:
    """`+0.010 (−0.003 to +0.024)`, with `words` before the interval; without one where there is
    none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{signed(row[name])} (no interval from so few people)"
    return f"{signed(row[name])} ({words}{signed(low)} to {signed(high)})"


def comparison(found: Appraisal) -> pd.Series | None:
    """The baseline to beat: the best on the validation rows."""
    table, at = table_of(found, "baselines"), found.facts.get("best_baseline")
    return table.iloc[int(str(at))] if at is not None and len(table) else None


def baseline_sentence(results: StudyResults) -> str | None:
    """Whether the champion is better than the best simpler model, said plainly; None where no
    baseline was fitted."""
    found = results.appraisal
    best = None if found is None else comparison(found)
    if found is None or best is None:
        return None
    metric = str(found.facts["metric"])
    scores = table_of(found, "performance")
    own = scores[scores["champion"].astype(bool) & (scores["metric"] == metric)].iloc[0]
    words, other = metric_words(f"test_{metric}"), number(best[f"test_{metric}"])
    model, champion = str(best["model"]), f"the champion ({found.facts['champion']})"
    by = f"a difference of {signed_with_interval(best, 'difference', f'{INTERVAL} ')}"
    if best["verdict"] == BETTER:
        return (
            f"{champion[0].upper()}{champion[1:]} is better than {model}, the best simpler model: "
            f"its {words} is {number(own['value'])} against {other}, {by}."
        )
    if best["verdict"] == WORSE:
        return (
            f"A simpler model is better: {model} has a {words} of {other} against "
            f"{number(own['value'])} of {champion}, {by}."
        )
    return (
        f"{champion[0].upper()}{champion[1:]} is not shown to be better than {model}, the best "
        f"simpler model: its {words} is {number(own['value'])} against {other}, {by}."
    )


def appraisal_metrics(results: StudyResults) -> dict[str, float]:
    """`champion_test_brier_score` …, `baseline_test_auroc` and `champion_minus_baseline` with
    `_low` and `_high`, for MLflow; what is unknown is left out."""
    found = results.appraisal
    if found is None:
        return {}
    scores = table_of(found, "performance")
    own = scores[scores["champion"].astype(bool)]
    metrics = {f"champion_test_{m}": float(v) for m, v in zip(own["metric"], own["value"])}
    best, metric = comparison(found), found.facts["metric"]
    if best is not None:
        metrics[f"baseline_test_{metric}"] = float(best[f"test_{metric}"])
        for end in ("", "_low", "_high"):
            metrics[f"champion_minus_baseline{end}"] = float(best[f"difference{end}"])
    return {name: value for name, value in metrics.items() if np.isfinite(value)}
