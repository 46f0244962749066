"""Arrays → figures, as PNG bytes; touches no files. The only module that imports matplotlib.

Colors are Okabe and Ito's, told apart by markers too. Names are drawn as they are: a `$` in a
variable's name is a dollar sign, not a formula.
"""

from __future__ import annotations

import io
import itertools
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from pipeline.inspection import front_steps
from pipeline.report.heatmap import MOST_ROWS, HeatMap, strongest_rows, weight_scale
from pipeline.report.raster import encode, printable, side_by_side
from pipeline.results import Inputs, variable_norms

__all__ = [
    "HeatMap",
    "Panel",
    "importance_bars",
    "lambda_paths",
    "panels",
    "pareto",
    "selection_bars",
    "trajectories",
]

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# Tol's muted colors, for solutions, so that they are not taken for regularizers.
SOLUTION_COLORS = ("#332288", "#cc6677", "#117733", "#999933", "#aa4499", "#88ccee", "#bbbbbb")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "--", "++", "oo")
_INK, _FAINT = "#333333", "#8a8a8a"

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def style_of(names: Sequence[str], colors: Sequence[str] = COLORS) -> dict[str, tuple[str, str]]:
    """Name → (color, marker), in order, starting again after the seventh."""
    n = len(colors)
    return {name: (colors[i % n], MARKERS[i % n]) for i, name in enumerate(dict.fromkeys(names))}


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _axes(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=_INK, labelsize=8, width=0.6)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(title, fontsize=9, loc="left", color=_INK, parse_math=False)
    axes.set_xlabel(x, fontsize=8.5, color=_INK, parse_math=False)
    axes.set_ylabel(y, fontsize=8.5, color=_INK, parse_math=False)
    return axes


def _legend(figure: Figure, axes: Axes, place: str = "outside upper left") -> None:
    """One legend for all axes, without doubles."""
    handles, labels = axes.get_legend_handles_labels()
    found = dict(zip(labels, handles, strict=True))
    if found:
        legend = figure.legend(
            found.values(), found.keys(), loc=place, ncols=min(len(found), 5),
            frameon=False, fontsize=8.5, handletextpad=0.4,
        )  # fmt: skip
        for text in legend.get_texts():
            text.set_parse_math(False)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in any script; boxes are drawn
        figure.savefig(buffer, format="png", dpi=150, facecolor="white")
    # 256 colors are enough for lines and words, in a third of the bytes. Of Pillow's methods this
    # is the fast one, and keeps thin lines' colors best.
    small, image = io.BytesIO(), Image.open(buffer).convert("RGB")
    image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=0)
    image.save(small, "PNG", optimize=True, dpi=(150, 150))
    return small.getvalue()


@dataclass(frozen=True)
class Panel:
    """One network's first layer, as `panels` shows it."""

    title: str
    inputs: Inputs
    first_layer: np.ndarray


def panels(
    shown: Sequence[Panel], simulated: bool, per_row: int = 3
) -> tuple[bytes, tuple[bytes, ...]]:
    """Heat maps lettered A, B, … on one color scale: all in one PNG, and each as its own."""
    scale = weight_scale(*(panel.first_layer for panel in shown))
    norm_scale = max((max(variable_norms(p.first_layer, p.inputs).values(), default=0.0)
                      for p in shown), default=0.0)  # fmt: skip
    maps: dict[tuple[Inputs, int], HeatMap] = {}
    pictures = []
    for i, panel in enumerate(shown):
        key = (panel.inputs, panel.first_layer.shape[1])
        if key not in maps:
            rows = None  # all, or of many the strongest of all these panels, the same in each
            if len(panel.inputs.columns) > MOST_ROWS:
                layers = [p.first_layer for p in shown if p.inputs == panel.inputs]
                rows = strongest_rows(panel.inputs, *layers)
            maps[key] = HeatMap(*key, simulated, rows=rows, cells_width=270, ratio=2)
        title = f"{chr(ord('A') + i % 26)}   {panel.title}"
        pictures.append(maps[key].pixels(panel.first_layer, title, scale, norm_scale or None))
    together = encode(side_by_side(pictures, per_row, gap=40), ratio=2)
    return together, tuple(encode(picture, ratio=2) for picture in pictures)


