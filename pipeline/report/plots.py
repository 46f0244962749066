"""What the line figures of a report show, described once: `figures` draws it as a picture
(matplotlib), `interactive` as one to explore (Bokeh). Pure descriptions; no drawing library here.

Colors are Okabe and Ito's, told apart by markers and hatches too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

from pipeline.inspection import front_steps

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
# Tol's muted colors, for solutions, so that they are not taken for regularizers.
SOLUTION_COLORS = ("#332288", "#cc6677", "#117733", "#999933", "#aa4499", "#88ccee", "#bbbbbb")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "--", "++", "oo")
INK = "#333333"

Dash = Literal["solid", "dashed"]
Tips = Mapping[str, Sequence[object]]
"""What hovering shows: a caption → a value for each line, point or box."""


def style_of(names: Sequence[str], colors: Sequence[str] = COLORS) -> dict[str, tuple[str, str]]:
    """Name → (color, marker), in order, starting again after the seventh."""
    n = len(colors)
    return {name: (colors[i % n], MARKERS[i % n]) for i, name in enumerate(dict.fromkeys(names))}


@dataclass(frozen=True, eq=False)
class Lines:
    """One line for each of `xs` and `ys`; `marker` is shown with it in the legend, `along`, what x
    is, beside x where a line has tips."""

    xs: Sequence[np.ndarray]
    ys: Sequence[np.ndarray]
    color: str
    label: str = ""
    dash: Dash = "solid"
    width: float = 1.0
    alpha: float = 0.75
    marker: str = ""
    tips: Tips = field(default_factory=dict)
    along: str = "epoch"


@dataclass(frozen=True, eq=False)
class Points:
    """Markers of `size` points across; hollow ones have no fill."""

    x: np.ndarray
    y: np.ndarray
    color: str
    label: str = ""
    marker: str = "o"
    size: float = 5.5
    hollow: bool = False
    alpha: float = 1.0
    tips: Tips = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Spans:
    """Vertical lines from `low` to `high`, such as a mean ± sd."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    color: str


@dataclass(frozen=True, eq=False)
class Band:
    """The area between two lines, such as a curve's interval."""

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    color: str
    label: str = ""


@dataclass(frozen=True, eq=False)
class Boxes:
    """Filled rectangles, such as stacked bars."""

    left: np.ndarray
    right: np.ndarray
    bottom: np.ndarray
    top: np.ndarray
    color: str
    label: str = ""
    hatch: str = ""
    tips: Tips = field(default_factory=dict)


@dataclass(frozen=True)
class Note:
    """A few words at a point, above it and to its right or left."""

    x: float
    y: float
    text: str
    color: str
    right: bool = True


Mark = Lines | Points | Spans | Band | Boxes | Note


