"""Weights of variants along the genome, as a Manhattan-like figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter

from pipeline.figures import COLOURS, _axes, _figure, _legend, _png

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
                edgecolors=COLOURS[1], linewidths=0.9, label="causal in the simulation", zorder=3,
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.margins(x=0.01)
    wide = [i for i, name in enumerate(names) if len(names) <= 14 or i % 2 == 0 or i < 10]
    grid[-1].set_xticks([middles[i] for i in wide], [names[i] for i in wide])
    grid[-1].set_xlabel("chromosome", fontsize=8.5)
    _legend(figure, grid[0], "outside upper right")
    return _png(figure)
