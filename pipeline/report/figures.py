"""Described plots, and the other figures of a report → PNG bytes; touches no files.

The only module that imports matplotlib. Names are drawn as they are: a `$` in a variable's name is
a dollar sign, not a formula.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes as MatplotlibAxes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from pipeline.report.heatmap import MOST_ROWS, HeatMap, strongest_rows, weight_scale
from pipeline.report.plots import (
    COLORS,
    HATCHES,
    INK,
    Axes,
    Band,
    Boxes,
    Key,
    Lines,
    Mark,
    Plot,
    Points,
    Spans,
)
from pipeline.report.raster import font, png_of, printable, short_name, side_by_side
from pipeline.results import Inputs, variable_norms

_FAINT, BAND, DPI = "#8a8a8a", 0.16, 150
_LEGEND = 8.5  # points of its words

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _axes(axes: MatplotlibAxes, title: str = "", x: str = "", y: str = "") -> MatplotlibAxes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_FAINT)
    axes.tick_params(colors=INK, labelsize=8, width=0.6)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(title, fontsize=9, loc="left", color=INK, parse_math=False)
    axes.set_xlabel(x, fontsize=8.5, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=8.5, color=INK, parse_math=False)
    return axes


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """The most columns, up to 5, in which a legend is no wider than so many inches; at least 1.

    Labels go down the columns, each of which is as wide as its longest.
    """
    ink = font(round(2 * _LEGEND))
    points = [ink.getlength(printable(label)) / 2 + 2.4 * _LEGEND for label in labels]
    for columns in range(min(len(labels), 5), 1, -1):
        widest = [max(column) for column in np.array_split(points, columns)]
        if sum(widest) + 2.0 * _LEGEND * columns <= 72 * width:
            return columns
    return 1


def _legend(
    figure: Figure, named: tuple[Sequence[Artist], Sequence[str]],
    place: Literal["upper left", "upper right"] = "upper left",
) -> None:  # fmt: skip
    """One legend for all axes; a label that begins with _ is shown all the same."""
    handles, labels = named
    if not labels:
        return
    shown = [label if label[:1] != "_" else f" {label}" for label in labels]
    legend = figure.legend(
        handles, shown, loc=place, ncols=_legend_columns(shown, figure.get_figwidth()),
        frameon=False, fontsize=_LEGEND, handlelength=2.0, handletextpad=0.4, columnspacing=2.0,
        borderaxespad=0.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _lay_out(figure: Figure, canvas: FigureCanvasAgg) -> None:
    """Axes as large as the words around them leave room, below the legend.

    All words are measured once. matplotlib's constrained layout measures them twice, as does its
    tight layout where it is given a part of the figure; that costs more than the drawing.
    """
    figure.tight_layout(pad=0.5, w_pad=1.2, h_pad=0.6)
    if not figure.legends:
        return
    renderer, parameters, grid = (
        canvas.get_renderer(), figure.subplotpars, figure.axes[0].get_gridspec()
    )  # fmt: skip
    low = min(legend.get_window_extent(renderer).y0 for legend in figure.legends)
    top = parameters.top - (1.0 - low / figure.bbox.height)
    rows = grid.nrows if grid else 1
    height = (parameters.top - parameters.bottom) / (rows + parameters.hspace * (rows - 1))
    between = parameters.hspace * height  # which stays
    lower = (top - parameters.bottom - between * (rows - 1)) / rows
    if lower > 0:
        figure.subplots_adjust(top=top, hspace=between / lower)


def png(figure: Figure) -> bytes:
    """A figure of `_figure` as PNG."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in any script; boxes are drawn
        warnings.filterwarnings("ignore", message="Tight layout")  # words larger than the figure
        _lay_out(figure, canvas)
        canvas.draw()  # once, where `savefig` draws a second time after the layout
    # 256 colors are enough for lines and words, in a third of the bytes. Of Pillow's methods this
    # is the fast one, and keeps thin lines' colors best.
    small, image = io.BytesIO(), Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    image.save(small, "PNG", compress_level=6, dpi=(DPI, DPI))
    return small.getvalue()


