"""What the benchmarks share: the machine, the table, and where results are written.

Every benchmark measures both sides in one process run, on the same data, and writes its section of
benchmarks/README.md.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # as the project's scripts do
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pandas as pd  # noqa: E402

RESULTS = HERE / "README.md"


def machine() -> str:
    """One line: processor, cores, memory, versions."""
    import tensorflow as tf

    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = named[1].strip() if named else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return (
        f"{model}, {cores} cores, {memory:.0f} GiB; Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}; {date.today().isoformat()}"
    )


def seconds(run: Callable[[], object], repeats: int = 3) -> float:
    """The shortest of several runs, after one that is not counted (compilation, caches)."""
    run()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)


def clinical_data():
    """The Framingham teaching table as the engine sees it: 2,544 training rows."""
    import numpy as np

    from pipeline.data import load_cohort
    from pipeline.networks import TrainingData

    cohort = load_cohort(
        HERE.parent / "data" / "framingham.csv", "TenYearCHD", categories=["education"]
    )
    split = cohort.split
    order = np.concatenate([split.train, split.validation, split.test])
    rows = (len(split.train), len(split.validation), len(split.test))
    return TrainingData(
        cohort.features[order], cohort.outcome[order], "binary", rows, cohort.inputs.group_index
    )


def as_markdown(table: pd.DataFrame) -> str:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    lines += ["| " + " | ".join(str(v) for v in row) + " |" for row in table.to_numpy()]
    return "\n".join(lines)


def write(title: str, script: str, words: str, table: pd.DataFrame) -> None:
    """Print a table, and put it into its section of benchmarks/README.md."""
    print(f"\n{title}\n{words}\n{table.to_string(index=False)}")
    section = (
        f"<!-- {script} -->\n## {title}\n\n`python benchmarks/{script}` · {machine()}\n\n"
        f"{words}\n\n{as_markdown(table)}\n<!-- end {script} -->\n"
    )
    text = RESULTS.read_text() if RESULTS.exists() else "# Benchmarks\n\n"
    pattern = re.compile(
        rf"<!-- {re.escape(script)} -->.*?<!-- end {re.escape(script)} -->\n", re.DOTALL
    )
    replaced, count = pattern.subn(lambda _: section, text)
    RESULTS.write_text(replaced if count else text.rstrip() + "\n\n" + section)
