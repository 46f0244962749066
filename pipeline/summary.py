"""What a study says, once: every number and sentence that the page, the terminal and MLflow show.

Plain text throughout; whoever prints it escapes it for its own medium.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.results import NetworkResult, StudyRecord, StudyResults
from pipeline.solutions import (
    EXCHANGEABLE,
    LAMBDAS,
    Solution,
    Spread,
    best_by_cell,
    best_row,
    by_configuration,
    configuration_table,
    metric_names,
    most_seed_dependent,
    other_searched,
    selection_frequencies,
    solution_label,
    solutions,
    stability_of,
)
from pipeline.stability import Stability
from pipeline.words import abbreviated, family_words, inputs_words, listed, metric_words, shared

KKT_TOLERANCE = 1e-3
BORDER = 0.05  # share of a searched range, at either end, that counts as its border
BEST_ROLE, TIPPING_ROLE = "best configuration", "most seed-dependent"


@dataclass(frozen=True)
class Focus:
    """A configuration that the report looks at closely, and why."""

    number: int
    roles: tuple[str, ...]
    regularizer: str
    inputs: str
    lambdas: str
    networks: tuple[NetworkResult, ...]
    last: tuple[Solution, ...]
    best: tuple[Solution, ...]
    stability_last: Stability
    stability_best: Stability
    frequencies: pd.DataFrame
    entropy_bits: float

    @property
    def selects(self) -> bool:
        """Whether any of its networks zeroes a variable, at its best or last epoch."""
        kept = [f for s in (*self.last, *self.best) for f in s.families]
        return any(f.low < f.total for f in kept)


@dataclass(frozen=True)
class Summary:
    """All of a study's results in words and tables.

    configurations  one row a configuration; `cells` the best of each inputs × regularizer.
    best, tipping   the number of the best and of the most seed-dependent configuration.
    networks        one row a network: parameters, metrics, solutions, why it failed.
    answer          three sentences.
    flags           sentences on what to be careful about.
    """

    results: StudyResults
    metrics: tuple[str, ...]
    configurations: pd.DataFrame
    cells: pd.DataFrame
    networks: pd.DataFrame
    best: int | None
    tipping: int | None
    focus: tuple[Focus, ...]
    answer: tuple[str, ...]
    flags: tuple[str, ...]

    @property
    def record(self) -> StudyRecord:
        return self.results.record

    @property
    def best_metrics(self) -> dict[str, float]:
        """`best_test_auroc_mean`, `best_test_auroc_sd` …: the best configuration's, for MLflow."""
        if self.best is None:
            return {}
        row = self.configurations.set_index("configuration").loc[self.best]
        names = [f"{s}_{m}_{k}" for s in ("val", "test", "train") for m in self.metrics
                 for k in ("mean", "sd")]  # fmt: skip
        return {f"best_{n}": float(row[n]) for n in names if np.isfinite(row.get(n, np.nan))}


def cell_spread(row: Mapping[str, object] | pd.Series, name: str) -> Spread:
    mean, sd = row.get(f"{name}_mean", np.nan), row.get(f"{name}_sd", np.nan)
    return Spread(float(mean), float(sd), int(row["scored"]))


def zeroed_words(row: Mapping[str, object] | pd.Series, family: str) -> str:
    """`13.4 → 20.0 of 20`: zeroed variables of a family, mean over seeds, best → last epoch.

    – where the family is not an input.
    """
    means = [row.get(f"{prefix}zeroed_{family}_mean", np.nan) for prefix in ("", "final_")]
    said = [f"{mean:.1f}" for mean in means if np.isfinite(mean)]
    return " → ".join(said) + f" of {int(row[f'total_{family}'])}" if said else "–"


def all_families(table: pd.DataFrame) -> list[str]:
    return [c.removeprefix("total_") for c in table.columns if c.startswith("total_")]


METRICS_IN_TABLE = 3


