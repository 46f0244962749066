"""SIGKILLs of random workers at random times: `worker_kills.py [STUDY [KILLS [SECONDS]]]`.

A study runs with `scheduler: local`, and once more with `processes:2` while KILLS workers are
killed, each SECONDS after the one before on average (exponential, so that some die together).
Printed: both times, how many workers died in a population, and whether all tables of the report are
the same files.
"""

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "tests")]

from study_runs import environment  # noqa: E402

WORKERS = 2


def start(folder: Path, study: str, scheduler: str) -> subprocess.Popen:
    """The study, its words in a file."""
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts/search.py"), "--study", study,
         "--scheduler", scheduler],
        cwd=folder, env=environment(), stdout=(folder / "said.txt").open("w"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Worker processes that are there just now."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def kill(process: subprocess.Popen, kills: int, mean_seconds: float) -> int:
    """Kill random workers until so many are, or the study has ended; returns how many."""
    draw, done = random.Random(0), 0
    while done < kills and process.poll() is None:
        time.sleep(draw.expovariate(1.0 / mean_seconds))
        there = workers(process)
        if process.poll() is None and there:
            draw.choice(there).send_signal(signal.SIGKILL)
            done += 1
    return done


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("reports/*/*.csv")}


def main(words: list[str]) -> int:
    """Prints the outcome; 0 where all tables are the same."""
    study, kills, seconds = [*words, *["group_lasso", "20", "8"][len(words) :]]
    place = Path(tempfile.mkdtemp(prefix="lariat-worker-kills-"))
    began = time.monotonic()
    assert start(place / "local", study, "local").wait() == 0
    local_seconds, began = time.monotonic() - began, time.monotonic()
    process = start(place / "killed", study, f"processes:{WORKERS}")
    done = kill(process, int(kills), float(seconds))
    status = process.wait()
    killed_seconds = time.monotonic() - began
    said = (place / "killed/said.txt").read_text()
    whole, found = tables(place / "local"), tables(place / "killed")
    same = status == 0 and bool(whole) and found == whole
    told = said.replace("\n", " ").count("what it was doing is done again")
    print(
        f"{study}: local {local_seconds:.0f} s; processes:{WORKERS} with {done} workers killed, "
        f"{told} of them in a population, {killed_seconds:.0f} s; status {status}; "
        f"{len(whole)} tables {'the same' if same else 'DIFFERENT'}"
    )
    if not same:
        print(said[-2000:], *(name for name in whole if whole[name] != found.get(name)))
        return 1
    shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
