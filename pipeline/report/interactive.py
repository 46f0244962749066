"""The figures that gain from a pointer, as Bokeh documents for a self-contained page.

The only module that imports bokeh. Every one has a picture of `figures` beside it that says the
same without scripts. Arguments are those of the function of the same name there. Bokeh draws labels
onto a canvas and escapes what a tooltip shows; `$$` is broken up, since it would begin a formula.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from bokeh.embed import components
from bokeh.layouts import gridplot, row
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Legend, LegendItem, Model
from bokeh.plotting import figure
from bokeh.resources import Resources

from pipeline.inspection import front_steps
from pipeline.report.figures import COLORS, SOLUTION_COLORS, style_of
from pipeline.report.raster import printable

_MARKERS = {
    "o": "circle", "s": "square", "^": "triangle", "D": "diamond", "v": "inverted_triangle",
    "P": "plus", "X": "x",
}  # fmt: skip
_TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
_INK, _GRID = "#333333", "#e6e6e6"


def script_of_the_library() -> str:
    """BokehJS itself, about a megabyte; nothing is fetched."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


def embedded(plots: Mapping[str, Model]) -> tuple[str, dict[str, str]]:
    """One script without its tag, and name → the element that it fills."""
    script, elements = components(dict(plots), wrap_script=False)
    return script, elements


def _safe(text: object) -> str:
    return printable(str(text)).replace("$$", "$ $")


def _axes(title: str = "", x: str = "", y: str = "", **options: object):
    plot = figure(
        title=_safe(title), x_axis_label=_safe(x), y_axis_label=_safe(y), tools=_TOOLS,
        sizing_mode="stretch_width", min_width=220, **{"height": 260} | options,
    )  # fmt: skip
    plot.toolbar.logo, plot.toolbar.autohide = None, True
    plot.outline_line_color = None
    plot.xgrid.grid_line_color, plot.ygrid.grid_line_color = None, _GRID
    plot.title.text_font_size, plot.title.text_color = "12px", _INK
    for axis in plot.axis:
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "12px"
        axis.axis_label_text_color = axis.major_label_text_color = _INK
        axis.minor_tick_line_color = None
    plot.toolbar.active_scroll = None
    return plot


def _hover(plot, renderers: list, tips: Sequence[tuple[str, str]]) -> None:
    plot.add_tools(HoverTool(renderers=renderers, tooltips=list(tips), point_policy="snap_to_data"))


def _legend(plot, found: Mapping[str, list]) -> None:
    """Above the plot; a click hides what it names."""
    items = [LegendItem(label={"value": _safe(n)}, renderers=r) for n, r in found.items()]
    legend = Legend(items=items, orientation="horizontal", click_policy="hide", ncols=3)
    legend.border_line_color, legend.label_text_font_size, legend.padding = None, "12px", 2
    plot.add_layout(legend, "above")


def trajectories(
    curves: Sequence[Mapping[str, np.ndarray]],
    labels: Sequence[str],
    best_epochs: Sequence[float],
    names: Mapping[str, str],
    order: Sequence[str],
    seeds: Sequence[int],
) -> Model:
    """One line a network; pointing at it tells its seed, its solution and the value there."""
    styles, plots, shared = style_of([*order, *labels], SOLUTION_COLORS), [], None
    jitter = np.linspace(-0.12, 0.12, max(len(curves), 2))
    for curve, title in names.items():
        plot = _axes(title, "epoch", "", **({"x_range": shared} if shared else {}))
        shared = plot.x_range
        rows = []
        for i, (network, label) in enumerate(zip(curves, labels, strict=True)):
            if curve in network:
                values = np.asarray(network[curve], float) + jitter[i] * curve.startswith("kept_")
                best = best_epochs[i]
                known = np.isfinite(best) and 1 <= best <= len(values)
                at = values[int(best) - 1] if known else np.nan
                epochs = np.arange(1, len(values) + 1, dtype=np.int16)
                values = values.astype(np.float32)
                rows.append((label, seeds[i], epochs, values, best if known else np.nan, at))
        table = pd.DataFrame(rows, columns=["label", "seed", "xs", "ys", "best", "at"])
        table["solution"] = [_safe(label) for label in table["label"]]
        lines, found = [], {}
        for label, own in table.groupby("label", sort=False):
            source = ColumnDataSource({name: list(own[name]) for name in own if name != "label"})
            color, marker = styles[label]
            line = plot.multi_line("xs", "ys", source=source, color=color, alpha=0.75)
            mark = plot.scatter("best", "at", source=source, marker=_MARKERS[marker], color=color,
                                size=8, line_color="white")  # fmt: skip
            lines.append(line)
            found[label] = [line, mark]
        tips = [("seed", "@seed"), ("ends with", "@solution"), ("epoch", "$x{0}"), ("", "$y{0.00}")]
        _hover(plot, lines, tips)
        if not plots:
            _legend(plot, found)
        plots.append(plot)
    return row(plots, sizing_mode="stretch_width")


def _round_values(values: pd.Series) -> list[float]:
    """1, 2 and 5 times the powers of ten that the values span."""
    powers = range(int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max()))) + 1)
    return [float(f"{m}e{power}") for power in powers for m in (1, 2, 5)]


