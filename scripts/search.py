"""Run a study: `python scripts/search.py --study group_lasso`, or `mlflow run . -P study=…`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "the same command goes on from here"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, import_tensorflow, parse

    arguments = parse("main", __doc__)

    def run():
        from pipeline.search_space import load_search_space
        from pipeline.workers import check_scheduler

        storage = arguments.pop("storage", None)
        study, output = (arguments.pop(n) for n in ("study", "output"))
        space = load_search_space(study, arguments)  # mistakes first: TensorFlow takes seconds
        check_scheduler(space.scheduler)
        import_tensorflow()
        from pipeline.study import run_study

        run_study(study, storage=storage, output=output, given=arguments)

    guarded(run, AFTER_A_STOP)
