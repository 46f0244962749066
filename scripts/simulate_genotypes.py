"""Simulated genotypes of a table's people, as a PLINK fileset: --variants 500000 --out PREFIX."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "nothing was written, and the same command starts anew"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, parse

    arguments = parse("simulate_genotypes", __doc__)

    def run():
        from pipeline.genetics import simulate_genotypes

        simulate_genotypes(**arguments)

    guarded(run, AFTER_A_STOP)