def results_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of the table of results, as text for every medium."""
    families = all_families(summary.cells)
    metrics = summary.metrics[:METRICS_IN_TABLE]
    head = ["inputs", "regularizer"]
    head += [f"test {metric_words(m)}" for m in metrics]
    head += [f"zeroed {family_words(f, summary.record)}, best → last epoch" for f in families]
    others = other_searched(summary.record.settings)
    head += ["best", "searched values" if others else "lambdas", "networks"]
    rows = []
    for _, row in summary.cells.iterrows():
        cells = [inputs_words(row["inputs"], summary.record), row["regularizer"]]
        cells += [cell_spread(row, f"test_{m}").text for m in metrics]
        cells += [zeroed_words(row, family) for family in families]
        failed = f" ({row['failed']} failed)" if row["failed"] else ""
        cells += [f"c{row['configuration']}", row["lambdas"], f"{row['finished']}{failed}"]
        rows.append([str(c) for c in cells])
    return head, rows


def brief_results_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The same numbers for a terminal of 80 columns: short headers; lambdas and counts left out.

    That genotypes are simulated is left to the table's title.
    """
    head, rows = results_rows(summary)
    metrics, families = summary.metrics[:METRICS_IN_TABLE], all_families(summary.cells)
    short = [abbreviated(metric_words(m)) for m in metrics]
    short += [f"{family} zeroed" for family in families]
    names = [*head[:2], *short, "best"]
    last_epoch = [[cell.split(" → ")[-1] for cell in row] for row in rows]
    kept = [[row[0].replace(" (simulated)", ""), *row[1:-2]] for row in last_epoch]
    return names, kept


def solution_words(solution: Solution, rank: int, record: StudyRecord) -> str:
    """`solution 1 (clinical only): 7 of 10 seeds, all 20 genetic (simulated) zeroed, …`."""
    parts = [f"{len(solution.networks)} of {solution.of_networks} seeds"]
    for kept in solution.families:
        text = kept.text.replace(kept.family, family_words(kept.family, record))
        names = list(solution.variables.items()) if kept.family not in EXCHANGEABLE else []
        family_of = solution.networks[0].inputs.family_of
        names = [shared(v, s) for v, s in names if family_of[v] == kept.family]
        if names and kept.low < kept.total:
            text += f" ({listed(names, 6)})"
        if kept.high == 0 and kept.deaths:
            text += f" by epoch {kept.deaths[-1]}"
        parts.append(text)
    metric = record.objective.removeprefix("val_")
    if not np.isnan(solution.score(f"test_{metric}").mean):
        parts.append(f"test {metric_words(metric)} {solution.score(f'test_{metric}').text}")
    if not np.isnan(solution.best_epoch.mean):
        parts.append(f"best epoch {solution.best_epoch.mean:.0f} on average")
    return f"solution {rank} ({solution.label}): " + ", ".join(parts)


def network_table(results: StudyResults) -> pd.DataFrame:
    """One row a network."""
    rows = []
    for n in sorted(results.networks, key=lambda n: (n.configuration, n.seed)):
        labels = {f"solution_{e}": solution_label(n, e) for e in ("best", "last")}
        rows.append({"network": n.name, **n.params, **n.metrics, **labels, "failure": n.failure})
    return pd.DataFrame(rows)


def _focus(row: pd.Series, roles: Sequence[str], results: StudyResults) -> Focus:
    number, objective = int(row["configuration"]), results.record.objective
    networks = by_configuration(results.networks)[number]
    return Focus(
        number=number,
        roles=tuple(roles),
        regularizer=row["regularizer"],
        inputs=inputs_words(row["inputs"], results.record),
        lambdas=row["lambdas"],
        networks=networks,
        last=solutions(networks, objective, "last"),
        best=solutions(networks, objective, "best"),
        stability_last=stability_of(networks, "last"),
        stability_best=stability_of(networks, "best"),
        frequencies=selection_frequencies(networks),
        entropy_bits=float(row["entropy_last_bits"]),
    )


