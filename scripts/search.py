"""Run a study: `python scripts/search.py --study group_lasso`, or `mlflow run . -P study=…`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "the same command goes on from here"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, parse

    arguments = parse("main", __doc__)

    def run():
        from rich.console import Console

        from pipeline.search_space import load_search_space
        from pipeline.study import study_crew

        storage = arguments.pop("storage", None)
        study, output = (arguments.pop(n) for n in ("study", "output"))
        space = load_search_space(study, arguments)  # mistakes first: all else takes seconds
        told = {"storage": storage, "output": output, "console": Console()}
        with study_crew(space.scheduler, told["console"]) as crew:  # workers start beside imports
            from pipeline.study import run_study

            run_study(study, given=arguments, crew=crew, **told)

    guarded(run, AFTER_A_STOP)
