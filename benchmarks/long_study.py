"""A long study: memory, open files, threads and time a network stay level over 2,000 networks.

`python benchmarks/long_study.py [NETWORKS]` runs `scripts/search.py` on the bundled table in an
empty folder, ten seeds a configuration, two epochs each, and looks at /proc every second.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
from measure import HERE, write

SEEDS = 10


def seen(process: int) -> tuple[float, int, int]:
    """Resident MiB, open files and threads of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
    threads = int(re.search(r"Threads:\s+(\d+)", status)[1])
    return resident, len(list(Path(f"/proc/{process}/fd").iterdir())), threads


def recorded(folder: Path) -> int:
    """Networks whose runs are finished, as the tracking store's file says."""
    query = "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'"
    address = f"file:{folder / 'mlflow.db'}?mode=ro"
    with suppress(sqlite3.OperationalError), sqlite3.connect(address, uri=True) as database:
        return database.execute(query).fetchone()[0]
    return 0  # no database yet


def main(networks: int) -> int:
    """Writes a row for every tenth of the networks, and the whole; the command's exit status."""
    with tempfile.TemporaryDirectory() as place:
        folder, started, wanted, rows = Path(place), time.monotonic(), networks // 10, []
        command = [sys.executable, HERE.parent / "scripts/search.py", "--study", "group_lasso"]
        command += ["--genotypes", "none", "--configurations", str(networks // SEEDS)]
        command += ["--seeds", str(SEEDS), "--epochs", "2"]
        with (folder / "log.txt").open("w") as log:
            study = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
            while study.poll() is None:
                time.sleep(1)
                done = recorded(folder)
                if done >= wanted:
                    with suppress(OSError, TypeError):  # it has just ended
                        resident, files, threads = seen(study.pid)
                        seconds = time.monotonic() - started
                        rows.append((done, f"{seconds:.0f}", f"{resident:.0f}", files, threads))
                        print(rows[-1], flush=True)
                    wanted = done + networks // 10
        if study.returncode:
            print((folder / "log.txt").read_text()[-2000:])
            return study.returncode
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6
        write(
            "A long study",
            "long_study.py",
            f"{networks // SEEDS} configurations × {SEEDS} seeds of the bundled table without "
            f"genotypes, two epochs each: {time.monotonic() - started:.0f} s in all with the "
            f"report, {size:.0f} MB on disk.",
            pd.DataFrame(
                rows, columns=["networks", "seconds", "resident MiB", "open files", "threads"]
            ),
        )
        return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
