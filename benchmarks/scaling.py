"""What a network costs as the population, the rows and the columns grow: a table and a plot.

One dimension changes at a time from 2,000 rows × 40 columns and K = 64; synthetic data, group
lasso, 50 units, batches of 128, and as many epochs as make about 40 steps.
"""

from __future__ import annotations

import resource

import numpy as np
import pandas as pd
from measure import HERE, seconds, write

K, ROWS, COLUMNS, UNITS, BATCH, STEPS = 64, 2_000, 40, 50, 128, 40
GRID = {
    "K": (1, 4, 16, 64, 128, 256, 512),
    "rows": (1_000, 10_000, 100_000),
    "columns": (10, 100, 1_000, 10_000),
}


def problem(rows: int, columns: int):
    from pipeline.training import TrainingData

    rng = np.random.default_rng(0)
    validation = max(rows // 5, 200)
    x = rng.standard_normal((rows + validation, columns), np.float32)
    y = (rng.random(rows + validation) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    return TrainingData(x, y, "binary", (rows, validation, 0), np.arange(columns))


def networks_seconds(networks: int, rows: int, columns: int) -> tuple[float, int]:
    """Seconds a network and 1,000 steps, and the K that the memory rule allows at once."""
    from pipeline.network import Architecture
    from pipeline.training import NetworkSpec, Schedule, networks_at_once, train_population

    data, architecture = problem(rows, columns), Architecture(columns, 0, (UNITS,))
    epochs = max(1, round(STEPS / -(-rows // BATCH)))
    schedule = Schedule(epochs=epochs, batch_size=BATCH, tolerance=None)
    most = networks_at_once(data, architecture, schedule)
    specs = [NetworkSpec(seed=s, lambda_group=1e-3) for s in range(networks)]

    def run():
        for start in range(0, networks, most):
            train_population(data, architecture, specs[start : start + most], schedule)

    steps = epochs * -(-rows // BATCH)
    return seconds(run, repeats=2) / networks / steps * 1_000, most


def plot(table: pd.DataFrame) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (name, part) in zip(figure.subplots(1, 3), table.groupby("varied", sort=False)):
        axes.loglog(part["value"], part["seconds"], "o-", color="#0072B2")
        axes.set(xlabel=name, ylabel="seconds a network, 1,000 steps")
        axes.grid(alpha=0.3)
    figure.savefig(HERE / "scaling.png", dpi=110)


if __name__ == "__main__":
    rows = []
    for varied, values in GRID.items():
        for value in values:
            sizes = {"K": K, "rows": ROWS, "columns": COLUMNS} | {varied: value}
            each, most = networks_seconds(sizes["K"], sizes["rows"], sizes["columns"])
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            rows.append((varied, value, each, most, peak))
            print(*rows[-1])
    table = pd.DataFrame(rows, columns=["varied", "value", "seconds", "at once", "peak"])
    plot(table)
    shown = pd.DataFrame(
        {
            "varied": table["varied"],
            "value": [f"{v:,}" for v in table["value"]],
            "seconds a network, 1,000 steps": [f"{s:.3f}" for s in table["seconds"]],
            "networks at once": table["at once"],
            "peak memory so far, GiB": [f"{p:.1f}" for p in table["peak"]],
        }
    )
    write(
        "Cost against population, rows and columns",
        "scaling.py",
        f"From K = {K}, {ROWS:,} rows and {COLUMNS} columns, one at a time. A population larger "
        "than `networks_at_once` (16 MiB of weights, moments and activations a step) is split "
        "without being asked.\n\n![Cost against population, rows and columns](scaling.png)",
        shown,
    )
