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
            if place <= BORDER or place >= 1 - BORDER:
                return "lower" if place <= BORDER else "upper"
    elif not isinstance(space, (list, tuple)):
        return None
    distinct = sorted(set(tried))
    if len(distinct) < 3:
        return None
    return {distinct[0]: "lower", distinct[-1]: "upper"}.get(value)


def _border_flags(table: pd.DataFrame, cells: pd.DataFrame, record: StudyRecord) -> list[str]:
    space: Mapping[str, Any] = record.settings.get("space") or {}  # type: ignore[assignment]
    flags = []
    for _, row in cells.iterrows():
        cell = (table["inputs"] == row["inputs"]) & (table["regularizer"] == row["regularizer"])
        own = table[cell]
        for name in LAMBDAS:
            value = row[name]
            side = _border_side(value, own[name].tolist(), space.get(name)) if value > 0 else None
            if side:
                said = inputs_words(row["inputs"], record)
                flags.append(
                    f"{name} {value:.3g} of the best {row['regularizer']} configuration on {said} "
                    f"(c{row['configuration']}) lies at the {side} end of what was searched; "
                    "a wider range may find a better one."
                )
    return flags


def flags_of(results: StudyResults, table: pd.DataFrame, cells: pd.DataFrame) -> tuple[str, ...]:
    flags = _border_flags(table, cells, results.record) if len(table) else []
    reasons = Counter(str(n.failure) for n in results.failed)
    if reasons:
        said = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(5))
        flags.append(f"{len(results.failed)} of {len(results.networks)} networks failed: {said}.")
    programs = Counter(n.made_with for n in results.networks if n.made_with)
    if len(programs) > 1:
        counts = "; ".join(f"{count} by {program}" for program, count in programs.most_common())
        flags.append(
            f"The networks were trained by {len(programs)} versions of program and libraries, "
            f"which may differ in their last digits: {counts}."
        )
    kkt = np.array([n.metrics.get("kkt_residual", np.nan) for n in results.finished], dtype=float)
    above = int(np.sum(kkt > TOLERANCE))
    if above:
        flags.append(
            f"{above} of {len(results.finished)} finished networks have a relative kkt_residual "
            f"above {TOLERANCE:g} (largest {np.nanmax(kkt):.2g}): they had not settled, so what "
            "they zeroed is partly where training stopped."
        )
    if len(table):
        short = table[table["scored"] < table["scored"].max() / 2]
        if len(short):
            names = listed([f"c{c}" for c in short["configuration"]])
            flags.append(
                f"{names} finished fewer than half as many seeds as others and could not win."
            )
    return (*flags, *results.record.warnings)
