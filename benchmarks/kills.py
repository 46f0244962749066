"""Stops at every write, and full disks, of a tiny study: `kills.py [FIRST LAST [STEP]]`.

For every i, a start is killed, or its disk is full from then on, before its i-th change of a file
or commit, and the same command is given again. Then: every network once and FINISHED, every trial
once, every model READY, no artifact without a run, nothing half-written, the report's tables byte
for byte those of an undisturbed study. Networks come from a stand-in of the engine
(tests/kill_study.py). After that RANDOM studies are each killed at two random writes in a row.
"""

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / part) for part in ("", "tests")]

from kill_study import faults, prepare, start, tables, writes  # noqa: E402

RANDOM = 40


def outcome(place: Path, stops: list[tuple[int, str]], whole: dict[str, bytes]) -> list[str]:
    """What is wrong after these stops and one undisturbed start; removes the folder."""
    folder = place / "study"
    shutil.copytree(place / "empty", folder)
    for at, how in stops:
        start(folder, at, how)
    status = start(folder)
    if status:
        return [f"status {status}", folder.with_name("study.log").read_text()[-2000:]]
    wrong = faults(folder) + ["tables"] * (tables(folder) != whole)
    shutil.rmtree(folder)
    return wrong


def main(words: list[str]) -> int:
    """Prints what went wrong, and counts; the number of stops after which something did."""
    place = Path(tempfile.mkdtemp(prefix="lariat-kills-"))
    (place / "empty").mkdir()
    prepare(place / "empty")
    shutil.copytree(place / "empty", place / "whole")
    began, bad, done = time.monotonic(), 0, {"kill": 0, "full": 0, "random": 0}
    assert start(place / "whole") == 0
    whole, total = tables(place / "whole"), writes(place / "whole")
    first, last, step = [*map(int, words), 1][:3] if words else (1, total, 1)
    print(f"{total} writes and commits in a study of 4 networks", flush=True)
    cases = [(how, [(at, how)]) for at in range(first, last + 1, step) for how in ("kill", "full")]
    draw = random.Random(0)
    cases += [
        ("random", [(draw.randint(1, total), "kill") for _ in range(2)])
        for _ in range(0 if words else RANDOM)
    ]
    for kind, stops in cases:
        wrong = outcome(place, stops, whole)
        done[kind] += 1
        if wrong:
            bad += 1
            print(stops, *wrong, flush=True)
            shutil.rmtree(place / "study", ignore_errors=True)
    print(f"{done} stops, {bad} after which something was wrong, {time.monotonic() - began:.0f} s")
    shutil.rmtree(place)
    return bad


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
