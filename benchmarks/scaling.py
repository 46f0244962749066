"""What a network costs as the population, the rows and the columns grow: a table and a plot.

One dimension changes at a time from 2,000 rows × 40 columns and K = 64; synthetic data, group
lasso, 50 units, batches of 128, and as many epochs as make about 640 steps (64 of many columns).
Every point is a process of its own, so that its peak of memory is its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import numpy as np
import pandas as pd
from measure import HERE, Figure, seconds, write

UNITS, BATCH, STEPS = 50, 128, 640
LINEAR = 1.2
"""Cost a column, or a row, of the last size over that of the one before: more is not linear."""

SMALL_BYTES = 48 * 2**20
"""Of compiled programs, and of tensors whose sizes depend on none of the three."""

START = {"K": 64, "rows": 2_000, "columns": 40}
GRID = {
    "K": (1, 4, 16, 64, 128, 256, 512),
    "rows": (1_000, 10_000, 100_000, 500_000),
    "columns": (10, 100, 1_000, 10_000, 20_000),
}


def problem(rows: int, columns: int):
    from pipeline.networks import TrainingData

    rng = np.random.default_rng(0)
    validation = max(rows // 5, 200)
    x = rng.standard_normal((rows + validation, columns), np.float32)
    y = (rng.random(rows + validation) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return TrainingData(x, y, "binary", (rows, validation, 0), np.arange(columns))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def point(networks: int, rows: int, columns: int) -> dict[str, float]:
    """Seconds a network and 1,000 steps, networks at once, and peaks of memory in bytes."""
    from pipeline.estimators import train_networks
    from pipeline.networks import (
        Architecture,
        NetworkSpec,
        Schedule,
        bytes_of_a_network,
        networks_at_once,
    )
    from pipeline.training import train_population

    data, architecture = problem(rows, columns), Architecture(columns, 0, (UNITS,))
    wanted = np.clip(STEPS * 100 // columns, STEPS // 10, STEPS)
    epochs = max(1, round(wanted / -(-rows // BATCH)))
    schedule = Schedule(epochs=epochs, batch_size=BATCH, tolerance=None)
    specs = [NetworkSpec(seed=s, lambda_group=1e-3) for s in range(networks)]
    tiny = problem(200, columns)  # TensorFlow's own memory, and that of compilation
    train_population(tiny, architecture, specs[:1], Schedule(epochs=1, tolerance=None))
    before = peak_bytes()
    taken = seconds(lambda: train_networks(data, architecture, specs, schedule), repeats=2)
    most = networks_at_once(data, architecture, schedule)
    steps = epochs * -(-rows // BATCH)
    return {
        "seconds": taken / networks / steps * 1_000,
        "at once": most,
        "peak": peak_bytes() - before,
        "formula": min(networks, most) * bytes_of_a_network(data, architecture, schedule)
        + 10 * data.columns.nbytes
        + SMALL_BYTES,
    }


def run(sizes: dict[str, int]) -> dict[str, float]:
    """A point in a process of its own."""
    command = [sys.executable, __file__, *(str(sizes[name]) for name in ("K", "rows", "columns"))]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def plot(table: pd.DataFrame) -> None:
    from matplotlib import figure as drawing

    figure = drawing.Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (name, part) in zip(panels, table.groupby("varied", sort=False)):
        axes.loglog(part["value"], part["seconds"], "o-", color="#0072B2")
        axes.set_xlabel({"K": "K, networks of a population"}.get(name, name))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("seconds a network, 1,000 steps")
    figure.savefig(HERE / "scaling.png", dpi=110)


def everything() -> None:
    rows = []
    for varied, values in GRID.items():
        for value in values:
            rows.append({"varied": varied, "value": value, **run(START | {varied: value})})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    plot(table)
    shown = pd.DataFrame(
        {
            "varied": table["varied"],
            "value": [f"{v:,}" for v in table["value"]],
            "seconds a network, 1,000 steps": [f"{s:.3f}" for s in table["seconds"]],
            "networks at once, at most": table["at once"],
            "memory by the formula, MiB": [f"{b / 2**20:,.0f}" for b in table["formula"]],
            "peak above TensorFlow's own, MiB": [f"{b / 2**20:,.0f}" for b in table["peak"]],
        }
    )
    write(
        "Cost against population, rows and columns",
        "scaling.py",
        f"From K = {START['K']}, {START['rows']:,} rows and {START['columns']} columns, one at a "
        f"time; {UNITS} units, batches of {BATCH}, validation AUROC after every epoch (a fifth as "
        "many rows). A population larger than `networks_at_once` is split without being asked; "
        "the formula is K·`bytes_of_a_network`, ten times the data in float32, and 48 MiB. What "
        "the populations before have given is not in it.\n\n"
        "![Cost against population, rows and columns](scaling.png)",
        shown,
        [linear(part, name) for name, part in table.groupby("varied") if name != "K"],
    )


def linear(part: pd.DataFrame, name: str) -> Figure:
    """How the cost a row or column grows from the last but one size to the last.

    Seconds of 1,000 steps are those of as many rows, whatever the table has: only validation and
    the states that are kept grow with rows.
    """
    (before, value), (cost_before, cost) = part["value"].iloc[-2:], part["seconds"].iloc[-2:]
    steps = value / before if name == "rows" else 1.0
    return Figure(
        f"cost of a network at {value:,} {name}, over {value / before:g} × that at {before:,}",
        cost * steps / (cost_before * value / before), LINEAR,
        because=f"1,000 steps take {cost:.3f} s instead of {cost_before:.3f}",
    )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(point(*(int(word) for word in sys.argv[1:]))))
    else:
        everything()
