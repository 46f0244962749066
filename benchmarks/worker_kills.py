"""SIGKILLs of random workers at random times: `worker_kills.py [SEEDS [KILLS [SECONDS]]]`.

A copy of the study group_lasso with so many seeds runs with `scheduler: local`, and once more with
`processes:2` while KILLS workers are killed, each SECONDS after the one before on average
(exponential, so that some die together), from the first recorded network on. Where a population
lost its worker so often that it was given up, the same command runs once more, without kills.
Compared are the tables of the reports, file by file.
"""

import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil
from measure import Figure, write

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "tests")]

from study_runs import environment  # noqa: E402

WORKERS = 2


def copy_of_group_lasso(folder: Path, seeds: int) -> str:
    """Its file in the folder, with so many seeds; returns what `--study` is given."""
    text = (PROJECT / "search_spaces/group_lasso.yaml").read_text()
    text, count = re.subn(r"(?m)^seeds: \d+$", f"seeds: {seeds}", text)
    assert count == 1
    folder.mkdir(parents=True)
    (folder / "seeds.yaml").write_text(text)
    return "./seeds.yaml"


def start(folder: Path, study: str, scheduler: str, **more: str) -> subprocess.Popen:
    """The study, its words in a file."""
    return subprocess.Popen(
        [sys.executable, str(PROJECT / "scripts/search.py"), "--study", study,
         "--scheduler", scheduler],
        cwd=folder, env=environment() | more, stdout=(folder / "said.txt").open("w"),
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def workers(process: subprocess.Popen) -> list[psutil.Process]:
    """Worker processes that are there just now."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def kill(process: subprocess.Popen, said: Path, kills: int, mean_seconds: float) -> int:
    """Kill random workers until so many are, or the study has ended; returns how many."""
    draw, done = random.Random(0), 0
    while process.poll() is None and not re.search(r"networks [1-9]", said.read_text()):
        time.sleep(0.2)
    while done < kills and process.poll() is None:
        time.sleep(draw.expovariate(1.0 / mean_seconds))
        there = workers(process)
        if process.poll() is None and there:
            draw.choice(there).send_signal(signal.SIGKILL)
            done += 1
    return done


def tables(folder: Path) -> dict[str, bytes]:
    """Every table of the reports there, by name."""
    return {path.name: path.read_bytes() for path in folder.glob("reports/*/*.csv")}


def main(words: list[str]) -> int:
    """Prints and writes the outcome; 0 where all tables are the same and all kills were made."""
    seeds, kills, seconds = [*words, *["100", "20", "10"][len(words) :]]
    place = Path(tempfile.mkdtemp(prefix="lariat-worker-kills-"))
    took = {}
    for name, scheduler in (("local", "local"), ("killed", f"processes:{WORKERS}")):
        study, began = copy_of_group_lasso(place / name, int(seeds)), time.monotonic()
        process = start(place / name, study, scheduler)
        said = place / name / "said.txt"
        done = kill(process, said, int(kills), float(seconds)) if name == "killed" else 0
        status = process.wait()
        took[name] = time.monotonic() - began
    told, given_up = _words(said), 0
    if "its worker died" in told:
        status = start(place / "killed", study, f"processes:{WORKERS}").wait()
        again = re.search(r"trained again: (\d+) networks", _words(said))
        given_up = int(again[1]) if again else 0
    whole, found = tables(place / "local"), tables(place / "killed")
    same = status == 0 and bool(whole) and found == whole
    rows = [
        ("workers killed", done),
        ("of them in the middle of a population", told.count("what it was doing is done again")),
        ("networks given up, and trained by the same command once more", given_up),
        ("tables that are the same, byte by byte", f"{_same(whole, found)} of {len(whole)}"),
        ("seconds, local", f"{took['local']:.0f}"),
        (f"seconds, processes:{WORKERS} with its workers killed", f"{took['killed']:.0f}"),
    ]
    text = (
        f"The study group_lasso with {seeds} seeds, {16 * int(seeds)} networks, on workers of "
        f"which one is killed (SIGKILL) every {seconds} seconds on average, against the same "
        "study in one process."
    )
    figures = [
        Figure("random workers killed in a study", done, int(kills), at_least=True,
               because="the study had ended"),
        Figure("its tables that differ from those of `local`", len(whole) - _same(whole, found), 0),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["", "found"])
    write("Workers killed", "worker_kills.py", text, table, figures)
    if not same:
        print(place, told[-2000:], *(name for name in whole if whole[name] != found.get(name)))
        return 1
    shutil.rmtree(place)
    return 0 if done == int(kills) else 1


def _words(said: Path) -> str:
    """What was said, as one line."""
    return " ".join(said.read_text().split())


def _same(whole: dict[str, bytes], found: dict[str, bytes]) -> int:
    return sum(found.get(name) == content for name, content in whole.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
