"""What a study says, once: every number and sentence that the page, the terminal and MLflow show.

Plain text throughout; whoever prints it escapes it for its own medium.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.inspection import (
    BEST_ROLE,
    EXCHANGEABLE,
    RESAMPLE,
    TIPPING_ROLE,
    Focus,
    Solution,
    best_by_inputs_and_regularizer,
    best_row,
    configuration_front,
    configuration_row,
    configuration_table,
    dividing_words,
    focuses,
    metric_names,
    most_seed_dependent,
    of_the_table,
    other_searched,
    row_spread,
    solution_label,
)
from pipeline.report.answer import answer_of
from pipeline.report.appraisal_words import appraisal_metrics, baseline_sentence
from pipeline.report.flags import flags_of
from pipeline.report.other_people import OtherPeople, other_people
from pipeline.results import NetworkResult, StudyRecord, StudyResults
from pipeline.words import (
    abbreviated,
    family_words,
    inputs_words,
    listed,
    metric_words,
    resampled_units,
    shared,
)

__all__ = ["BEST_ROLE", "TIPPING_ROLE", "Focus", "Summary", "summarize"]


@dataclass(frozen=True)
class Summary:
    """All of a study's results in words and tables.

    results         the networks of the table as it is split; all of a study without resamples.
    every           all networks, with those of resamples.
    people          what the resamples say; None without.
    configurations  one row a configuration.
    best_rows       of these rows the best of each inputs and regularizer.
    results_table   `best_rows` and, after that of its regularizer, one row for each outcome of the
                    most seed-dependent configuration: over its seeds, with its name as `outcome`.
    best, tipping   the number of the best and of the most seed-dependent configuration.
    networks        one row a network, of resamples too: parameters, metrics, solutions, failure.
    answer          three sentences, and one on simpler models.
    dividing        where along λ the solutions change, a sentence for each path.
    flags           sentences on what to be careful about.
    """

    results: StudyResults
    every: StudyResults
    people: OtherPeople | None
    metrics: tuple[str, ...]
    configurations: pd.DataFrame
    best_rows: pd.DataFrame
    results_table: pd.DataFrame
    networks: pd.DataFrame
    best: int | None
    tipping: int | None
    focus: tuple[Focus, ...]
    answer: tuple[str, ...]
    dividing: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def record(self) -> StudyRecord:
        return self.results.record

    @property
    def best_metrics(self) -> dict[str, float]:
        """`best_test_auroc_mean`, `best_test_auroc_sd` …: the best configuration's, for MLflow;
        of a study with resamples also what they say (`OtherPeople.metrics`), and
        what the champion and the baseline to beat score on the test rows."""
        if self.best is None:
            return {}
        row = self.configurations.set_index("configuration").loc[self.best]
        names = [f"{s}_{m}_{k}" for s in ("val", "test", "train") for m in self.metrics
                 for k in ("mean", "sd")]  # fmt: skip
        found = {f"best_{n}": float(row[n]) for n in names if np.isfinite(row.get(n, np.nan))}
        found |= self.people.metrics if self.people else {}
        return found | appraisal_metrics(self.results)


def zeroed_words(row: Mapping[str, Any] | pd.Series, family: str) -> str:
    """`13.4 → 20.0 of 20`: zeroed variables of a family, mean over seeds, best → last epoch.

    – where the family is not an input.
    """
    means = [row.get(f"{prefix}zeroed_{family}_mean", np.nan) for prefix in ("", "final_")]
    texts = [f"{mean:,.1f}" for mean in means if np.isfinite(mean)]
    return " → ".join(texts) + f" of {int(row[f'total_{family}']):,}" if texts else "–"


def all_families(table: pd.DataFrame) -> list[str]:
    return [c.removeprefix("total_") for c in table.columns if c.startswith("total_")]


def front_words(summary: Summary) -> str | None:
    """Of a study of two objectives, the configurations that none beats in both."""
    record, table = summary.record, summary.configurations
    if len(record.objectives) < 2 or table.empty:
        return None
    front = configuration_front(table, all_families(table), record.maximize)
    unbeaten = [f"c{p['configuration']} ({p['kept']:.1f} kept, {p['score']:.3f})" for p in front]
    word = metric_words(record.objective)
    return (
        f"No configuration beats these in both {word} and variables kept: {listed(unbeaten, 12)}."
    )


METRICS_IN_TABLE, METRICS_IN_TERMINAL = 4, 3


def _best_and_last(row: pd.Series, metric: str) -> str:
    """`0.702 ± 0.011 → 0.707 ± 0.003`: at the best and, where it is known, at the last epoch."""
    best, last = (row_spread(row, f"{prefix}test_{metric}").text for prefix in ("", "final_"))
    return best if last == "–" else f"{best} → {last}"


def _epochs(row: pd.Series) -> str:
    """`8 ± 3 → 60`: mean best epoch and its deviation over seeds, and the last epoch."""
    best, last = (row_spread(row, name) for name in ("best_epoch", "final_epoch"))
    if np.isnan(best.mean):
        return "–"
    return f"{best.mean:.0f}" + ("" if np.isnan(best.sd) else f" ± {best.sd:.0f}") + (
        "" if np.isnan(last.mean) else f" → {last.mean:.0f}"
    )  # fmt: skip


def results_rows(
    summary: Summary, families: Sequence[str] | None = None
) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table of results, as text for every medium.

    families: those to have a column; by default all that the study has.
    """
    table, record = summary.results_table, summary.record
    families = all_families(table) if families is None else families
    metrics = summary.metrics[:METRICS_IN_TABLE]
    head = ["inputs", "regularizer"]
    head += [f"test {metric_words(m)}, best → last epoch" for m in metrics]
    head += [f"zeroed {family_words(f, record)}, best → last epoch" for f in families]
    searched = "searched values" if other_searched(record.settings) else "λ"
    head += ["epoch, best → last", f"configuration: {searched}", "seeds"]
    rows = []
    for _, row in table.iterrows():
        outcome = f" {row['outcome']}" if row["outcome"] else ""
        texts = [inputs_words(row["inputs"], record), f"{row['regularizer']}{outcome}"]
        texts += [_best_and_last(row, m) for m in metrics]
        texts += [zeroed_words(row, family) for family in families]
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        values = "" if row["lambdas"] == "–" else f": {row['lambdas']}"
        texts += [_epochs(row), f"c{row['configuration']}{values}"]
        rows.append([str(c) for c in [*texts, f"{row['finished']}{failed}"]])
    return head, rows


