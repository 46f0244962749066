"""From a table to a study file that runs as it is: --data FILE --target COLUMN.

Asks where a terminal is attached; elsewhere all that is not given is by the table.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.command_line import guarded, import_tensorflow, parse

if __name__ == "__main__":
    arguments = parse("new_study", __doc__)

    def run():
        import_tensorflow()
        from pipeline.drafting import new_study

        new_study(**arguments)

    guarded(run)
