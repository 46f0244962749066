"""The same study in one process and on workers of this machine: `workers.py [SEEDS]`, 10 unless
given.

The study group_lasso runs with `scheduler: local`, and with `processes:1` and `processes:2`, on as
many cores as there are workers and on all; one run after another, each a command of its own.
Seconds are of whole commands, imports, baselines and report and all; processor seconds are those of
the parent and its workers.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
from measure import Figure, write
from worker_kills import copy_of_group_lasso, start, tables

LOOK_SECONDS, AIM = 0.2, 1.15
RUNS = (("local", 1), ("processes:1", 1), ("local", 2), ("processes:1", 2), ("processes:2", 2))
"""(scheduler, cores)."""


def processor_seconds(process: subprocess.Popen) -> float:
    """Of a process and all that it starts, until it ends."""
    used: dict[int, float] = {}
    while process.poll() is None:
        try:
            top = psutil.Process(process.pid)
            for each in (top, *top.children(recursive=True)):
                times = each.cpu_times()
                used[each.pid] = times.user + times.system
        except psutil.Error:  # one that has just ended
            pass
        time.sleep(LOOK_SECONDS)
    return sum(used.values())


def main(seeds: int) -> int:
    """Prints and writes the table; 0 where all runs have the same tables."""
    place, rows, found = Path(tempfile.mkdtemp(prefix="lariat-workers-")), [], []
    for number, (scheduler, cores) in enumerate(RUNS):
        folder = place / str(number)
        study, began = copy_of_group_lasso(folder, seeds), time.monotonic()
        process = start(folder, study, scheduler, LARIAT_CORES=str(cores))
        used = processor_seconds(process)
        if process.returncode:
            raise SystemExit((folder / "said.txt").read_text())
        rows.append((scheduler, cores, time.monotonic() - began, used))
        found.append(tables(folder))
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["scheduler", "cores", "seconds", "processor seconds"])
    of_one = table.groupby("cores")["seconds"].transform("first")  # local comes first
    table["time, local = 1"] = (table["seconds"] / of_one).round(2)
    table = table.round({"seconds": 1, "processor seconds": 1})
    one, two = (table["seconds"][i] for i in (1, 4))
    same = all(each == found[0] != {} for each in found)
    words = (
        f"The study group_lasso with {seeds} seeds, {16 * seeds} networks, by whole commands: "
        f"imports, baselines and report are in them, which no worker shortens. Two workers of one "
        f"core are {one / two:.2f} times as fast as one, and `processes:2` takes "
        f"{table['time, local = 1'][4]:.2f} of the time of `local` on the same cores (asked: at "
        f"most {AIM}). All {len(found[0])} tables of the reports are "
        f"{'the same files' if same else 'DIFFERENT'}."
    )
    used = table["processor seconds"]
    figures = [
        Figure(
            "time of `processes:2` over that of `local`, 2 cores", table["time, local = 1"][4], AIM,
            because=f"{used[4] - used[2]:.0f} processor seconds more: each worker starts, imports "
            "and compiles",
        ),
        Figure("reports' tables that differ", sum(each != found[0] for each in found), 0),
    ]  # fmt: skip
    write("Workers of one machine", "workers.py", words, table, figures)
    shutil.rmtree(place)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(int((sys.argv[1:] or ["10"])[0])))