@dataclass(frozen=True)
class Panel:
    """One network's first layer, as `panels` shows it."""

    title: str
    inputs: Inputs
    first_layer: np.ndarray
    letter: str


def panels(
    shown: Sequence[Panel], simulated: bool, per_row: int = 3
) -> tuple[bytes, tuple[bytes, ...]]:
    """Heat maps with their letters, on one color scale: all in one PNG, and each as its own."""
    scale = weight_scale(*(panel.first_layer for panel in shown))
    norm_scale = max((max(variable_norms(p.first_layer, p.inputs).values(), default=0.0)
                      for p in shown), default=0.0)  # fmt: skip
    maps: dict[tuple[Inputs, int], HeatMap] = {}
    pictures = []
    for panel in shown:
        key = (panel.inputs, panel.first_layer.shape[1])
        if key not in maps:
            rows = None  # all, or of many the strongest of all these panels, the same in each
            if len(panel.inputs.columns) > MOST_ROWS:
                layers = [p.first_layer for p in shown if p.inputs == panel.inputs]
                rows = strongest_rows(panel.inputs, *layers)
            maps[key] = HeatMap(*key, simulated, rows=rows, cells_width=270, ratio=2)
        title = f"{panel.letter}   {panel.title}"
        pictures.append(maps[key].pixels(panel.first_layer, title, scale, norm_scale or None))
    together = png_of(side_by_side(pictures, per_row, gap=40), ratio=2)
    return together, tuple(png_of(picture, ratio=2) for picture in pictures)


def _draw_mark(axes: MatplotlibAxes, mark: Mark) -> None:
    """One mark of a described plot, without its label."""
    if isinstance(mark, Lines):
        for x, y in zip(mark.xs, mark.ys, strict=True):
            axes.plot(x, y, color=mark.color, linestyle=mark.dash, linewidth=mark.width,
                      alpha=mark.alpha)  # fmt: skip
    elif isinstance(mark, Points):
        axes.plot(
            mark.x, mark.y, mark.marker, color=mark.color, markersize=mark.size, alpha=mark.alpha,
            markerfacecolor="white" if mark.hollow else mark.color, zorder=3,
            markeredgecolor=mark.color if mark.hollow else "white",
            markeredgewidth=1.3 if mark.hollow else 0.6,
        )  # fmt: skip
    elif isinstance(mark, Spans):
        axes.vlines(mark.x, mark.low, mark.high, color=mark.color, linewidth=0.8)
    elif isinstance(mark, Band):
        axes.fill_between(mark.x, mark.low, mark.high, color=mark.color, alpha=BAND, linewidth=0)
    elif isinstance(mark, Boxes):
        axes.bar(mark.left, mark.top - mark.bottom, mark.right - mark.left, bottom=mark.bottom,
                 align="edge", color=mark.color, hatch=mark.hatch, edgecolor="white",
                 linewidth=0.4)  # fmt: skip
    else:
        axes.annotate(
            mark.text, (mark.x, mark.y), (4 if mark.right else -5, 1 if mark.right else 7),
            textcoords="offset points", ha="left" if mark.right else "right",
            va="bottom",
            color=mark.color, fontsize=8, fontweight="bold", parse_math=False, zorder=4,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6},
        )  # fmt: skip