def _focuses(
    best: pd.Series | None, tipping: pd.Series | None, cells: pd.DataFrame, results: StudyResults
) -> tuple[Focus, ...]:
    """Best and most seed-dependent configuration first, then the best of each cell that selects."""
    wanted: dict[int, tuple[pd.Series, list[str]]] = {}
    for row, role in ((best, BEST_ROLE), (tipping, TIPPING_ROLE)):
        if row is not None:
            wanted.setdefault(int(row["configuration"]), (row, []))[1].append(role)
    for _, row in cells.iterrows():
        said = inputs_words(row["inputs"], results.record)
        role = f"best of {row['regularizer']} on {said}"
        wanted.setdefault(int(row["configuration"]), (row, []))[1].append(role)
    found = [_focus(row, roles, results) for row, roles in wanted.values()]
    return tuple(f for i, f in enumerate(found) if i < 1 or f.selects)[:14]


def _configuration_words(focus: Focus) -> str:
    lambdas = "" if focus.lambdas == "–" else f" with {focus.lambdas}"
    return f"configuration {focus.number}, {focus.regularizer}{lambdas} on {focus.inputs}"


def _kept_sentence(focus: Focus, record: StudyRecord, subject: str) -> str:
    kept: dict[str, list[tuple[int, float]]] = {}
    totals = {}
    for s in focus.best:
        for f in s.families:
            kept.setdefault(f.family, []).append((len(s.networks), f.mean))
            totals[f.family] = f.total
    if not kept:
        return f"{subject} left no weights to read variables from."
    means = {f: np.average([m for _, m in v], weights=[w for w, _ in v]) for f, v in kept.items()}
    said = [f"{_mean_of(means[f], totals[f])} {family_words(f, record)}" for f in means]
    table = focus.frequencies
    always = [str(v) for v in table.loc[table.get("share_best", 0) == 1, "variable"]]
    tail = f"; every seed keeps {listed(always)}" if always else "; no variable is kept by all"
    if always and len(always) == len(table):
        tail = f"; every seed keeps all {len(table)} that have a name"
    if len(table) == 0:
        tail = ""
    if all(means[f] == totals[f] for f in means):
        return f"{subject} keeps every variable at its best epoch, whatever the seed."
    return f"{subject} keeps {listed(said)} variables on average at its best epoch{tail}."


def _mean_of(mean: float, total: int) -> str:
    return f"all {total}" if mean == total else f"{mean:.1f} of {total}"


def _seed_sentence(best: Focus, tipping: Focus | None, seeds: int) -> str:
    if seeds < 2:
        return "With a single seed finished, nothing can be said about how the seed matters."
    if tipping is None:
        return "The seed does not decide: in every configuration all seeds end in one solution."
    ends = [f"{len(s.networks)} of {s.of_networks} seeds end with {s.label}" for s in tipping.last]
    start = "The seed decides"
    if len(best.last) == 1:
        label = best.last[0].label
        start = f"All seeds of the best configuration end with {label}, but the seed decides"
    where = "there" if tipping.number == best.number else f"at {_configuration_words(tipping)}"
    return f"{start} {where}: {listed(ends, 4)}."


def _best_that_selects(focus: Sequence[Focus], table: pd.DataFrame, maximize: bool) -> Focus | None:
    """Of the best configurations by cell, the best of those that zero any variable."""
    means = table.set_index("configuration")["objective_mean"]
    found = [f for f in focus if f.selects and f.roles != (TIPPING_ROLE,)]
    return max(found, key=lambda f: means[f.number] * (1 if maximize else -1), default=None)


def _answer(focus: Sequence[Focus], table: pd.DataFrame, record: StudyRecord) -> tuple[str, ...]:
    """Three sentences: how good, which variables, and whether the seed decides."""
    if not focus:
        total = int(table["networks"].sum()) if len(table) else 0
        has = f"None of the {total} networks has a {metric_words(record.objective)}"
        words = has if total else "No network was trained"
        return (f"{words}, so there is no answer yet.",)
    best = focus[0]
    row = table.set_index("configuration").loc[best.number]
    metric = record.objective.removeprefix("val_")
    test, val = cell_spread(row, f"test_{metric}"), cell_spread(row, record.objective)
    reached = f"a validation {metric_words(metric)} of {val.text}"
    if not np.isnan(test.mean):
        reached = f"a test {metric_words(metric)} of {test.text}"
    seeds = f"{val.networks} seed" + ("s" if val.networks != 1 else "")
    how_good = (
        f"By mean {metric_words(record.objective)} the best is {_configuration_words(best)}: "
        f"{reached} over {seeds}."
    )
    sparse = _best_that_selects(focus, table, record.maximize)
    if best.selects or sparse is None:
        which = _kept_sentence(best, record, "It")
    else:
        which = "It zeroes no variable; " + _kept_sentence(
            sparse, record, f"the best that does, {_configuration_words(sparse)},"
        )
    tipping = next((f for f in focus if TIPPING_ROLE in f.roles), None)
    most_seeds = int(table["finished"].max())
    return how_good, which, _seed_sentence(best, tipping, most_seeds)


