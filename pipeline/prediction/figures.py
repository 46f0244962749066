"""Pictures of one model: calibration, importances, partial dependence. Touches no files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLUE, ORANGE, FAINT = "#0072b2", "#d55e00", "#8a8a8a"
COLORS = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DPI = 150


def _figure(width: float, height: float, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(x, fontsize=8.5, parse_math=False)
    axes.set_ylabel(y, fontsize=8.5, parse_math=False)
    return figure, axes


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def calibration(bins: pd.DataFrame, x: str, y: str) -> bytes:
    """Observed against predicted, with the diagonal on which both are equal."""
    figure, axes = _figure(4.2, 3.8, x, y)
    ends = bins[["predicted", "observed"]].to_numpy()
    low, high = float(ends.min()), float(ends.max())
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, linestyle="--")
    error_bars = np.abs(bins[["low", "high"]].to_numpy().T - bins["observed"].to_numpy())
    axes.errorbar(
        bins["predicted"], bins["observed"], yerr=np.nan_to_num(error_bars), fmt="o-", color=BLUE,
        markersize=4, linewidth=1.2, elinewidth=0.8, capsize=2,
    )  # fmt: skip
    return _png(figure)


def histogram(groups: dict[str, np.ndarray], x: str) -> bytes:
    """Predictions of people, by outcome."""
    figure, axes = _figure(4.2, 3.8, x, "people")
    predictions = np.concatenate(list(groups.values()))
    edges = [float(edge) for edge in np.histogram_bin_edges(predictions, bins=30)]
    for color, (name, values) in zip(COLORS, groups.items(), strict=False):
        axes.hist(values, edges, histtype="step", color=color, label=name, linewidth=1.2)
    if len(groups) > 1:
        legend = axes.legend(fontsize=8, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return _png(figure)


def bars(names: Sequence[str], values: np.ndarray, spread: np.ndarray, x: str) -> bytes:
    """One bar a name, the first on top, with ± spread."""
    figure, axes = _figure(5.6, 0.9 + 0.26 * len(names), x, "")
    positions = np.arange(len(names))[::-1]
    axes.barh(positions, values, xerr=spread, color=BLUE, height=0.65, error_kw={"linewidth": 0.8})
    axes.axvline(0.0, color=FAINT, linewidth=0.8)
    axes.set_yticks(positions, list(names), parse_math=False, fontsize=8)
    axes.grid(axis="y", visible=False)
    return _png(figure)


def dependence(
    grid: Sequence[object],
    curves: dict[str, np.ndarray],
    x: str,
    y: str,
    numeric: bool,
    ends: tuple[float, float],
) -> bytes:
    """Mean prediction along a column's values: a line of quantities, points of levels.

    ends: the lowest and the highest value of all such pictures of a page.
    """
    figure, axes = _figure(3.4, 2.7, x, y)
    room = 0.05 * (ends[1] - ends[0]) or 0.5
    axes.set_ylim(ends[0] - room, ends[1] + room)
    for i, (color, (name, values)) in enumerate(zip(COLORS, curves.items(), strict=False)):
        if numeric:
            axes.plot(np.asarray(grid, float), values, color=color, linewidth=1.6, label=name)
        else:
            positions = np.arange(len(grid)) + 0.1 * (i - (min(len(curves), len(COLORS)) - 1) / 2)
            axes.plot(positions, values, "o", color=color, markersize=4.5, label=name)
    if not numeric:
        shown = [text if len(text) <= 12 else text[:11] + "…" for text in map(str, grid)]
        axes.set_xticks(np.arange(len(grid)), shown, parse_math=False, fontsize=7)
        if len(grid) > 4:
            axes.tick_params(axis="x", rotation=60)
    if len(curves) > 1:
        legend = axes.legend(fontsize=7, frameon=False)
        for text in legend.get_texts():
            text.set_parse_math(False)
    return _png(figure)
