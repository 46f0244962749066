"""Predict new people with a study's model: --model models:/NAME@champion --data FILE.

Where the table has the outcome, the model is measured on it: a page stands beside the scores.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "nothing was written, and the same command starts anew"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, parse

    arguments = parse("predict", __doc__)

    def run():
        from pipeline.prediction import predict

        predict(**arguments)

    guarded(run, AFTER_A_STOP)