def trajectories(
    curves: Sequence[Mapping[str, np.ndarray]],
    labels: Sequence[str],
    best_epochs: Sequence[float],
    names: Mapping[str, str],
    order: Sequence[str] = (),
) -> bytes:
    """One line a network against epoch, colored by its solution, its best epoch marked.

    curves       of each network, curve name → (T,) values, epoch 1 first.
    labels       the solution of each network.
    best_epochs  of each network; NaN where unknown.
    names        curve name → its title; one axes each, in this order.
    order        solutions in the order of their colors, so that all figures of a page agree.
    """
    figure = _figure(3.6 * max(len(names), 1) + 0.4, 3.2)
    styles = style_of([*order, *labels], SOLUTION_COLORS)
    grid = figure.subplots(1, max(len(names), 1), squeeze=False)[0]
    jitter = np.linspace(-0.12, 0.12, max(len(curves), 2))
    for axes, (curve, title) in zip(grid, names.items(), strict=False):
        _axes(axes, title, "epoch")
        counts = curve.startswith("kept_")
        for i, (network, label) in enumerate(zip(curves, labels, strict=True)):
            if curve not in network:
                continue
            values = np.asarray(network[curve], dtype=float)
            shown = values + (jitter[i] if counts else 0.0)
            color, marker = styles[label]
            axes.plot(
                np.arange(1, len(values) + 1), shown, color=color, linewidth=1, alpha=0.75,
                label=label if label[:1] != "_" else f" {label}",
            )  # fmt: skip
            best = best_epochs[i]
            if np.isfinite(best) and 1 <= best <= len(values):
                axes.plot(
                    best, shown[int(best) - 1], marker, color=color, markersize=5.5,
                    markeredgecolor="white", markeredgewidth=0.7, zorder=3,
                )  # fmt: skip
        if counts:
            axes.set_ylim(bottom=-0.4)
            axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, grid[0])
    return _png(figure)


def selection_bars(
    variables: Sequence[str], share_last: Sequence[float], share_best: Sequence[float], title: str
) -> bytes:
    """Share of seeds that keep each variable: bar at the last epoch, ring at the best epoch."""
    count = len(variables)
    figure = _figure(6.4, 0.9 + 0.21 * count)
    axes = _axes(figure.subplots(), title, "share of seeds that keep the variable")
    y = np.arange(count)
    axes.barh(y, share_last, height=0.62, color=COLORS[0], label="last epoch")
    axes.plot(
        share_best, y, "o", markerfacecolor="white", markeredgecolor=COLORS[1], markersize=5.5,
        markeredgewidth=1.3, label="best epoch", linestyle="none", clip_on=False, zorder=3,
    )  # fmt: skip
    names = [printable(v if len(v) <= 40 else v[:39] + "…") for v in variables]
    axes.set_yticks(y, names, parse_math=False)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.6)
    _legend(figure, axes)
    return _png(figure)


def _against(axes: Axes, part: pd.DataFrame, lam: str, column: str, joined: bool) -> None:
    sd = part.get(column.removesuffix("_mean") + "_sd")
    axes.errorbar(
        part[lam], part[column], yerr=None if sd is None else sd.fillna(0.0), color=COLORS[0],
        marker="o", markersize=4.5, linewidth=0.9 if joined else 0.0, elinewidth=0.8,
    )  # fmt: skip


