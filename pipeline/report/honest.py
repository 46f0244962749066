"""How good, honestly: the scores of a study with resamples, beside those of the single split."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.results import StudyRecord
from pipeline.words import metric_words

CROSS_VALIDATION = "cross_validation"

_WORDS = {
    "validation_best_network": "single split: the luckiest network on the validation rows",
    "validation_best_configuration": "single split: the best configuration on the validation rows",
    "test": "single split: that configuration on the test rows",
    "nested": "resamples: the configuration chosen within each, on people without a say",
    "bias_corrected": "folds: the best configuration, less what choosing it gained (BBC-CV)",
    "apparent": "single split: the best configuration on its own training rows",
    "optimism_corrected": "bootstrap: that, less the optimism of bootstrap samples (Harrell)",
}
"""Estimate → what a reader is told; in the order in which they are shown."""


def _found(table: pd.DataFrame | None, estimate: str) -> pd.Series | None:
    if table is None or table.empty:
        return None
    rows = table[table["estimate"] == estimate]
    return None if rows.empty or not np.isfinite(rows["value"].iloc[0]) else rows.iloc[0]


def _interval(row: pd.Series) -> str:
    shape = ".3f" if 1e-2 <= abs(row["value"]) < 1e4 else ".3g"
    low, high = row["low"], row["high"]
    return f"{low:{shape}} to {high:{shape}}" if np.isfinite(low) else "–"


def _value(row: pd.Series) -> str:
    return f"{row['value']:{'.3f' if 1e-2 <= abs(row['value']) < 1e4 else '.3g'}}"


def honest_sentence(table: pd.DataFrame | None, record: StudyRecord) -> str | None:
    """How good a network is whose configuration was chosen without looking at who is scored."""
    row = _found(table, "nested")
    if row is None:
        return None
    metric = metric_words(record.objective.removeprefix("val_"))
    ends = _interval(row)
    interval = "" if ends == "–" else f" (95 % interval over people {ends})"
    sentence = (
        f"How good, honestly: with the configuration chosen within each resample, a network from "
        f"{row['trained_rows']:,.0f} rows reaches {metric} {_value(row)} on people without a "
        f"say{interval}"
    )
    lucky, test = _found(table, "validation_best_network"), _found(table, "test")
    if lucky is not None:
        sentence += (
            f", where the luckiest of the {int(lucky['networks'])} networks of the single split "
            f"has {_value(lucky)} on the rows that chose it"
        )
    if test is not None:
        sentence += f", and its best configuration {_value(test)} on the test rows"
    return sentence + "."


def honest_rows(
    table: pd.DataFrame | None, record: StudyRecord
) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: every way of saying how good."""
    metric = metric_words(record.objective.removeprefix("val_"))
    head = ["how it is measured", metric, "95 % interval over people", "rows in training",
            "configuration"]  # fmt: skip
    rows = []
    for estimate, words in _WORDS.items():
        row = _found(table, estimate)
        if row is None:
            continue
        trained = f"{row['trained_rows']:,.0f}" if np.isfinite(row["trained_rows"]) else "–"
        chosen = str(row["chosen"])
        if pd.notna(row["configuration"]):
            chosen = f"c{int(row['configuration'])}"
        rows.append([words, _value(row), _interval(row), trained, chosen or "–"])
    return head, rows


def honest_metrics(table: pd.DataFrame | None, record: StudyRecord) -> dict[str, float]:
    """For MLflow: `nested_auroc`, with `_low` and `_high`, and the corrected ones."""
    metric = record.objective.removeprefix("val_")
    found: dict[str, float] = {}
    for estimate in ("nested", "bias_corrected", "optimism_corrected"):
        row = _found(table, estimate)
        if row is not None:
            ends = {"": "value", "_low": "low", "_high": "high"}
            found |= {f"{estimate}_{metric}{end}": float(row[name]) for end, name in ends.items()}
    return {name: value for name, value in found.items() if np.isfinite(value)}