def _border_side(value: float, tried: Sequence[float], space: object) -> str | None:
    """`lower` or `upper` where a value lies at the end of its searched range."""
    if isinstance(space, Mapping) and "low" in space and "high" in space:
        low, high = float(space["low"]), float(space["high"])
        scale = math.log if space.get("log") and low > 0 else float
        if high > low:
            place = (scale(value) - scale(low)) / (scale(high) - scale(low))
            if place <= BORDER or place >= 1 - BORDER:
                return "lower" if place <= BORDER else "upper"
    elif not isinstance(space, (list, tuple)):
        return None
    distinct = sorted(set(tried))
    if len(distinct) < 3:
        return None
    return {distinct[0]: "lower", distinct[-1]: "upper"}.get(value)


def _border_flags(table: pd.DataFrame, cells: pd.DataFrame, record: StudyRecord) -> list[str]:
    space = record.settings.get("space") or {}
    flags = []
    for _, row in cells.iterrows():
        cell = (table["inputs"] == row["inputs"]) & (table["regularizer"] == row["regularizer"])
        own = table[cell]
        for name in LAMBDAS:
            value = row[name]
            side = _border_side(value, own[name].tolist(), space.get(name)) if value > 0 else None
            if side:
                said = inputs_words(row["inputs"], record)
                flags.append(
                    f"{name} {value:.3g} of the best {row['regularizer']} configuration on {said} "
                    f"(c{row['configuration']}) lies at the {side} end of what was searched; "
                    "a wider range may find a better one."
                )
    return flags


def _flags(results: StudyResults, table: pd.DataFrame, cells: pd.DataFrame) -> tuple[str, ...]:
    flags = _border_flags(table, cells, results.record) if len(table) else []
    reasons = Counter(str(n.failure) for n in results.failed)
    if reasons:
        said = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common(5))
        flags.append(f"{len(results.failed)} of {len(results.networks)} networks failed: {said}.")
    kkt = np.array([n.metrics.get("kkt_residual", np.nan) for n in results.finished], dtype=float)
    above = int(np.sum(kkt > KKT_TOLERANCE))
    if above:
        flags.append(
            f"{above} of {len(results.finished)} finished networks have a kkt_residual above "
            f"{KKT_TOLERANCE:g} (largest {np.nanmax(kkt):.2g}): they had not settled, so what they "
            "zeroed is partly where training stopped."
        )
    if len(table):
        short = table[table["scored"] < table["scored"].max() / 2]
        if len(short):
            names = listed([f"c{c}" for c in short["configuration"]])
            flags.append(
                f"{names} finished fewer than half as many seeds as others and could not win."
            )
    return (*flags, *results.record.warnings)


def summarise(results: StudyResults) -> Summary:
    """Everything the report says, from the networks alone; for partial studies too."""
    table = configuration_table(results)
    maximize = results.record.maximize
    cells = best_by_cell(table, maximize)
    best, tipping = best_row(table, maximize), most_seed_dependent(table)
    focus = _focuses(best, tipping, cells, results)
    return Summary(
        results=results,
        metrics=metric_names(results.networks, results.record.objective),
        configurations=table,
        cells=cells,
        networks=network_table(results),
        best=None if best is None else int(best["configuration"]),
        tipping=None if tipping is None else int(tipping["configuration"]),
        focus=focus,
        answer=_answer(focus, table, results.record),
        flags=_flags(results, table, cells),
    )
