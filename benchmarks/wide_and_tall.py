"""Whole studies of wide and of tall tables, as a user runs them: processor time, and peak memory.

Each is `scripts/search.py` on a CSV file of its own, a process of its own in an empty folder, with
`genotypes: none`; half the size beside each says whether costs grow in proportion.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import HERE, Figure, write

WIDE, TALL = ((200, 10_000), (200, 20_000)), ((250_000, 20), (500_000, 20))
STUDY = """# Which columns matter?
target: outcome
inputs: [clinical]
genotypes: none
baselines: none
configurations: {configurations}
seeds: {seeds}
space:
  regularizer: [group_lasso]
  lambda_group: {{low: 0.005, high: 0.03, log: true}}
network: {{hidden_layer_sizes: [50], activation: tanh}}
training: {{epochs: {epochs}, batch_size: 128}}
"""


def table(path: Path, rows: int, columns: int) -> None:
    """Four columns matter."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, columns), np.float32)
    log_odds = 1.5 * x[:, 0] + x[:, 1] - x[:, 2] + 0.75 * x[:, 3]
    frame = pd.DataFrame(x.round(4), columns=[f"column {i}" for i in range(columns)])
    frame["outcome"] = (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(int)
    frame.to_csv(path, index=False)


def study(rows: int, columns: int, configurations: int, seeds: int, epochs: int) -> dict:
    """Seconds and bytes of the whole command."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table(folder / "table.csv", rows, columns)
        asked = {"configurations": configurations, "seeds": seeds, "epochs": epochs}
        (folder / "large.yaml").write_text(STUDY.format(**asked))
        command = [sys.executable, str(HERE.parent / "scripts" / "search.py")]
        command += ["--study", "large.yaml", "--data", "table.csv"]
        started = time.perf_counter()
        child = os.fork()
        if not child:
            os.chdir(folder)
            os.execv(sys.executable, command)
        _, status, used = os.wait4(child, 0)
        if status:
            raise SystemExit(f"the study of {rows} x {columns} failed with status {status}")
        files = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        return {
            "rows": f"{rows:,}",
            "columns": f"{columns:,}",
            "networks": configurations * seeds,
            "epochs": epochs,
            "seconds": f"{time.perf_counter() - started:.0f}",
            "processor seconds": f"{used.ru_utime + used.ru_stime:.0f}",
            "peak memory, GiB": f"{used.ru_maxrss / 2**20:.2f}",
            "files, MB": f"{(files - (folder / 'table.csv').stat().st_size) / 1e6:.0f}",
        }


def everything() -> None:
    rows = []
    for sizes, how in ((WIDE, (2, 2, 60)), (TALL, (2, 2, 5))):
        for size in sizes:
            rows.append(study(*size, *how))
            print(rows[-1], flush=True)
    write(
        "Whole studies of wide and tall tables",
        "wide_and_tall.py",
        "The whole command, imports, reading, the finish, recording, models and report included: "
        "group lasso, 50 tanh units, two values of λ; without baselines, of which boosting alone "
        "takes longer on 20,000 columns than all networks. The aim is 4 GiB at most, and costs in "
        "proportion to the table. Files are what the study leaves, its table not counted.",
        pd.DataFrame(rows),
        [
            Figure(
                "peak memory of a study of 20,000 columns or 500,000 rows, GiB",
                max(float(row["peak memory, GiB"]) for row in rows), 4,
            )
        ],
    )  # fmt: skip


if __name__ == "__main__":
    everything()
