"""Calibration, decision curve and risks by outcome, described for both ways of drawing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.report.plots import COLORS, INK, Axes, Band, Lines, Mark, Plot, Points, Spans

OWN, OTHERS, IDEAL, ALL = COLORS[0], "#8a8a8a", INK, COLORS[1]
BY_OUTCOME = (COLORS[5], COLORS[3])
LOWEST = -0.4
"""How far below 0 net benefits are drawn, as a share of the largest."""


def on_test_rows(
    calibration: pd.DataFrame, decisions: pd.DataFrame, risk: pd.DataFrame, champion: str
) -> Plot | None:
    """The axes of which there is something to draw, beside each other; None without any."""
    grid = [
        *calibration_axes(calibration, champion),
        *(_decision_axes(decisions, champion) if len(decisions) else []),
        *(_risk_axes(risk) if risk.get("people", pd.Series(dtype=float)).notna().any() else []),
    ]
    return Plot((tuple(grid),), 3.6, 3.3) if grid else None


def calibration_axes(table: pd.DataFrame, champion: str) -> list[Axes]:
    """One for the case of two classes, for each of several, or for a quantity."""
    axes = []
    outcomes = list(dict.fromkeys(table["outcome"])) if len(table) else []
    for outcome in outcomes:
        part = table[table["outcome"] == outcome]
        quantity = outcome == ""
        title = "calibration" if quantity or len(outcomes) == 1 else f"calibration: {outcome}"
        y = "observed, mean" if quantity else "observed share"
        x = "predicted" if quantity else "predicted risk"
        axes.append(Axes(tuple(_calibration_marks(part, champion)), title, x, y))
    return axes


def _calibration_marks(part: pd.DataFrame, champion: str) -> list[Mark]:
    shown = part[["predicted", "observed"]].to_numpy(float)
    low, high = float(np.nanmin(shown)), float(np.nanmax(shown))
    marks: list[Mark] = [
        Lines([np.array([low, high])], [np.array([low, high])], IDEAL, "as predicted", "dashed")
    ]
    curves = part[part["kind"] == "curve"]
    others = [c for name, c in curves.groupby("model", sort=False) if name != champion]
    if others:
        xs, ys = ([c[k].to_numpy(float) for c in others] for k in ("predicted", "observed"))
        marks.append(Lines(xs, ys, OTHERS, "other networks", width=0.7, alpha=0.5))
    own = curves[curves["model"] == champion]
    if len(own):
        x, y, below, above = (
            own[k].to_numpy(float) for k in ("predicted", "observed", "low", "high")
        )
        if np.isfinite(below).any():  # of few people there is none
            marks.append(Band(x, below, above, OWN, "95 % interval over test rows"))
        marks.append(Lines([x], [y], OWN, "champion", width=2.0, alpha=1.0))
    tenths = part[part["kind"] == "bin"]
    x, y = tenths["predicted"].to_numpy(float), tenths["observed"].to_numpy(float)
    marks.append(Spans(x, tenths["low"].to_numpy(float), tenths["high"].to_numpy(float), OWN))
    tips = {
        "people": [f"{n:.0f}" for n in tenths["rows"]], "predicted": [f"{v:.3g}" for v in x],
        "observed": [f"{v:.3g}" for v in y],
    }  # fmt: skip
    marks.append(Points(x, y, OWN, "people by tenths of the prediction", size=5.0, tips=tips))
    return marks


def _decision_axes(table: pd.DataFrame, champion: str) -> list[Axes]:
    own = table[table["model"] == champion]
    floor = LOWEST * max(float(table["net_benefit"].max()), 1e-6)
    marks: list[Mark] = []
    others = [
        part for name, part in table.groupby("model", sort=False)
        if name not in (champion, "treat all")
    ]  # fmt: skip
    if others:
        xs, ys = ([p[k].to_numpy(float) for p in others] for k in ("threshold", "net_benefit"))
        cut = [np.where(y >= floor, y, np.nan) for y in ys]
        marks.append(Lines(xs, cut, OTHERS, "other networks", width=0.7, alpha=0.5))
    everyone = table[table["model"] == "treat all"]
    at, benefit = (everyone[k].to_numpy(float) for k in ("threshold", "net_benefit"))
    keep = benefit >= floor
    marks.append(Lines([at[keep]], [benefit[keep]], ALL, "treat all", width=1.4, alpha=1.0))
    ends = np.array([at.min(), at.max()])
    marks.append(Lines([ends], [np.zeros(2)], IDEAL, "treat none", width=1.0, alpha=1.0))
    x, y, low, high = (own[k].to_numpy(float) for k in ("threshold", "net_benefit", "low", "high"))
    label = "95 % interval over test rows"
    if np.isfinite(low).any():
        marks.append(Band(x, np.maximum(low, floor), np.maximum(high, floor), OWN, label))
    marks.append(Lines([x], [y], OWN, "champion", width=2.0, alpha=1.0))
    return [Axes(tuple(marks), "decision curve", "risk from which one treats", "net benefit")]


def _risk_axes(table: pd.DataFrame) -> list[Axes]:
    marks: list[Mark] = []
    for color, (outcome, part) in zip(BY_OUTCOME, table.groupby("outcome", sort=False)):
        runs = _steps(part)
        xs, ys = [x for x, _ in runs], [y for _, y in runs]
        if runs:
            marks.append(Lines(xs, ys, color, f"outcome {outcome}", width=1.6, alpha=1.0))
    return [Axes(tuple(marks), "risks by outcome", "predicted risk", "share of its people")]


def _steps(part: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray]]:
    """Outlines over the bins that are shown, one for each run of them; the open last bin is drawn
    as wide as the others."""
    low, share = part["low"].to_numpy(float), part["share"].to_numpy(float)
    width = float(low[1] - low[0]) if len(low) > 1 else 1.0
    runs: list[tuple[np.ndarray, np.ndarray]] = []
    known = np.flatnonzero(np.isfinite(share))
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(known) else []:
        x = np.repeat(np.append(low[run], low[run[-1]] + width), 2)
        y = np.concatenate([[0.0], np.repeat(share[run], 2), [0.0]])
        runs.append((x, y))
    return runs


def names_of(axes: Sequence[Axes | None]) -> str:
    """What the figure shows, for a reader who cannot see it."""
    return ", ".join(a.title for a in axes if a)