def _against(plot, part: pd.DataFrame, lam: str, column: str, joined: bool) -> None:
    spread = part.get(column.removesuffix("_mean") + "_sd", pd.Series(0.0, part.index)).fillna(0.0)
    source = ColumnDataSource({
        "x": part[lam], "y": part[column], "sd": spread, "low": part[column] - spread,
        "high": part[column] + spread, "c": [f"c{n}" for n in part["configuration"]],
    })  # fmt: skip
    if joined:
        plot.line("x", "y", source=source, color=COLORS[0])
    plot.segment("x", "low", "x", "high", source=source, color=COLORS[0])
    dots = plot.scatter("x", "y", source=source, color=COLORS[0], size=7)
    _hover(plot, [dots], [("", "@c"), (lam, "@x{0.0000}"), ("", "@y{0.000} ± @sd{0.000}")])


def _shares(
    plot, part: pd.DataFrame, lam: str, labels: Sequence[str], order: Sequence[str]
) -> dict[str, list]:
    styles, found = style_of([*order, *labels], SOLUTION_COLORS), {}
    bottom, x = np.zeros(len(part)), part[lam].to_numpy(dtype=float)
    for label in labels:
        share = part[label].to_numpy(dtype=float)
        source = ColumnDataSource({
            "left": x * 0.955, "right": x * 1.045, "bottom": bottom, "top": bottom + share, "x": x,
            "share": share, "solution": [_safe(label)] * len(x),
            "c": [f"c{n}" for n in part["configuration"]],
        })  # fmt: skip
        bars = plot.quad("left", "right", "top", "bottom", source=source, color=styles[label][0],
                         line_color="white")  # fmt: skip
        found[label] = [bars]
        bottom = bottom + share
    tips = [("", "@c"), (lam, "@x{0.0000}"), ("ends with", "@solution"), ("seeds", "@share{0 %}")]
    _hover(plot, [r for own in found.values() for r in own], tips)
    return found


def lambda_paths(
    table: pd.DataFrame,
    lambdas: Mapping[str, str],
    score: tuple[str, str],
    kept: Mapping[str, str],
    solutions: Sequence[str] = (),
    order: Sequence[str] = (),
) -> Model:
    """λ against score, kept variables and share of seeds by solution, a column a regularizer."""
    shown = {f"{score[0]}_mean": score[1], **kept}
    columns = []
    for j, (regularizer, lam) in enumerate(lambdas.items()):
        part = table[(table["regularizer"] == regularizer) & (table[lam] > 0)].sort_values(lam)
        others = [c for c in part.columns if c.startswith("lambda_") and c != lam]
        joined = not any(part[other].nunique() > 1 for other in others)
        plots, options = [], {"x_axis_type": "log", "height": 190}
        for column, title in shown.items():
            words = " ".join(title.split())
            plot = _axes(f"{regularizer}: {words}" if not plots else words, **options)
            options["x_range"] = plot.x_range
            _against(plot, part, lam, column, joined)
            plots.append(plot)
        if solutions:
            plot = _axes("share of seeds", **options)
            found = _shares(plot, part, lam, solutions, order)
            if j == 0:
                _legend(plot, found)
            plots.append(plot)
        plots[-1].xaxis.axis_label = lam
        for plot in plots:
            plot.xaxis.ticker = FixedTicker(ticks=_round_values(part[lam]))
        columns.append(plots)
    rows = list(itertools.zip_longest(*columns))
    return gridplot([list(r) for r in rows], sizing_mode="stretch_width", toolbar_location=None)


def pareto(
    networks: pd.DataFrame, configurations: pd.DataFrame, maximize: bool, label: str
) -> Model:
    """Score against kept variables: every network, and the mean of every configuration."""
    plot = _axes("", "variables kept at the best epoch, of all families", label, height=380)
    found, dots = {}, []
    for name, (color, marker) in style_of(networks["regularizer"].tolist()).items():
        own = networks[networks["regularizer"] == name]
        source = ColumnDataSource({k: own[k] for k in ("kept", "score", "network", "values")})
        glyph = plot.scatter("kept", "score", source=source, color=color, alpha=0.55, size=6,
                             marker=_MARKERS[marker])  # fmt: skip
        found[name] = [glyph]
        dots.append(glyph)
        means = configurations[configurations["regularizer"] == name]
        source = ColumnDataSource({k: means[k] for k in ("kept", "score", "network", "values")})
        ring = plot.scatter("kept", "score", source=source, color=color, fill_alpha=0, size=11,
                            line_width=1.6, marker=_MARKERS[marker])  # fmt: skip
        found[name].append(ring)
        dots.append(ring)
    for what, table, dash in (("networks", networks, "solid"),
                              ("configurations", configurations, "dashed")):  # fmt: skip
        x, y = front_steps(table["kept"].to_numpy(), table["score"].to_numpy(), maximize)
        found[f"Pareto front of {what}"] = [plot.line(x, y, color=_INK, line_dash=dash)]
    tips = [("", "@network"), ("kept", "@kept"), ("score", "@score{0.0000}"), ("", "@values")]
    _hover(plot, dots, tips)
    _legend(plot, found)
    return plot
