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

from pipeline.report.plots import (
    INK,
    Axes,
    Band,
    Boxes,
    Lines,
    Mark,
    Note,
    Plot,
    Points,
    Spans,
    Tips,
)
from pipeline.report.raster import printable, short_name

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


def _together(marks: Sequence[Mark]) -> list[list[Mark]]:
    """Marks of one kind whose tips have the same captions, which one glyph draws, in the order in
    which the picture has them: what is filled, lines, points, words.

    A glyph costs a dozen objects of the document, whatever it draws.
    """
    order = (Band, Boxes, Lines, Spans, Points, Note)
    found: dict[tuple, list[Mark]] = {}
    for mark in sorted(marks, key=lambda mark: order.index(type(mark))):
        alone = id(mark) if isinstance(mark, (Band, Note)) else 0
        captions = tuple(getattr(mark, "tips", ()))
        found.setdefault((type(mark), captions, getattr(mark, "along", ""), alone), []).append(mark)
    return list(found.values())


def _joined(marks: Sequence[Any], name: str) -> Any:
    """A column of several marks, one after another; of numbers, as an array."""
    parts = [getattr(mark, name) for mark in marks]
    return parts[0] if len(parts) == 1 else np.concatenate([np.asarray(part) for part in parts])


def _joined_tips(marks: Sequence[Mark]) -> Tips:
    """What hovering shows of several marks with the same captions."""
    of_each: list[Tips] = [getattr(mark, "tips", {}) for mark in marks]
    return {caption: [v for tips in of_each for v in tips[caption]] for caption in of_each[0]}


def _looks(counts: Sequence[int], **looks: Sequence[Any]) -> tuple[dict, dict[str, list]]:
    """(properties of a glyph, columns of its source) of how marks look that draw so many each: a
    value where all look the same, else the name of a column."""
    properties, columns = {}, {}
    for name, values in looks.items():
        if len(set(values)) == 1:
            properties[name] = values[0]
        else:
            properties[name] = name
            columns[name] = [v for v, count in zip(values, counts) for _ in range(count)]
    return properties, columns


def _draw_lines(plot: figure, marks: Sequence[Lines], tips: Tips) -> GlyphRenderer:
    looks, columns = _looks(
        [len(m.xs) for m in marks],
        line_color=[m.color for m in marks],
        line_alpha=[m.alpha for m in marks],
        line_dash=[m.dash for m in marks],
        line_width=[m.width for m in marks],
    )
    xs, ys = (
        [np.asarray(v, np.float32) for m in marks for v in getattr(m, n)] for n in ("xs", "ys")
    )
    source = _source({"xs": xs, "ys": ys, **columns}, tips)
    return plot.add_glyph(source, MultiLine(xs="xs", ys="ys", **looks))


def _draw_points(plot: figure, marks: Sequence[Points], tips: Tips) -> GlyphRenderer:
    looks, columns = _looks(
        [len(m.x) for m in marks],
        marker=[_MARKERS[m.marker] for m in marks],
        size=[m.size * _MARK_PIXELS for m in marks],
        line_color=[m.color if m.hollow else "white" for m in marks],
        line_width=[1.6 if m.hollow else 1 for m in marks],
        fill_color=["white" if m.hollow else m.color for m in marks],
        line_alpha=[m.alpha for m in marks],
        fill_alpha=[m.alpha for m in marks],
    )
    source = _source({"x": _joined(marks, "x"), "y": _joined(marks, "y"), **columns}, tips)
    return plot.add_glyph(source, Scatter(x="x", y="y", **looks))


def _draw_boxes(plot: figure, marks: Sequence[Boxes], tips: Tips) -> GlyphRenderer:
    looks, columns = _looks([len(m.left) for m in marks], fill_color=[m.color for m in marks])
    sides = {name: _joined(marks, name) for name in ("left", "right", "bottom", "top")}
    glyph = Quad(
        left="left", right="right", bottom="bottom", top="top", line_color="white", **looks
    )
    return plot.add_glyph(_source({**sides, **columns}, tips), glyph)


def _draw_marks(plot: figure, marks: Sequence[Any], tips: Tips) -> GlyphRenderer | None:
    """Marks of `_together` as one glyph: `figure`'s own methods would add looks of it for when
    others are selected and for when it is muted, which nothing here does."""
    mark = marks[0]
    if isinstance(mark, Lines):
        return _draw_lines(plot, marks, tips)
    if isinstance(mark, Points):
        return _draw_points(plot, marks, tips)
    if isinstance(mark, Boxes):
        return _draw_boxes(plot, marks, tips)
    if isinstance(mark, Spans):
        looks, columns = _looks([len(m.x) for m in marks], line_color=[m.color for m in marks])
        ends = {name: _joined(marks, name) for name in ("x", "low", "high")}
        glyph = Segment(x0="x", y0="low", x1="x", y1="high", **looks)
        return plot.add_glyph(_source({**ends, **columns}, tips), glyph)
    if isinstance(mark, Band):
        source = ColumnDataSource({"x": mark.x, "low": mark.low, "high": mark.high})
        plot.add_glyph(
            source, VArea(x="x", y1="low", y2="high", fill_color=mark.color, fill_alpha=0.16)
        )
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
        names = [short_name(name) for name in described.y_names]
        plot.yaxis.ticker = FixedTicker(ticks=list(range(len(names))))
        plot.yaxis.major_label_overrides = {i: _safe(name) for i, name in enumerate(names)}
        plot.ygrid.grid_line_color, plot.xgrid.grid_line_color = None, _GRID
    for marks in _together(described.marks):
        mark, tips = marks[0], _joined_tips(marks)
        renderer = _draw_marks(plot, marks, tips)
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
