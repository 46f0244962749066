"""What the benchmarks share: the machine, the table, and where results are written.

Every benchmark measures both sides in one process run, on the same data, and writes its section of
benchmarks/README.md. What was asked of it stands beside what it measured, as `Figure`s, in comments
of the section, from which the table at the top is made: `python benchmarks/measure.py` makes it
alone.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # as the project's scripts do
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import pandas as pd  # noqa: E402
import psutil  # noqa: E402

RESULTS = HERE / "README.md"
TARGETS = """What was asked of Lariat, and what was measured last, each number by the script in its
row, whose section below says on which machine, and how."""


def processor_seconds() -> float:
    """Of this process and of all that it started, those that still run too."""
    own = psutil.Process()
    children = own.children(recursive=True)
    return sum(sum(process.cpu_times()[:4]) for process in (own, *children))


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


@dataclass(frozen=True)
class Figure:
    """A measured number beside what was asked of it.

    what      in a few words, with the unit
    found     the number, and `target` what it should be at most, or with `at_least` at least
    because   of a miss: why, in a few words, from what was measured
    """

    what: str
    found: float
    target: float
    at_least: bool = False
    because: str = ""

    @property
    def met(self) -> bool:
        return self.found >= self.target if self.at_least else self.found <= self.target

    def row(self, script: str) -> tuple[str, str, str, str, str]:
        """Of the table at the top."""
        asked = f"{'≥' if self.at_least else '≤'} {self.target:,g}"
        outcome = "hit" if self.met else "**missed**" + (self.because and f": {self.because}")
        return self.what, asked, _four_digits(self.found), outcome, f"`{script}`"


def _four_digits(number: float) -> str:
    """Four significant ones, and all of a whole number."""
    return f"{number:,.0f}" if abs(number) >= 1e4 or number == int(number) else f"{number:.4g}"


def write(
    title: str, script: str, words: str, table: pd.DataFrame, figures: Sequence[Figure] = ()
) -> None:
    """Print a table, and put it into its section of benchmarks/README.md; targets at the top."""
    print(f"\n{title}\n{words}\n{table.to_string(index=False)}")
    said = "".join(
        f"<!-- figure {json.dumps(asdict(f), ensure_ascii=False)} -->\n" for f in figures
    )
    section = (
        f"<!-- {script} -->\n## {title}\n\n`python benchmarks/{script}` · {machine()}\n\n"
        f"{words}\n\n{as_markdown(table)}\n{said}<!-- end {script} -->\n"
    )
    text = RESULTS.read_text() if RESULTS.exists() else "# Benchmarks\n\n"
    pattern = re.compile(
        rf"<!-- {re.escape(script)} -->.*?<!-- end {re.escape(script)} -->\n", re.DOTALL
    )
    replaced, count = pattern.subn(lambda _: section, text)
    text = replaced if count else text.rstrip() + "\n\n" + section
    RESULTS.write_text(with_targets(text))


def with_targets(text: str) -> str:
    """benchmarks/README.md with the table at its top made anew from the figures of its sections."""
    rows = [
        Figure(**json.loads(found)).row(script)
        for script, section in re.findall(r"(?s)<!-- (\w+\.py) -->\n(.*?)<!-- end \1 -->", text)
        for found in re.findall(r"<!-- figure (.*) -->", section)
    ]
    names = ["what", "asked", "measured", "", "by"]
    table = as_markdown(pd.DataFrame(rows, columns=names))
    missed = sum("missed" in row[3] for row in rows)
    count = f"{len(rows) - missed} of {len(rows)} were hit."
    top = f"# Benchmarks\n\n{TARGETS} {count}\n\n{table}\n\n<!-- sections -->\n"
    _, mark, sections = text.partition("<!-- sections -->\n")
    return top + (sections if mark else text.removeprefix("# Benchmarks\n"))


if __name__ == "__main__":
    RESULTS.write_text(with_targets(RESULTS.read_text()))
