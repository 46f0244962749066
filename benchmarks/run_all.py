"""Every benchmark that fills benchmarks/README.md, one after another on one machine.

Each states its target beside its measurement; the table at the top of the page is made of those.

`python benchmarks/run_all.py [SCRIPT …]`; about an hour on two idle cores. What a script prints
goes into a file of the temporary folder that is named at the start; one that fails is named at the
end, and the status is 1. Scripts that need what is not here (LassoNet, plink2, PostgreSQL) say so
themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCRIPTS = (
    "whole_study.py", "keras_fit.py", "machine_share.py", "zeros.py", "first_network.py",
    "scaling.py", "wide_and_tall.py", "long_study.py", "resamples.py", "stability_path.py",
    "genotypes.py", "lassonet_path.py", "workers.py", "worker_kills.py",
    "servers_away.py", "many_runs.py", "parent_time.py", "cluster_simulation.py",
    "interval_coverage.py",
)  # fmt: skip


def run(script: str, log: Path) -> int:
    """Its exit status; what it says goes into the file."""
    with log.open("w") as said:
        return subprocess.call([sys.executable, script], cwd=HERE, stdout=said, stderr=said)


def main(scripts: list[str]) -> int:
    """1 where one failed."""
    place, failed = Path(tempfile.mkdtemp(prefix="lariat-benchmarks-")), []
    print(f"what they print: {place}")
    for script in scripts or SCRIPTS:
        started = time.perf_counter()
        status = run(script, place / f"{script}.txt")
        load = os.getloadavg()[0]
        print(f"{script}: {time.perf_counter() - started:.0f} s, load {load:.1f}", flush=True)
        failed += [script] if status else []
    if failed:
        print(f"failed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
