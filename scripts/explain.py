"""What a model does with its variables, and the model for other programs: --model STUDY."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "nothing was written, and the same command starts anew"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, import_tensorflow, parse

    arguments = parse("explain", __doc__)

    def run():
        import_tensorflow()
        from pipeline.prediction import explain

        explain(**arguments)

    guarded(run, AFTER_A_STOP)