@dataclass(frozen=True)
class Axes:
    """One pair of axes.

    counts   y is whole numbers from 0 on.
    ticks    of a logarithmic x.
    y_names  what stands at y = 0, 1, 2 …, from the top down.
    x_range  from and to, where the marks do not decide it; y_range the same.
    """

    marks: tuple[Mark, ...]
    title: str = ""
    x: str = ""
    y: str = ""
    log_x: bool = False
    counts: bool = False
    whole_x: bool = False
    ticks: tuple[float, ...] = ()
    y_names: tuple[str, ...] = ()
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Key:
    """An entry of the legend, which stands above the whole figure."""

    label: str
    color: str
    marker: str = ""
    dash: Dash | Literal[""] = ""
    hatch: str = ""
    hollow: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Plot:
    """Axes in rows and columns; a column shares x where it has several. Sizes of one in inches."""

    grid: tuple[tuple[Axes | None, ...], ...]
    width: float
    height: float

    def marks(self) -> Iterator[Mark]:
        return itertools.chain(*(axes.marks for row in self.grid for axes in row if axes))

    @property
    def legend(self) -> tuple[Key, ...]:
        """Every label once, in the order of the marks."""
        keys: dict[str, Key] = {}
        for mark in self.marks():
            if not isinstance(mark, (Lines, Points, Band, Boxes)) or not mark.label:
                continue
            if isinstance(mark, Lines):
                key = Key(mark.label, mark.color, mark.marker, mark.dash)
            elif isinstance(mark, Points):
                key = Key(mark.label, mark.color, mark.marker, hollow=mark.hollow)
            else:
                hatch = mark.hatch if isinstance(mark, Boxes) else ""
                faint = isinstance(mark, Band)
                key = Key(mark.label, mark.color, hatch=hatch or " ", faint=faint)
            keys.setdefault(mark.label, key)
        return tuple(keys.values())


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One network against epoch: curve name → (T,) values, epoch 1 first.

    solution  what it ends with, which decides its color.
    letter    of its panel among the heat maps; such a network's line is thick, and its best and
              last epochs are named.
    finals    curve name → its value in the last state, which the solvers made of the last
              epoch's; by default the curve's last value.
    """

    curves: Mapping[str, np.ndarray]
    solution: str
    best_epoch: float
    seed: int
    letter: str = ""
    finals: Mapping[str, float] = field(default_factory=dict)

    def at_best(self, curve: str) -> float:
        """The curve at the best epoch; NaN where that is unknown."""
        values, best = self.curves[curve], self.best_epoch
        known = np.isfinite(best) and 1 <= best <= len(values)
        return float(values[int(best) - 1]) if known else np.nan


def trajectories(
    networks: Sequence[Trajectory], names: Mapping[str, str], order: Sequence[str] = ()
) -> Plot:
    """One line a network, colored by its solution; a filled marker is its best epoch.

    names  curve name → its title; one axes each, in this order.
    order  solutions in the order of their colors, so that all figures of a page agree.
    """
    styles = style_of([*order, *(n.solution for n in networks)], SOLUTION_COLORS)
    jitter = np.linspace(-0.12, 0.12, max(len(networks), 2))
    shift = {id(n): j for n, j in zip(networks, jitter)}
    grid = []
    for curve, title in names.items():
        counts, marks = curve.startswith("kept_"), []
        lettered = [n for n in networks if n.letter and curve in n.curves]
        for solution in dict.fromkeys(n.solution for n in networks):
            members = [n for n in networks if n.solution == solution and curve in n.curves]
            marks += _trajectory_marks(members, curve, styles[solution], shift, bool(lettered))
        for n in lettered:
            marks.append(_thick_line(n, curve, styles[n.solution][0], shift[id(n)] * counts))
        top = max((float(np.nanmax(n.curves[curve])) for n in networks if curve in n.curves),
                  default=0.0)  # fmt: skip
        marks += _named_ends(lettered, curve, styles, top)
        grid.append(Axes(tuple(marks), title=title, x="epoch", counts=counts))
    return Plot((tuple(grid),), 3.6, 3.2)


def _trajectory_marks(
    members: Sequence[Trajectory], curve: str, style: tuple[str, str],
    shift: Mapping[int, float], faded: bool,
) -> list[Mark]:  # fmt: skip
    """Lines and best epochs of the networks of one solution; jittered where they are counts."""
    if not members:
        return []
    (color, marker), counts = style, curve.startswith("kept_")
    moved = [shift[id(n)] * counts for n in members]
    label = members[0].solution
    tips: Tips = {"seed": [n.seed for n in members], "ends with": [label] * len(members)}
    lines = Lines(
        [np.arange(1, len(n.curves[curve]) + 1) for n in members],
        [np.asarray(n.curves[curve], float) + by for n, by in zip(members, moved)],
        color, label, alpha=0.4 if faded else 0.75, marker=marker, tips=tips,
    )  # fmt: skip
    best = np.array([n.at_best(curve) for n in members]) + moved
    at = np.array([n.best_epoch for n in members], float)
    known = np.isfinite(best)
    return [lines, Points(at[known], best[known], color, marker=marker)]


def _thick_line(network: Trajectory, curve: str, color: str, shift: float) -> Lines:
    values = np.asarray(network.curves[curve], float) + shift
    return Lines([np.arange(1, len(values) + 1)], [values], color, width=2.4, alpha=1.0)


def _named_ends(
    networks: Sequence[Trajectory], curve: str, styles: Mapping[str, tuple[str, str]], top: float
) -> list[Mark]:
    """Large marks of the lettered networks at their best epoch, hollow ones in their last state.

    Counts have the letters at the last state alone. Elsewhere a line leads up from a best epoch to
    its name above `top`, the earliest highest, so that no name stands on a line.
    """
    marks: list[Mark] = []
    counts, best = curve.startswith("kept_"), []
    for n in networks:
        values, (color, marker) = np.asarray(n.curves[curve], float), styles[n.solution]
        x, y = float(len(values)), float(n.finals.get(curve, values[-1]))
        marks.append(Points(np.array([x]), np.array([y]), color, "", marker, 9.0, hollow=True))
        text = n.letter if counts else f"{n.letter}, last {x:.0f}"
        marks.append(Note(x, y, text, color, right=False))
        if np.isfinite(n.at_best(curve)):
            best.append((n.best_epoch, n.at_best(curve), n.letter, color, marker))
    step = 0.11 * (top - min(np.nanmin(n.curves[curve]) for n in networks)) if networks else 0.0
    for level, (x, y, letter, color, marker) in enumerate(sorted(best, reverse=True)):
        marks.append(Points(np.array([x]), np.array([y]), color, "", marker, 9.0))
        if not counts:
            height = top + (level + 0.3) * step
            marks.append(Spans(np.array([x]), np.array([y]), np.array([height]), color))
            marks.append(Note(x, height, f"{letter}, best {x:.0f}", color))
    if best and not counts:  # nothing to see: room for the highest name
        room = np.array([1.0]), np.array([top + (len(best) + 0.6) * step])
        marks.append(Points(*room, INK, size=0.1, alpha=0.0))
    return marks


def _round_values(values: pd.Series) -> tuple[float, ...]:
    """1, 2 and 5 times the powers of ten that the values span, one more at either end."""
    powers = range(int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max()))) + 1)
    return tuple(float(f"{m}e{power}") for power in powers for m in (1, 2, 5))


def _against(part: pd.DataFrame, lam: str, column: str, joined: bool) -> tuple[Mark, ...]:
    """Means with their standard deviations against λ; joined by a line unless others vary too."""
    spread = part.get(column.removesuffix("_mean") + "_sd", pd.Series(0.0, part.index)).fillna(0.0)
    x, y, sd = (s.to_numpy(float) for s in (part[lam], part[column], spread))
    tips = {
        "": [f"c{n}" for n in part["configuration"]], lam: [f"{v:.4g}" for v in x],
        "mean ± sd": [f"{m:.3f} ± {s:.3f}" for m, s in zip(y, sd)],
    }  # fmt: skip
    line = (Lines([x], [y], COLORS[0]),) if joined else ()
    spans = (Spans(x, y - sd, y + sd, COLORS[0]),) if sd.any() else ()
    return (*line, *spans, Points(x, y, COLORS[0], size=4.5, tips=tips))


def _shares(
    part: pd.DataFrame, lam: str, shares: pd.DataFrame, order: Sequence[str]
) -> tuple[Boxes, ...]:
    """Stacked boxes, one a configuration: the share of its seeds that end in each solution."""
    styles, x = style_of([*order, *shares.columns], SOLUTION_COLORS), part[lam].to_numpy(float)
    bottom, boxes = np.zeros(len(part)), []
    for label, hatch in zip(shares.columns, itertools.cycle(HATCHES)):
        share = shares.loc[part["configuration"], label].to_numpy(float)
        tips = {
            "": [f"c{n}" for n in part["configuration"]], lam: [f"{v:.4g}" for v in x],
            "ends with": [label] * len(x), "seeds": [f"{s:.0%}" for s in share],
        }  # fmt: skip
        boxes.append(Boxes(x * 0.955, x * 1.045, bottom, bottom + share, styles[label][0], label,
                           hatch, tips))  # fmt: skip
        bottom = bottom + share
    return tuple(boxes)


def lambda_paths(
    table: pd.DataFrame,
    lambdas: Mapping[str, str],
    score: tuple[str, str],
    kept: Mapping[str, str],
    shares: pd.DataFrame | None = None,
    order: Sequence[str] = (),
) -> Plot:
    """λ against score, kept variables by family and share of seeds by solution.

    table    one row a configuration: `configuration`, `regularizer`, the lambdas, `<score>_mean`
             and `_sd`, and the columns of `kept`.
    lambdas  regularizer → its lambda: one column of axes each.
    score    (column without `_mean`, title).
    kept     column → title, one row of axes each.
    shares   configuration × solution → share of its seeds.
    """
    shown, columns = {f"{score[0]}_mean": score[1], **kept}, []
    for regularizer, lam in lambdas.items():
        part = table[(table["regularizer"] == regularizer) & (table[lam] > 0)].sort_values(lam)
        others = [c for c in part.columns if c.startswith("lambda_") and c != lam]
        joined = not any(part[other].nunique() > 1 for other in others)
        ticks = _round_values(part[lam])
        column_axes = [
            Axes(_against(part, lam, column, joined), y=title, log_x=True, counts=column in kept,
                 title=regularizer if i == 0 else "", ticks=ticks)
            for i, (column, title) in enumerate(shown.items())
        ]  # fmt: skip
        if shares is not None:
            boxes = _shares(part, lam, shares, order)
            column_axes.append(Axes(boxes, y="share of seeds", log_x=True, ticks=ticks))
        last = column_axes[-1]
        column_axes[-1] = Axes(last.marks, last.title, lam, last.y, True, last.counts, ticks=ticks)
        columns.append(column_axes)
    rows = tuple(itertools.zip_longest(*columns))
    return Plot(rows, max(2.9, 5.6 / len(lambdas)), 1.75)


def pareto(
    networks: pd.DataFrame, configurations: pd.DataFrame, maximize: bool, label: str
) -> Plot:
    """Score against kept variables: a dot a network, a ring the mean of a configuration.

    Both tables have `kept`, `score`, `regularizer`, `network` and `values`; each has its front.
    """
    marks: list[Mark] = []
    for name, (color, marker) in style_of(networks["regularizer"].tolist()).items():
        for table, size, hollow in ((networks, 4.5, False), (configurations, 7.5, True)):
            rows = table[table["regularizer"] == name]
            tips = {
                "": rows["network"].tolist(), "kept": [f"{k:g}" for k in rows["kept"]],
                "score": [f"{s:.4f}" for s in rows["score"]], "searched": rows["values"].tolist(),
            }  # fmt: skip
            x, y = rows["kept"].to_numpy(float), rows["score"].to_numpy(float)
            marks.append(Points(x, y, color, "" if hollow else name, marker, size, hollow,
                                1.0 if hollow else 0.55, tips))  # fmt: skip
    dashes: tuple[Dash, Dash] = ("solid", "dashed")
    for what, table, dash in zip(
        ("networks", "configurations"), (networks, configurations), dashes
    ):
        x, y = front_steps(table["kept"].to_numpy(), table["score"].to_numpy(), maximize)
        marks.append(Lines([x], [y], INK, f"Pareto front of {what}", dash, 1.2, 1.0))
    x_label = "variables kept at the best epoch, of all families"
    return Plot(((Axes(tuple(marks), x=x_label, y=label, whole_x=True),),), 6.4, 3.8)
