"""The tables of a report, as text for the page and as data frames for the CSV beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.inspection import EPOCHS, EXCHANGEABLE, FamilyKept, Focus, Solution
from pipeline.report.summary import Summary
from pipeline.words import family_words, listed, metric_words, resampled_units, shared

PARTS = ("training", "validation", "test")
Rows = tuple[list[str], list[list[str]]]


def _scores(solution: Solution, metric: str) -> list[str]:
    """Of training, validation and test rows, and the interval: best → last epoch."""
    best_and_last = [
        [solution.score(f"{split}_{metric}", epoch).text for epoch in EPOCHS]
        for split in ("train", "val", "test")
    ]
    best_and_last.append([solution.interval_text(epoch) for epoch in EPOCHS])
    return ["–" if set(pair) == {"–"} else " → ".join(pair) for pair in best_and_last]


def _died(solution: Solution) -> str:
    return ", ".join(words for k in solution.families if (words := _died_words(k))) or "–"


def _died_words(kept: FamilyKept) -> str:
    """`genetic 20 to 41`, `genetic 20 (2 in the finish)`; empty of a family that did not die."""
    epochs = f" {kept.deaths[0]}" if kept.deaths else ""
    epochs += f" to {kept.deaths[-1]}" if len(set(kept.deaths)) > 1 else ""
    finish = f" ({kept.in_finish} in the finish)" if kept.in_finish else ""
    return f"{kept.family}{epochs}{finish}" if epochs or finish else ""


@dataclass(frozen=True)
class SolutionRow:
    """A solution in words: `kept` what it keeps of each family, `names` of the named variables;
    `scores` part of the rows → best → last epoch, `interval` that of the test score."""

    solution: str
    seeds: str
    kept: str
    names: str
    scores: Mapping[str, str]
    interval: str
    best_epoch: str
    died: str
    representative: str


def _solution_row(number: int, solution: Solution, summary: Summary) -> SolutionRow:
    kept = ", ".join(
        k.text.replace(k.family, family_words(k.family, summary.record)) for k in solution.families
    )
    named = [k for k in solution.families if k.family not in EXCHANGEABLE]
    all_kept = bool(named) and all(k.low == k.total for k in named)
    names = [shared(v, share) for v, share in solution.variables.items()]
    best = solution.best_epoch
    when = "–" if np.isnan(best.mean) else f"{best.mean:.0f}"
    when += "" if np.isnan(best.sd) else f" ± {best.sd:.0f}"
    *scores, interval = _scores(solution, summary.record.objective.removeprefix("val_"))
    return SolutionRow(
        solution=f"{number}: {solution.label}",
        seeds=f"{len(solution.networks)} of {solution.of_networks}",
        kept=kept or "–",
        names="all" if all_kept else listed(names, 12) or "–",
        scores=dict(zip(PARTS, scores, strict=True)),
        interval=interval,
        best_epoch=when,
        died=_died(solution),
        representative=f"s{solution.representative.seed}",
    )


def solution_rows(focus: Focus, epoch: str, summary: Summary) -> list[SolutionRow]:
    """The solutions of a configuration, grouped by what is kept at the best or the last epoch."""
    solutions = focus.last if epoch == "last" else focus.best
    return [_solution_row(i, s, summary) for i, s in enumerate(solutions, 1)]


MOST_DEATHS = 200
"""Variables whose deaths the page has one by one."""


def death_rows(focus: Focus) -> Rows:
    """Variables in the order in which they died, those that live longest first; a last row counts
    those beyond MOST_DEATHS."""
    head = ["variable", "family", "kept by", "died in", "epoch of death, median (range)"]
    rows, seeds = [], len([n for n in focus.networks if n.failure is None])
    for _, row in focus.frequencies.head(MOST_DEATHS).iterrows():
        when = "–"
        if row["died"]:
            when = f"{row['died_epoch']:.0f} ({row['died_low']:.0f} to {row['died_high']:.0f})"
        share, died = row["share_last"], int(row["died"])
        kept, fell = "–", f"{died} of {seeds}"
        if not pd.isna(share):
            kept = f"{round(share * seeds)} of {seeds} seeds"
            in_finish = seeds - round(share * seeds) - died
            fell += f", {in_finish} in the finish" if in_finish > 0 else ""
        rows.append([str(row["variable"]), str(row["family"]), kept, fell, when])
    rest = focus.frequencies.iloc[MOST_DEATHS:]
    if len(rest):
        most, last = rest["share_last"].max(), rest["died_epoch"].max()
        kept = "–" if pd.isna(most) else f"at most {round(most * seeds)} of {seeds} seeds"
        when = "–" if pd.isna(last) else f"{last:.0f} or earlier"
        words = f"{len(rest):,} more, in selection_frequencies.csv"
        rows.append([words, "–", kept, "–", when])
    return head, rows


def solutions_table(summary: Summary) -> pd.DataFrame:
    """All solutions of all configurations that are looked at closely."""
    word = metric_words(summary.record.objective.removeprefix("val_"))
    units = resampled_units(summary.record)
    rows = [
        {
            "configuration": focus.number, "roles": "; ".join(focus.roles), "epoch": epoch,
            "solution": row.solution, "seeds": row.seeds, "kept": row.kept,
            "kept by name (share of these seeds)": row.names,
            **{f"{part} {word}, best → last epoch": text for part, text in row.scores.items()},
            f"95 % interval of test {word} over test {units}": row.interval,
            "best epoch": row.best_epoch, "family died at epoch": row.died,
            "representative": row.representative,
        }
        for focus in summary.focus
        for epoch in EPOCHS
        for row in solution_rows(focus, epoch, summary)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def frequencies_table(summary: Summary) -> pd.DataFrame:
    """Selection frequencies and deaths of all configurations that are looked at closely."""
    tables = [f.frequencies.assign(configuration=f.number) for f in summary.focus]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def front_rows(summary: Summary, means: pd.DataFrame, front: list[int]) -> Rows:
    """Configurations that none beats in both mean score and mean number of kept variables."""
    word = f"mean {metric_words(summary.record.objective)}"
    head = ["configuration", "regularizer", "searched values", "variables kept, mean", word]
    rows = [
        [f"c{row['configuration']}", str(row["regularizer"]), str(row["values"]),
         f"{row['kept']:.1f}", f"{row['score']:.3f}"]
        for _, row in means.iloc[front].iterrows()
    ]  # fmt: skip
    return head, rows
