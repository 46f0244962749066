"""Described plots (`plots.Plot`) as interactive Bokeh plots for a self-contained page.

The only module that imports bokeh. Every one has a picture of `figures` beside it that says the
same without scripts. Bokeh draws labels onto a canvas and escapes what a tooltip shows; `$$` is
broken up, since it would begin a formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.document import Document
from bokeh.embed import components
from bokeh.layouts import gridplot, row
from bokeh.models import (
    BasicTicker,
    BasicTickFormatter,
    ColumnDataSource,
    FixedTicker,
    HoverTool,
    Model,
    MultiLine,
    Quad,
    Range1d,
    Scatter,
    Segment,
    VArea,
)
from bokeh.models.annotations import Label, Title
from bokeh.models.renderers import GlyphRenderer
from bokeh.plotting import figure
from bokeh.resources import Resources

from pipeline.report.plots import INK, Axes, Band, Boxes, Lines, Note, Plot, Points, Spans, Tips
from pipeline.report.raster import printable

_MARKERS = {
    "o": "circle", "s": "square", "^": "triangle", "D": "diamond", "v": "inverted_triangle",
    "P": "plus", "X": "x",
}  # fmt: skip
_TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
_GRID = "#e6e6e6"
LOW = 200  # pixels: axes lower than this have the words of y above them
_PIXELS = 78  # of the page for an inch of a described plot
_MARK_PIXELS = 1.35  # for a point of a marker


def script_of_the_library() -> str:
    """BokehJS itself, about a megabyte; nothing is fetched."""
    return "\n".join(Resources(mode="inline", components=["bokeh"], minified=True).js_raw)


def embedded(plots: Mapping[str, Model]) -> tuple[str, dict[str, str]]:
    """One script without its tag, and name → the element that it fills."""
    document = Document()
    with document.models.freeze():  # what belongs to it is looked up once, not for every root
        for plot in plots.values():
            document.add_root(plot)
    script, elements = components(dict(plots), wrap_script=False)
    return script, elements


def _safe(text: object) -> str:
    return printable(str(text)).replace("$$", "$ $")


def _source(columns: Mapping[str, Any], tips: Tips) -> ColumnDataSource:
    """Columns, and what hovering shows as `tip_0`, `tip_1` …, as text or as it is."""
    shown = {
        f"tip_{i}": [_safe(v) if isinstance(v, str) else v for v in values]
        for i, values in enumerate(tips.values())
    }
    return ColumnDataSource({**columns, **shown})


def _draw_mark(plot: figure, mark: object) -> GlyphRenderer | None:
    """A mark as one glyph: `figure`'s own methods would add looks of it for when others are
    selected and for when it is muted, which nothing here does."""
    if isinstance(mark, Lines):
        source = _source(
            {
                "xs": [np.asarray(x, np.float32) for x in mark.xs],
                "ys": [np.asarray(y, np.float32) for y in mark.ys],
            },
            mark.tips,
        )
        return plot.add_glyph(source, MultiLine(
            xs="xs", ys="ys", line_color=mark.color, line_alpha=mark.alpha, line_dash=mark.dash,
            line_width=mark.width,
        ))  # fmt: skip
    if isinstance(mark, Points):
        return plot.add_glyph(_source({"x": mark.x, "y": mark.y}, mark.tips), Scatter(
            x="x", y="y", marker=_MARKERS[mark.marker], size=mark.size * _MARK_PIXELS,
            line_color=mark.color if mark.hollow else "white", line_width=1.6 if mark.hollow else 1,
            fill_color="white" if mark.hollow else mark.color,
            line_alpha=mark.alpha, fill_alpha=mark.alpha,
        ))  # fmt: skip
    if isinstance(mark, Spans):
        source = ColumnDataSource({"x": mark.x, "low": mark.low, "high": mark.high})
        glyph = Segment(x0="x", y0="low", x1="x", y1="high", line_color=mark.color)
        return plot.add_glyph(source, glyph)
    if isinstance(mark, Band):
        source = ColumnDataSource({"x": mark.x, "low": mark.low, "high": mark.high})
        plot.add_glyph(
            source, VArea(x="x", y1="low", y2="high", fill_color=mark.color, fill_alpha=0.16)
        )
        return None
    if isinstance(mark, Boxes):
        sides = {"left": mark.left, "right": mark.right, "bottom": mark.bottom, "top": mark.top}
        return plot.add_glyph(
            _source(sides, mark.tips),
            Quad(left="left", right="right", bottom="bottom", top="top", fill_color=mark.color,
                 line_color="white"),
        )  # fmt: skip
    if isinstance(mark, Note):
        plot.add_layout(Label(
            x=mark.x, y=mark.y, text=_safe(mark.text), x_offset=4 if mark.right else -6,
            y_offset=0 if mark.right else 7, text_align="left" if mark.right else "right",
            text_font_size="12px",
            text_font_style="bold", text_color=mark.color, background_fill_color="white",
            background_fill_alpha=0.7,
        ))  # fmt: skip
    return None


def _ranges(described: Axes) -> dict[str, Any]:
    """The ranges that the description gives; names on y stand from the top down."""
    ranges = {"x_range": described.x_range, "y_range": described.y_range}
    if described.y_names:
        ranges["y_range"] = (len(described.y_names) - 0.4, -0.6)
    return {name: Range1d(start=ends[0], end=ends[1]) for name, ends in ranges.items() if ends}


def _drawn(described: Axes, x_range: object, width: float, height: float) -> figure:
    options: dict[str, Any] = {"x_axis_type": "log"} if described.log_x else {}
    options |= _ranges(described)
    if x_range is not None:
        options["x_range"] = x_range
    heading, y = described.title, " ".join(described.y.split())
    if y and height * _PIXELS < LOW:  # an upright label would be cut
        heading, y = f"{heading}: {y}" if heading else y, ""
    title = Title(text=_safe(heading), text_font_size="12px", text_color=INK)
    plot = figure(
        title=title, x_axis_label=_safe(described.x), tools=_TOOLS,
        y_axis_label=_safe(y), sizing_mode="stretch_width",
        min_width=min(220, int(width * _PIXELS)), height=int(height * _PIXELS), **options,
    )  # fmt: skip
    plot.toolbar.logo, plot.toolbar.autohide, plot.toolbar.active_scroll = None, True, None
    plot.outline_line_color = None
    plot.xgrid.grid_line_color, plot.ygrid.grid_line_color = None, _GRID
    for axis in plot.axis:
        axis.axis_label_text_font_style, axis.axis_label_text_font_size = "normal", "12px"
        axis.axis_label_text_color = axis.major_label_text_color = INK
        axis.minor_tick_line_color = None
    if described.log_x:  # 0.001, not 1.000e−3
        plot.xaxis.formatter = BasicTickFormatter(power_limit_low=-5)
    if described.ticks:
        plot.xaxis.ticker = FixedTicker(ticks=list(described.ticks))
    if described.counts:
        plot.yaxis.ticker = BasicTicker(min_interval=1)
    if described.y_names:
        names = [n if len(n) <= 40 else n[:39] + "…" for n in described.y_names]
        plot.yaxis.ticker = FixedTicker(ticks=list(range(len(names))))
        plot.yaxis.major_label_overrides = {i: _safe(name) for i, name in enumerate(names)}
        plot.ygrid.grid_line_color, plot.xgrid.grid_line_color = None, _GRID
    for mark in described.marks:
        renderer = _draw_mark(plot, mark)
        tips: Tips = getattr(mark, "tips", {})
        if renderer is None or not tips:
            continue
        shown: Sequence[tuple[str, str]] = [(n, f"@tip_{i}") for i, n in enumerate(tips)]
        if isinstance(mark, Lines):
            shown = [*shown, (mark.along, "$x{0.[0000]}"), ("", "$y{0.00}")]
        plot.add_tools(
            HoverTool(renderers=[renderer], tooltips=list(shown), point_policy="snap_to_data")
        )
    return plot


def bokeh_plot(plot: Plot) -> Model:
    """A described plot as Bokeh draws it; its legend is written by the page."""
    ranges: dict[int, object] = {}
    rows: list[list[figure | None]] = []
    single = len(plot.grid) == 1
    for described_row in plot.grid:
        rows.append([])
        for j, described in enumerate(described_row):
            key = 0 if single else j  # axes beside each other share x where there is one row
            if described is None:
                rows[-1].append(None)
                continue
            drawn = _drawn(described, ranges.get(key), plot.width, plot.height)
            ranges.setdefault(key, drawn.x_range)
            rows[-1].append(drawn)
    if single:
        return row([p for p in rows[0] if p is not None], sizing_mode="stretch_width")
    return gridplot(rows, sizing_mode="stretch_width", toolbar_location=None)
