"""Stops a study by signals at many moments: how soon it ends, whether in the same numbers.

    python benchmarks/asked_to_stop.py --stops 40

Each time a study in a fresh folder gets SIGTERM, SIGHUP or SIGINT after so many seconds, from its
first import to the report, and then the same command runs to its end. The tables must be those of a
study that nobody disturbed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

PROJECT = Path(__file__).resolve().parents[1]
STUDY = """
# Does a stop lose a network?
data: people.csv
target: ill
genotypes: simulated
configurations: 3
seeds: 3
space:
  regularizer: [group_lasso]
  lambda_group: {low: 0.001, high: 0.03, log: true}
network: {hidden_layer_sizes: [8], genetic_dimensions: 4}
training: {epochs: 40}
"""
SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
FIRST_SECONDS = 1.0
"""Python itself starts before: a signal there ends it without a line."""


def write_study(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.normal(size=600), "weight": rng.normal(size=600)})
    people["ill"] = (people["age"] + rng.normal(size=600) > 0).astype(int)
    people.to_csv(folder / "people.csv", index=False)
    (folder / "ask.yaml").write_text(STUDY)
    return folder


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts/search.py"), "--study", "ask.yaml"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )


def networks(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "reports/ask/networks.csv")
    return table.sort_values(["configuration", "seed"]).reset_index(drop=True)


def stopped(folder: Path, number: int, after_seconds: float) -> tuple[float, int, str] | None:
    """(seconds until it ended, exit status, standard error); None where it was done before."""
    process = start(folder)
    try:
        process.communicate(timeout=after_seconds)
        return None
    except subprocess.TimeoutExpired:
        asked = time.monotonic()
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
        return time.monotonic() - asked, process.returncode, error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=40)
    stops = parser.parse_args().stops
    with tempfile.TemporaryDirectory() as place:
        calm = Path(place) / "undisturbed"
        calm.mkdir()
        began = time.monotonic()
        start(write_study(calm)).communicate()
        whole = time.monotonic() - began
        expected, worst, wrong = networks(calm), 0.0, 0
        for i, after in enumerate(np.linspace(FIRST_SECONDS, whole, stops)):
            folder = Path(place) / str(i)
            folder.mkdir()
            number = SIGNALS[i % len(SIGNALS)]
            end = stopped(write_study(folder), number, after)
            ending = "done before"
            if end is not None:
                seconds, status, error = end
                worst = max(worst, seconds)
                sound = status == 128 + number and error.count("\n") == 1 and "stopped;" in error
                ending = f"ended in {seconds:.1f} s, {'one line' if sound else (status, error)}"
                wrong += not sound
            again = start(folder)
            _, error = again.communicate()
            same = again.returncode == 0 and networks(folder).equals(expected)
            parts = [p.name for p in folder.rglob("*") if ".part" in p.name]
            wrong += not same or bool(parts)
            print(f"{number.name} after {after:.1f} s: {ending}; same numbers {same}; left {parts}",
                  error, flush=True)  # fmt: skip
        print(f"{stops} stops, {wrong} wrong, the slowest took {worst:.1f} s")


if __name__ == "__main__":
    main()
