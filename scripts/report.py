"""Report of a tracked study: `python scripts/report.py`, the newest one unless told otherwise."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.command_line import guarded, parse

if __name__ == "__main__":
    arguments = parse("report", __doc__)

    def run():
        from rich.console import Console

        from pipeline import report, tracked

        results = tracked.load_study(arguments.get("study"))
        folder = Path(arguments["output"]) / results.record.study
        console = Console()
        console.print(report.terminal_of(report.build_report(results, folder)))
        console.print(f"report: {folder / 'report.html'}", markup=False, highlight=False)

    guarded(run)
