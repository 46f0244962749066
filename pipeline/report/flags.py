"""What a reader must be careful about, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.networks import LAMBDAS, TOLERANCE
from pipeline.results import StudyRecord, StudyResults
from pipeline.words import inputs_words, listed

BORDER = 0.05  # share of a searched range, at either end, that counts as its border


def _border_side(value: float, tried: Sequence[float], space: object) -> str | None:
    """`lower` or `upper` where a value lies at the end of its searched range."""
    if isinstance(space, Mapping) and "low" in space and "high" in space:
        low, high = float(space["low"]), float(space["high"])
        scale = math.log if space.get("log") and low > 0 else float
        if high > low:
            place = (scale(value) - scale(low)) / (scale(high) - scale(low))
            if BORDER < place < 1 - BORDER:
                return None
            return "lower" if place <= BORDER else "upper"
    elif not isinstance(space, (list, tuple)):
        return None
    distinct = sorted(set(tried))
    if len(distinct) < 3:
        return None
    return {distinct[0]: "lower", distinct[-1]: "upper"}.get(value)


def _border_flags(table: pd.DataFrame, best_rows: pd.DataFrame, record: StudyRecord) -> list[str]:
    space: Mapping[str, Any] = record.settings.get("space") or {}  # type: ignore[assignment]
    flags = []
    for _, row in best_rows.iterrows():
        alike = (table["inputs"] == row["inputs"]) & (table["regularizer"] == row["regularizer"])
        tried = table[alike]
        for name in LAMBDAS:
            value = row[name]
            side = _border_side(value, tried[name].tolist(), space.get(name)) if value > 0 else None
            if side:
                inputs = inputs_words(row["inputs"], record)
                flags.append(
                    f"{name} {value:.3g} of the best {row['regularizer']} configuration on "
                    f"{inputs} (c{row['configuration']}) lies at the {side} end of what was "
                    "searched; a wider range may find a better one."
                )
    return flags


def flags_of(
    results: StudyResults, table: pd.DataFrame, best_rows: pd.DataFrame
) -> tuple[str, ...]:
    flags = _border_flags(table, best_rows, results.record) if len(table) else []
    reasons = Counter(str(n.failure) for n in results.failed)
    if reasons:
        commonest = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(5))
        flags.append(
            f"{len(results.failed)} of {len(results.networks)} networks failed: {commonest}."
        )
    makers = {
        "versions of program and libraries": [n.made_with for n in results.networks],
        "kinds of processors": [n.processor for n in results.networks],
    }
    for kinds, of_networks in makers.items():
        counted = Counter(maker for maker in of_networks if maker)
        if len(counted) > 1:
            counts = "; ".join(f"{count} by {maker}" for maker, count in counted.most_common())
            flags.append(
                f"The networks were trained by {len(counted)} {kinds}, which may differ in their "
                f"last digits: {counts}."
            )
    kkt = np.array([n.metrics.get("kkt_residual", np.nan) for n in results.finished], dtype=float)
    unsettled = int(np.sum(kkt > TOLERANCE))
    if unsettled:
        flags.append(
            f"{unsettled} of {len(results.finished)} finished networks have a relative "
            f"kkt_residual above {TOLERANCE:g} (largest {np.nanmax(kkt):.2g}): they had not "
            "settled, so what they zeroed is partly where training stopped."
        )
    if len(table):
        fewer = table[table["scored"] < table["scored"].max() / 2]
        if len(fewer):
            names = listed([f"c{c}" for c in fewer["configuration"]])
            flags.append(
                f"{names} finished fewer than half as many seeds as others and could not win."
            )
    return (*flags, *results.record.warnings)
