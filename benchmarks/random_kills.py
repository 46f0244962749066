"""SIGKILL at random moments of real studies: `python benchmarks/random_kills.py [KILLS]`.

A small study is started, killed after a random time, and started again by the same command, five
kills a study, from the first import to the models. Then it runs to its end. Every network must be
there once and FINISHED, every trial complete, no run RUNNING, every model READY, and the table of
networks that of a study that nobody disturbed, but for the seconds.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

SEARCH = Path(__file__).resolve().parents[1] / "scripts/search.py"
OPTIONS = "--study group_lasso --genotypes none --configurations 3 --seeds 2 --epochs 4"
KILLS_A_STUDY, NETWORKS = 5, 6


def started(folder: Path) -> subprocess.Popen:
    with (folder / "log.txt").open("a") as log:
        command = [sys.executable, SEARCH, *OPTIONS.split()]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def faults(folder: Path) -> list[str]:
    """What is not as it must be."""
    wrong = []
    database = sqlite3.connect(folder / "mlflow.db")
    runs = dict(
        database.execute(
            "SELECT status, COUNT(*) FROM runs WHERE lifecycle_stage = 'active' AND run_uuid IN "
            "(SELECT run_uuid FROM tags WHERE key = 'kind' AND value = 'network') GROUP BY status"
        )
    )
    if runs != {"FINISHED": NETWORKS}:
        wrong.append(f"runs of networks: {runs}")
    open_runs = database.execute("SELECT COUNT(*) FROM runs WHERE status = 'RUNNING'").fetchone()[0]
    models = {row[0] for row in database.execute("SELECT DISTINCT status FROM logged_models")}
    database.close()
    if open_runs or len(models) > 1:
        wrong.append(f"{open_runs} runs are RUNNING, states of models: {models}")
    optuna = sqlite3.connect(folder / "optuna.db")
    states = dict(optuna.execute("SELECT state, COUNT(*) FROM trials GROUP BY state"))
    optuna.close()
    if states != {"COMPLETE": NETWORKS}:
        wrong.append(f"trials: {states}")
    leftovers = [p.name for p in folder.rglob("*.part*")]
    return wrong + leftovers


def networks(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "reports/group_lasso/networks.csv")


def main(kills: int) -> int:
    """The number of studies in which something was wrong."""
    draw, bad, killed = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        began = time.monotonic()
        assert started(whole).wait() == 0
        seconds = time.monotonic() - began
        for number in range(-(-kills // KILLS_A_STUDY)):
            folder = Path(place) / str(number)
            folder.mkdir()
            for _ in range(KILLS_A_STUDY):
                study = started(folder)
                try:
                    study.wait(draw.uniform(0.0, seconds))
                except subprocess.TimeoutExpired:
                    study.kill()
                    study.wait()
                    killed += 1
            status = started(folder).wait()
            wrong = [f"status {status}"] if status else faults(folder)
            if not status and not networks(folder).equals(networks(whole)):
                wrong.append("the table of networks differs")
            if wrong:
                bad += 1
                print(number, wrong, (folder / "log.txt").read_text()[-1500:], flush=True)
            print(f"{killed} kills in {number + 1} studies, {bad} studies wrong", flush=True)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)))