def _shares(
    axes: Axes, part: pd.DataFrame, lam: str, labels: Sequence[str], order: Sequence[str]
) -> None:
    """Stacked bars, one a configuration: the share of its seeds that end in each solution."""
    bottom = np.zeros(len(part))
    values = part[lam].to_numpy(dtype=float)
    width = values * 0.09  # of a constant breadth on the logarithmic axis
    styles = style_of([*order, *labels], SOLUTION_COLORS)
    for label, hatch in zip(labels, itertools.cycle(HATCHES), strict=False):
        share = part[label].to_numpy(dtype=float)
        axes.bar(
            values, share, width, bottom=bottom, color=styles[label][0], label=label, hatch=hatch,
            edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        bottom += share
    axes.set_ylim(0, 1)


def lambda_paths(
    table: pd.DataFrame,
    lambdas: Mapping[str, str],
    score: tuple[str, str],
    kept: Mapping[str, str],
    solutions: Sequence[str] = (),
    order: Sequence[str] = (),
) -> bytes:
    """λ against score, kept variables by family, and share of seeds by solution.

    table      one row a configuration: `regularizer`, the lambdas, `<score>_mean` and `_sd`, the
               columns of `kept`, and one column of shares for each of `solutions`.
    lambdas    regularizer → its lambda: one column of axes each.
    score      (column without `_mean`, title).
    kept       column → title, one row of axes each.
    """
    shown = {f"{score[0]}_mean": score[1], **kept}
    rows = len(shown) + bool(solutions)
    figure = _figure(max(2.9 * len(lambdas), 5.6), 1.75 * rows + 0.6)
    grid = figure.subplots(rows, len(lambdas), squeeze=False, sharex="col", sharey="row")
    for j, (regularizer, lam) in enumerate(lambdas.items()):
        part = table[(table["regularizer"] == regularizer) & (table[lam] > 0)].sort_values(lam)
        others = [c for c in part.columns if c.startswith("lambda_") and c != lam]
        joined = not any(part[other].nunique() > 1 for other in others)
        for i, (column, title) in enumerate(shown.items()):
            axes = _axes(grid[i][j], regularizer if i == 0 else "", "", title if j == 0 else "")
            _against(axes, part, lam, column, joined)
            if column in kept:
                axes.set_ylim(bottom=-0.5)
        if solutions:
            axes = _axes(grid[-1][j], "", "", "share of seeds" if j == 0 else "")
            _shares(axes, part, lam, solutions, order)
        axes = grid[-1][j]
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(lam, fontsize=8.5, parse_math=False)
    _legend(figure, grid[-1][0], "outside lower left")
    return _png(figure)


def pareto(
    networks: pd.DataFrame, configurations: pd.DataFrame, maximize: bool, label: str
) -> bytes:
    """Score against kept variables: a dot a network, a ring the mean of a configuration.

    Both tables have `kept`, `score` and `regularizer`; each has its Pareto front.
    """
    figure = _figure(6.4, 3.8)
    axes = _axes(figure.subplots(), "", "variables kept at the best epoch, of all families", label)
    for name, (color, marker) in style_of(networks["regularizer"].tolist()).items():
        own, means = (t[t["regularizer"] == name] for t in (networks, configurations))
        axes.plot(
            own["kept"], own["score"], marker, color=color, markersize=4.5, alpha=0.55,
            label=name, markeredgewidth=0,
        )  # fmt: skip
        axes.plot(
            means["kept"], means["score"], marker, color=color, markersize=7.5,
            markerfacecolor="none", markeredgewidth=1.2,
        )  # fmt: skip
    for what, table, dash in (
        ("networks", networks, "-"),
        ("configurations", configurations, "--"),
    ):
        x, y = front_steps(table["kept"].to_numpy(), table["score"].to_numpy(), maximize)
        axes.plot(x, y, dash, color=_INK, linewidth=1.2, label=f"Pareto front of {what}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(figure, axes)
    return _png(figure)


def importance_bars(shares: Mapping[str, Mapping[str, float]]) -> bytes:
    """fANOVA importances: target → parameter → share; one group of bars a parameter."""
    names = list(dict.fromkeys(n for own in shares.values() for n in own))
    figure = _figure(6.4, 1.1 + 0.24 * len(names) * len(shares))
    axes = _axes(figure.subplots(), "", "share of the variance over configurations")
    height = 0.8 / max(len(shares), 1)
    for i, (target, own) in enumerate(shares.items()):
        y = np.arange(len(names)) + (i - (len(shares) - 1) / 2) * height
        axes.barh(y, [own.get(n, 0.0) for n in names], height * 0.92, label=target,
                  color=COLORS[i], hatch=HATCHES[i], edgecolor="white", linewidth=0.4)  # fmt: skip
    axes.set_yticks(np.arange(len(names)), [printable(n) for n in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.6)
    _legend(figure, axes)
    return _png(figure)


_TWO_SHADES = ("#5b7ea6", "#9fb6cf")
_GAP = 0.01  # between chromosomes, of the genome's length


def along_genome(shown: pd.DataFrame) -> tuple[np.ndarray, list[str], list[float]]:
    """x of every variant, chromosomes one after another; their names, and the middle of each.

    A chromosome is as long as its last variant's position says; numbers come before names.
    """
    names = sorted(
        dict.fromkeys(shown["chromosome"]),
        key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name),
    )
    position = shown["position"].to_numpy(float)
    chromosome = shown["chromosome"].to_numpy()
    longest = {name: max(position[chromosome == name].max(), 1.0) for name in names}
    gap = _GAP * sum(longest.values())
    starts, start = {}, 0.0
    for name in names:
        starts[name] = start
        start += longest[name] + gap
    x = position + np.array([starts[name] for name in chromosome])
    return x, names, [starts[name] + longest[name] / 2 for name in names]


def manhattan(shown: pd.DataFrame) -> bytes:
    """One row of axes a network: weight of each variant by chromosome and position.

    shown has `network chromosome position learned drawn`, and `causal` where that is known.
    """
    shown = shown[shown["drawn"].astype(bool)]
    networks = list(dict.fromkeys(shown["network"]))
    figure = _figure(10.0, 2.3 * len(networks) + 0.7)
    grid = figure.subplots(len(networks), 1, squeeze=False, sharex=True)[:, 0]
    x, names, middles = along_genome(shown)
    shade = shown["chromosome"].map({name: _TWO_SHADES[i % 2] for i, name in enumerate(names)})
    causal = shown["causal"].astype(bool).to_numpy() if "causal" in shown else None
    for axes, network in zip(grid, networks, strict=True):
        own = (shown["network"] == network).to_numpy()
        _axes(axes, network, "", "learned weight")
        axes.scatter(
            x[own], shown["learned"][own], s=5, c=shade[own].tolist(), linewidths=0, rasterized=True
        )
        if causal is not None:
            marked = own & causal
            axes.scatter(
                x[marked], shown["learned"][marked], s=24, facecolors="none",
                edgecolors=COLORS[1], linewidths=0.9, label="causal in the simulation", zorder=3,
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.margins(x=0.01)
    wide = [i for i, name in enumerate(names) if len(names) <= 14 or i % 2 == 0 or i < 10]
    grid[-1].set_xticks([middles[i] for i in wide], [names[i] for i in wide])
    grid[-1].set_xlabel("chromosome", fontsize=8.5)
    _legend(figure, grid[0], "outside upper right")
    return _png(figure)
