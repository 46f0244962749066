"""What the figures of a study with resamples show, described as `plots` describes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.inspection import ResampledPath
from pipeline.people import PARTS
from pipeline.report.plots import COLORS, INK, MARKERS, Axes, Boxes, Lines, Mark, Plot, Points

FAINT = "#b5b5b5"
MOST_NAMED = 7  # stable variables that have a color of their own
MOST_LINES = 400  # of a figure of selection probabilities
PART_WORDS = {"seed": "seed", "resample": "people", "both": "both together"}
_PART_STYLES = {"seed": ("#e69f00", "s"), "resample": ("#0072b2", "o"), "both": ("#7a7a7a", "^")}
_SHADES = ("#e3eef9", "#b8d5ec", "#7fb2db", "#3f86bf", "#0b4f8a")
_SHADE_FROM = (0.0, 0.02, 0.05, 0.1, 0.2)  # share of a band's predictions


def stability_path(path: ResampledPath) -> Plot:
    """Selection probability of every variable along λ; the stable ones are colored and named.

    Left of the dashed vertical line the penalty is so weak that the bound would not hold.
    """
    probability = np.nan_to_num(path.path.probability)
    x = np.array(path.lambdas) if path.lambdas else np.arange(1.0, len(probability) + 1)
    stable = set(path.stable_names)
    faint = [i for i, v in enumerate(path.variables) if v not in stable]
    highest = probability.max(axis=0, initial=0.0)
    faint = sorted(faint, key=lambda i: -highest[i])[:MOST_LINES]
    marks: list[Mark] = [_lines([(path.variables[i], probability[:, i]) for i in faint], x, FAINT)]
    if stable:
        marks[0] = _lines(
            [(path.variables[i], probability[:, i]) for i in faint], x, FAINT, "other variables"
        )
    rest = path.stable_names[MOST_NAMED:]
    for color, marker, variable in zip(COLORS, MARKERS, path.stable_names[:MOST_NAMED]):
        named = [(variable, probability[:, path.variables.index(variable)])]
        marks.append(_lines(named, x, color, variable, marker))
        marks.append(Points(x, named[0][1], color, "", marker, 4.5))
    if rest:
        others = [(v, probability[:, path.variables.index(v)]) for v in rest]
        marks.append(_lines(others, x, INK, f"{len(rest)} more stable variables"))
    if path.stable is not None:
        level = np.full(2, path.stable.threshold)
        ends = np.array([x.min(), x.max()]) if len(x) > 1 else np.array([x[0] * 0.9, x[0] * 1.1])
        words = f"threshold {100 * path.stable.threshold:.0f} %"
        marks.append(Lines([ends], [level], INK, words, "dashed", 1.0, 1.0))
        marks += _limit(path, x)
    logarithmic = path.lambdas is not None
    name = path.main_lambda if logarithmic else "configurations, those that keep fewest first"
    y = "kept on this share of resamples"
    axes = Axes(tuple(marks), x=str(name), y=y, log_x=logarithmic, y_range=(-0.02, 1.02))
    return Plot(((axes,),), 7.6, 3.9)


def _limit(path: ResampledPath, x: np.ndarray) -> list[Mark]:
    """The line between the part of the path that the bound allows, and the rest."""
    assert path.stable is not None
    allowed = len(path.stable.configurations)
    if not 0 < allowed < len(x):
        return []
    between = np.sqrt(x[allowed - 1] * x[allowed]) if path.lambdas else allowed + 0.5
    at = np.full(2, float(between))
    return [Lines([at], [np.array([0.0, 1.0])], INK, "as far as the bound holds", "dashed", 0.8)]


def _lines(
    named: Sequence[tuple[str, np.ndarray]], x: np.ndarray, color: str, label: str = "",
    marker: str = "",
) -> Lines:  # fmt: skip
    """Lines of the same x, one a variable."""
    tips = {"": [name for name, _ in named]}
    ys = [y for _, y in named]
    thin = color == FAINT
    return Lines([x] * len(ys), ys, color, label, width=0.9 if thin else 1.7,
                 alpha=0.7 if thin else 1.0, marker=marker, tips=tips, along="λ")  # fmt: skip


def whose_variance(rows: pd.DataFrame) -> Plot:
    """A row each thing that varies: the shares of seed, people and both, with their intervals.

    rows has `name`, and `share_<part>` with `_low` and `_high`, NaN where there is no interval.
    """
    marks: list[Mark] = []
    for place, part in zip((-0.24, 0.0, 0.24), ("resample", "seed", "both")):
        color, marker = _PART_STYLES[part]
        share, low, high = (
            rows[f"share_{part}{end}"].to_numpy(float) for end in ("", "_low", "_high")
        )
        y = np.arange(len(rows)) + place
        known = np.isfinite(low)
        if known.any():
            xs = [np.array(pair) for pair in zip(low[known], high[known])]
            ys = [np.full(2, at) for at in y[known]]
            marks.append(Lines(xs, ys, color, width=1.2, alpha=0.6))
        words = [
            f"{100 * s:.0f} %" + (f" ({100 * a:.0f} to {100 * b:.0f} %)" if np.isfinite(a) else "")
            for s, a, b in zip(share, low, high)
        ]
        tips = {"": rows["name"].tolist(), PART_WORDS[part]: words}
        marks.append(Points(share, y, color, PART_WORDS[part], marker, 5.5, tips=tips))
    names = tuple(rows["name"].astype(str))
    x = "share of the variance between networks"
    axes = Axes(tuple(marks), x=x, y_names=names, x_range=(-0.02, 1.02))
    return Plot(((axes,),), 7.6, 0.9 + 0.34 * len(names))


assert set(_PART_STYLES) == set(PARTS)


def instability_plot(cells: pd.DataFrame, bands: pd.DataFrame, quantity: str) -> Plot:
    """What networks of other people and seeds predict, against what the model predicts.

    cells have `low high bottom top share`, bands `low high q2.5 q97.5`: tables of
    `pipeline.people.prediction_tables`, in which no cell is of fewer than five people.
    """
    marks: list[Mark] = []
    share = cells["share"].to_numpy(float)
    shade = np.searchsorted(_SHADE_FROM, share, "right") - 1
    for number, color in enumerate(_SHADES):
        rows = cells[shade == number]
        if not len(rows):
            continue
        tips = {
            "the model": [f"{a:.3g} to {b:.3g}" for a, b in zip(rows["low"], rows["high"])],
            "networks": [f"{a:.3g} to {b:.3g}" for a, b in zip(rows["bottom"], rows["top"])],
            "of their predictions": [f"{s:.1%}" for s in rows["share"]],
        }
        least, first = (f"{100 * _SHADE_FROM[i]:.0f} %" for i in (number, 1))
        label = f"at least {least}" if number else f"below {first}"
        left, right, bottom, top = rows[["low", "high", "bottom", "top"]].to_numpy(float).T
        marks.append(Boxes(left, right, bottom, top, color, label, tips=tips))
    middle = ((bands["low"] + bands["high"]) / 2).to_numpy(float)
    low, high = (bands[name].to_numpy(float) for name in ("q2.5", "q97.5"))
    label = "middle 95 % of predictions"
    marks.append(Lines([middle, middle], [low, high], "#d55e00", label, width=1.5, alpha=1.0))
    ends = [bands["low"].min(), bands["high"].max(), *low, *high]
    ends += [*cells["bottom"], *cells["top"]]
    span = np.array([np.min(ends), np.max(ends)])
    marks.append(Lines([span], [span], INK, "no difference", "dashed", 1.0, 1.0))
    axes = Axes(
        tuple(marks), x=f"{quantity}, of the model", y=f"{quantity}, of networks of other people",
        x_range=(float(span[0]), float(span[1])), y_range=(float(span[0]), float(span[1])),
    )  # fmt: skip
    return Plot(((axes,),), 6.0, 4.6)
