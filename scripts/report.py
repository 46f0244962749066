"""Report of a tracked study: `python scripts/report.py`, the newest one unless told otherwise.

Several studies are compared on one page: `--study none --study group_lasso`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.process import heed_signals

AFTER_A_STOP = "the same command writes the report"

if __name__ == "__main__":
    heed_signals(f"stopped; {AFTER_A_STOP}")
    from pipeline.command_line import guarded, parse

    arguments = parse("report", __doc__)

    def run():
        from rich.console import Console

        from pipeline.report import page as report
        from pipeline.report import report_folder
        from pipeline.tracking import reader as tracked

        wanted = [name for name in arguments.get("study", "").split(",") if name] or [None]
        studies = [tracked.load_study(name) for name in dict.fromkeys(wanted)]
        folder = report_folder(arguments["output"], [s.record for s in studies])
        if len(studies) > 1:
            summaries = report.compare_studies(studies, folder)
        else:
            summaries = [report.build_report(studies[0], folder)]
        console = Console()
        for summary in summaries:
            console.print(report.terminal_of(summary))
        console.print(f"report: {folder / 'report.html'}", markup=False, highlight=False)

    guarded(run, AFTER_A_STOP)