def _name_rows(axes: MatplotlibAxes, names: Sequence[str]) -> None:
    """What stands at y = 0, 1, 2 …, from the top down; lines lead up from x."""
    axes.set_yticks(range(len(names)), [short_name(name) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color="#e6e6e6", linewidth=0.6)


def _set_ranges(axes: MatplotlibAxes, described: Axes) -> None:
    if described.x_range:
        axes.set_xlim(*described.x_range)
    if described.y_range:
        axes.set_ylim(*described.y_range)
    if described.y_names:
        _name_rows(axes, described.y_names)


def _handle(key: Key) -> Patch | Line2D:
    if key.hatch:
        alpha = BAND if key.faint else None
        return Patch(facecolor=key.color, hatch=key.hatch.strip(), edgecolor="white", alpha=alpha)
    handle = Line2D([], [], color=key.color, marker=key.marker, markersize=6,
                    markerfacecolor="white" if key.hollow else key.color)  # fmt: skip
    handle.set_linestyle(key.dash or "none")
    return handle


def drawn(plot: Plot) -> Figure:
    """A described plot as a figure, its legend above all axes."""
    rows, columns = len(plot.grid), max(len(row) for row in plot.grid)
    figure = _figure(plot.width * columns + 0.4, plot.height * rows + 0.5)
    grid = figure.subplots(
        rows, columns, squeeze=False, sharex="col" if rows > 1 else False,
        sharey="row" if rows > 1 else False,
    )  # fmt: skip
    for i, row in enumerate(plot.grid):
        for j, described in enumerate(row):
            if described is None:
                grid[i][j].set_visible(False)
                continue
            shared = rows > 1 and j > 0  # y of the row, named by its first axes
            axes = _axes(grid[i][j], described.title, described.x, "" if shared else described.y)
            for mark in described.marks:
                _draw_mark(axes, mark)
            if described.counts:
                axes.set_ylim(bottom=-0.5)
                axes.yaxis.set_major_locator(MaxNLocator(integer=True))
            if described.whole_x:
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if described.log_x:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
                axes.xaxis.set_minor_formatter(NullFormatter())
            _set_ranges(axes, described)
    keys = plot.legend
    _legend(figure, ([_handle(key) for key in keys], [key.label for key in keys]))
    return figure


def picture(plot: Plot) -> bytes:
    """A described plot as PNG."""
    return png(drawn(plot))


def selection_bars(
    variables: Sequence[str], share_last: Sequence[float], share_best: Sequence[float], title: str
) -> Figure:
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
    _name_rows(axes, variables)
    axes.set_xlim(0, 1)
    _legend(figure, axes.get_legend_handles_labels())
    return figure


def importance_bars(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """fANOVA importances: target → parameter → share; one group of bars a parameter."""
    names = list(dict.fromkeys(n for share_of in shares.values() for n in share_of))
    figure = _figure(6.4, 1.1 + 0.24 * len(names) * len(shares))
    axes = _axes(figure.subplots(), "", "share of the variance over configurations")
    height = 0.8 / max(len(shares), 1)
    for i, (target, share_of) in enumerate(shares.items()):
        y = np.arange(len(names)) + (i - (len(shares) - 1) / 2) * height
        axes.barh(y, [share_of.get(n, 0.0) for n in names], height * 0.92, label=target,
                  color=COLORS[i], hatch=HATCHES[i], edgecolor="white", linewidth=0.4)  # fmt: skip
    _name_rows(axes, names)
    axes.set_xlim(0, 1)
    _legend(figure, axes.get_legend_handles_labels())
    return figure


def forest(
    names: Sequence[str], value: np.ndarray, low: np.ndarray, high: np.ndarray, x: str
) -> Figure:
    """A point with its interval a name, the first on top and drawn through the others."""
    figure = _figure(6.4, 0.9 + 0.23 * len(names))
    axes = _axes(figure.subplots(), "", x)
    y = np.arange(len(names))
    axes.axvline(float(value[0]), color=_FAINT, linewidth=0.8, linestyle="--")
    axes.hlines(y, low, high, color=COLORS[0], linewidth=1.2)
    axes.plot(value, y, "o", color=COLORS[0], markersize=5, markeredgecolor="white")
    _name_rows(axes, names)
    return figure


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


def manhattan(shown: pd.DataFrame) -> Figure:
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
        of_network = (shown["network"] == network).to_numpy()
        _axes(axes, network, "", "learned weight")
        axes.scatter(
            x[of_network], shown["learned"][of_network], s=5, c=shade[of_network].tolist(),
            linewidths=0, rasterized=True,
        )  # fmt: skip
        if causal is not None:
            marked = of_network & causal
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
    _legend(figure, grid[0].get_legend_handles_labels(), "upper right")
    return figure
