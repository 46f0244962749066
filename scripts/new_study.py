"""From a table to a study file that runs as it is: --data FILE --target COLUMN.

Asks where a terminal is attached; elsewhere all that is not given is by the table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "nothing was written, and the same command starts anew"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, parse

    arguments = parse("new_study", __doc__)

    def run():
        from pipeline.drafting import new_study

        new_study(**arguments)

    guarded(run, AFTER_A_STOP)