def compared_rows(summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """The tables of results of several studies as one, the study's name first."""
    families = list(dict.fromkeys(f for s in summaries for f in all_families(s.best_rows)))
    tables = [results_rows(summary, families) for summary in summaries]
    rows = [
        [s.record.study, *row]
        for s, (_, rows_of_study) in zip(summaries, tables, strict=True)
        for row in rows_of_study
    ]
    return ["study", *tables[0][0]], rows


def brief_results_rows(
    summary: Summary, metrics_shown: int = METRICS_IN_TERMINAL
) -> tuple[list[str], list[list[str]]]:
    """The same numbers for a terminal of 80 columns: metrics at the best epoch, zeroed variables at
    the last, short headers, and neither lambdas nor counts.

    That genotypes are simulated is left to the table's title.
    """
    head, rows = results_rows(summary)
    metrics, families = summary.metrics[:METRICS_IN_TABLE], all_families(summary.results_table)
    names, brief_rows = head[:2], [[row[0].replace(" (simulated)", ""), row[1]] for row in rows]
    for i, metric in enumerate(metrics[:metrics_shown], 2):
        names.append(abbreviated(metric_words(metric)))
        brief_rows = [[*texts, row[i].split(" → ")[0]] for texts, row in zip(brief_rows, rows)]
    for i, family in enumerate(families, 2 + len(metrics)):
        names.append(f"{family} zeroed")
        brief_rows = [[*texts, row[i].split(" → ")[-1]] for texts, row in zip(brief_rows, rows)]
    brief_rows = [[*texts, row[-2].partition(":")[0]] for texts, row in zip(brief_rows, rows)]
    for row in brief_rows:
        row[1] = row[1].partition(":")[0]  # the outcome's number alone
    return [*names, "best"], brief_rows


def solution_words(solution: Solution, rank: int, record: StudyRecord) -> str:
    """`solution 1 (clinical only): 7 of 10 seeds, all 20 genetic (simulated) zeroed, …`."""
    parts = [f"{len(solution.networks)} of {solution.of_networks} seeds"]
    for kept in solution.families:
        text = kept.text.replace(kept.family, family_words(kept.family, record))
        variables = list(solution.variables.items()) if kept.family not in EXCHANGEABLE else []
        family_of = solution.networks[0].inputs.family_of
        names = [shared(v, s) for v, s in variables if family_of[v] == kept.family]
        if names and kept.low < kept.total:
            text += f" ({listed(names, 6)})"
        if kept.high == 0 and kept.lost_words:
            text += f" {kept.lost_words}"
        parts.append(text)
    metric = record.objective.removeprefix("val_")
    if not np.isnan(solution.score(f"test_{metric}").mean):
        parts.append(f"test {metric_words(metric)} {solution.score(f'test_{metric}').text}")
        if (interval := solution.interval_text()) != "–":
            over = f"test {resampled_units(record)}"
            parts[-1] += f" (95 % interval over {over} {interval})"
    if not np.isnan(solution.best_epoch.mean):
        parts.append(f"best epoch {solution.best_epoch.mean:.0f} on average")
    return f"solution {rank} ({solution.label}): " + ", ".join(parts)


def network_table(results: StudyResults) -> pd.DataFrame:
    """One row a network: what a repetition of the study gives again, to the last digit.

    How long its training took stays a metric of its run.
    """
    rows = []
    for n in sorted(results.networks, key=_place):
        labels = {f"solution_{e}": solution_label(n, e) for e in ("best", "last")}
        metrics = {name: value for name, value in n.metrics.items() if name != "train_seconds"}
        rows.append({"network": n.name, **n.params, **metrics, **labels, "failure": n.failure})
    table = pd.DataFrame(rows)
    return table.astype({RESAMPLE: "Int64"}) if RESAMPLE in table else table


def _place(network: NetworkResult) -> tuple[int, int, int]:
    """Configuration, seed, and the table before its resamples."""
    return network.configuration, network.seed, int(network.params.get(RESAMPLE, -1))


def _results_table(
    best_rows: pd.DataFrame, focus: Sequence[Focus], results: StudyResults
) -> pd.DataFrame:
    """As `Summary.results_table`."""
    table = best_rows.assign(outcome="")
    tipping = next((f for f in focus if TIPPING_ROLE in f.roles), None)
    if tipping is None:
        return table
    metrics, solutions = metric_names(results.networks, results.record.objective), tipping.outcomes
    rows = [
        configuration_row(tipping.number, s.networks, results.record, metrics)
        | {"outcome": f"({i}): {s.label}"}
        for i, s in enumerate(solutions, 1)
    ]
    outcome_rows = pd.DataFrame(rows)
    alike = (table["inputs"] == outcome_rows["inputs"][0]) & (
        table["regularizer"] == tipping.regularizer
    )
    at = int(np.flatnonzero(alike)[-1]) + 1 if alike.any() else len(table)
    return pd.concat([table.iloc[:at], outcome_rows, table.iloc[at:]], ignore_index=True)


def summarize(results: StudyResults) -> Summary:
    """Everything the report says, from the networks alone; for partial studies too."""
    every, results = results, of_the_table(results)
    table = configuration_table(results)
    maximize = results.record.maximize
    best_rows = best_by_inputs_and_regularizer(table, maximize)
    best, tipping = best_row(table, maximize), most_seed_dependent(table)
    focus = focuses(best, tipping, best_rows, results)
    people = other_people(every, table, focus)
    compared = baseline_sentence(results)
    return Summary(
        results=results,
        every=every,
        people=people,
        metrics=metric_names(results.networks, results.record.objective),
        configurations=table,
        best_rows=best_rows,
        results_table=_results_table(best_rows, focus, results),
        networks=network_table(every),
        best=None if best is None else int(best["configuration"]),
        tipping=None if tipping is None else int(tipping["configuration"]),
        focus=focus,
        answer=(
            *answer_of(focus, table, results.record, people),
            *([compared] if compared else []),
        ),
        dividing=dividing_words(results, table),
        flags=flags_of(every, table, best_rows),
    )
