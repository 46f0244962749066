"""The figures of a report: what of a study each shows, and what is said beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from bokeh.models import Model

from pipeline.inspection import (
    TIPPING_ROLE,
    Focus,
    by_configuration,
    importances,
    main_lambda,
    median_network,
    searched_values,
    solution_label,
)
from pipeline.networks import REGULARIZERS
from pipeline.report import figures, interactive
from pipeline.report.summary import Summary, all_families
from pipeline.results import NetworkResult
from pipeline.words import family_words, inputs_words, metric_words

PANELS_WANTED = 6
MOST_BARS = 60  # of a figure of selection frequencies
MOST_LINES, MOST_AXES = 3000, 12  # that a page draws for a pointer; the picture alone beyond


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file, what a reader who cannot see it is told, and its caption.

    plot  the same figure for a pointer, shown in place of the picture where scripts run.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""
    plot: Model | None = None

    @property
    def uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def _panel(network: NetworkResult, epoch: str, what: str = "") -> figures.Panel | None:
    layer = network.first_layer if epoch == "best" else network.first_layer_final
    if layer is None:
        return None
    at = network.metrics.get("best_epoch" if epoch == "best" else "final_epoch")
    when = f"{epoch} epoch" + (f" {at:.0f}" if at is not None and np.isfinite(at) else "")
    title = f"{network.name}{what} · {when}"
    return figures.Panel(title, network.inputs, np.asarray(layer))


def _cells(summaries: Sequence[Summary]) -> pd.DataFrame:
    """The best configuration of each regularizer over all studies, on the richest inputs."""
    tables = [s.cells.assign(study=i) for i, s in enumerate(summaries) if len(s.cells)]
    if not tables:
        return pd.DataFrame()
    cells = pd.concat(tables, ignore_index=True)
    richest = max(dict.fromkeys(cells["inputs"]), key=lambda inputs: inputs.count("+"))
    cells = cells[cells["inputs"] == richest]
    better = cells.sort_values(
        "objective_mean", ascending=not summaries[0].record.maximize, kind="stable"
    )
    rank = {name: i for i, name in enumerate(REGULARIZERS)}
    return better.drop_duplicates("regularizer").sort_values(
        "regularizer", key=lambda c: c.map(lambda r: rank.get(r, len(rank))), kind="stable"
    )


def _most_torn(summaries: Sequence[Summary]) -> Focus | None:
    """Of each study's most seed-dependent configuration the one that is torn most; one of a group
    lasso wherever there is one, since which family is left is its question."""
    found = [f for s in summaries for f in s.focus if TIPPING_ROLE in f.roles]
    return max(found, key=lambda f: ("group" in f.regularizer, f.entropy_bits), default=None)


def chosen_panels(*summaries: Summary) -> list[figures.Panel]:
    """One network for each regularizer on the richest inputs, then the contested solutions.

    Of a regularizer the best configuration's network with the median objective, at its best epoch;
    of the most seed-dependent configuration the representative of each solution at the last epoch.
    With more than six in all, its regularizer is left to those, and the last ones are left out.
    """
    cells = _cells(summaries)
    if not len(cells):
        return []
    tipping = _most_torn(summaries)
    contested = tipping.last[:4] if tipping else ()
    if tipping and len(cells) + len(contested) > PANELS_WANTED:
        cells = cells[cells["regularizer"] != tipping.regularizer]
        cells = cells.head(max(PANELS_WANTED - len(contested), 1))
    shown = []
    for number, study in zip(cells["configuration"], cells["study"]):
        summary = summaries[study]
        networks = by_configuration(summary.results.networks)[number]
        finished = [n for n in networks if n.failure is None]
        shown.append(_panel(median_network(finished, summary.record.objective), "best"))
    for i, solution in enumerate(contested, 1):
        what = f", solution {i}: {solution.label}"
        shown.append(_panel(solution.representative, "last", what))
    return [panel for panel in shown if panel is not None]


def panel_pictures(*summaries: Summary) -> tuple[Picture | None, list[Picture]]:
    """All heat maps in one file, and each by itself for the page."""
    shown = chosen_panels(*summaries)
    if not shown:
        return None, []
    together, single = figures.panels(shown, any(s.record.simulated for s in summaries))
    return Picture("panels", together, "first-layer heat maps side by side"), [
        Picture(f"panel_{i}", png, f"first-layer heat map: {panel.title}")
        for i, (png, panel) in enumerate(zip(single, shown, strict=True))
    ]


def color_order(summary: Summary) -> tuple[str, ...]:
    """All solutions of the study's networks, the commonest first: one color each on the page."""
    labels = pd.Series([solution_label(n) for n in summary.results.finished], dtype=object)
    counts = labels.value_counts(sort=False)
    return tuple(sorted(counts.index, key=lambda label: (-counts[label], label)))


def trajectory(focus: Focus, summary: Summary) -> Picture | None:
    """Kept variables by family and the objective against epoch, one line a seed."""
    finished = [n for n in focus.networks if n.failure is None]
    found = dict.fromkeys(name for n in finished for name in n.curves)
    wanted = [f"kept_{f}" for f in dict.fromkeys(finished[0].inputs.families)] if finished else []
    names = {c: f"{family_words(c[5:], summary.record)} variables kept" for c in wanted}
    names[summary.record.objective] = metric_words(summary.record.objective)
    names = {c: title for c, title in names.items() if c in found}
    if not names:
        return None
    ranks = {s.label: i for i, s in enumerate(focus.last)}
    finished.sort(key=lambda n: (ranks[solution_label(n)], n.seed))
    shown = (
        [n.curves for n in finished],
        [solution_label(n) for n in finished],
        [n.metrics.get("best_epoch", np.nan) for n in finished],
        names,
        color_order(summary),
    )
    caption = (
        f"c{focus.number} ({', '.join(focus.roles)}). One line a seed, colored by what is left at "
        "the last epoch; the marker is the best epoch."
    )
    few = len(finished) * len(names) <= MOST_LINES
    return Picture(
        f"trajectories_c{focus.number}",
        figures.trajectories(*shown),
        f"trajectories of c{focus.number}",
        caption,
        interactive.trajectories(*shown, [n.seed for n in finished]) if few else None,
    )


def selection(focus: Focus) -> Picture:
    """Share of seeds that keep each variable, with the stability of the selection."""
    table = focus.frequencies.fillna(0.0).head(MOST_BARS)
    title = f"c{focus.number} {focus.regularizer} on {focus.inputs}"
    png = figures.selection_bars(
        table["variable"].tolist(), table["share_last"], table["share_best"], title
    )
    caption = (
        f"{', '.join(focus.roles)}. Stability Φ̂ at the last epoch {focus.stability_last.text}; at "
        f"the best epoch {focus.stability_best.text}."
    )
    if len(focus.frequencies) > MOST_BARS:
        caption += (
            f" The {MOST_BARS} of {len(focus.frequencies):,} variables that most seeds keep, and "
            "longest; all are in selection_frequencies.csv."
        )
    return Picture(f"selection_c{focus.number}", png, f"selection frequencies: {title}", caption)


def _solution_shares(summary: Summary, numbers: Sequence[int]) -> pd.DataFrame:
    """configuration × solution label → share of its finished seeds, commonest label first."""
    groups = by_configuration(summary.results.networks)
    rows = {}
    for number in numbers:
        labels = [solution_label(n) for n in groups[number] if n.failure is None]
        rows[number] = pd.Series(labels, dtype=object).value_counts(normalize=True)
    frame = pd.DataFrame(rows).T.fillna(0.0)
    frame = frame[frame.sum().sort_values(ascending=False, kind="stable").index]
    if frame.shape[1] > 7:
        frame = frame.iloc[:, :6].assign(other=frame.iloc[:, 6:].sum(axis=1))
    return frame


def lambda_pictures(summary: Summary) -> list[Picture]:
    """For each inputs, λ against score, kept variables and solutions, where a λ was searched."""
    pictures, objective = [], summary.record.objective
    table = summary.configurations
    table = table[table["scored"] > 0] if len(table) else table
    for inputs in dict.fromkeys(table["inputs"]) if len(table) else ():
        part = table[table["inputs"] == inputs].copy()
        searched = {
            name: lam
            for name, own in part.groupby("regularizer", sort=False)
            if (lam := main_lambda(own))
        }
        if not searched:
            continue
        kept = {}
        for family in all_families(part):
            if f"final_zeroed_{family}_mean" in part and part[f"total_{family}"].notna().any():
                part[f"kept_{family}"] = (
                    part[f"total_{family}"] - part[f"final_zeroed_{family}_mean"]
                )
                said = family_words(family, summary.record)
                kept[f"kept_{family}"] = f"{said}\nkept, last epoch"
        shares = _solution_shares(summary, part["configuration"].tolist())
        part = part.merge(shares, left_on="configuration", right_index=True)
        score = (objective, f"{metric_words(objective)}\nmean ± sd over seeds")
        shown = (part, searched, score, kept, tuple(shares.columns), color_order(summary))
        said = inputs_words(inputs, summary.record)
        few = len(searched) * (len(kept) + 2) <= MOST_AXES
        pictures.append(Picture(
            f"lambda_{len(pictures)}", figures.lambda_paths(*shown), f"λ against score on {said}",
            f"Inputs: {said}.", interactive.lambda_paths(*shown) if few else None,
        ))  # fmt: skip
    return pictures


def kept_and_score(summary: Summary) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Networks and configurations as `kept`, `score`, `regularizer`, `network`, `values`."""
    table, objective = summary.networks, summary.record.objective
    if objective not in table or "zeroed_variables" not in table:
        return None
    totals = {n.name: len(n.inputs.variable_names) for n in summary.results.networks}
    said = summary.configurations.set_index("configuration")["lambdas"]
    kept = table["network"].map(totals) - table["zeroed_variables"]
    table = table.assign(kept=kept, score=table[objective], values=table["configuration"].map(said))
    table = table[table["score"].notna() & table["kept"].notna()]
    if table.empty:
        return None
    means = table.groupby("configuration", sort=False).agg(
        kept=("kept", "mean"),
        score=("score", "mean"),
        regularizer=("regularizer", "first"),
        values=("values", "first"),
    )
    means = means.reset_index()
    means["network"] = [f"c{c}, mean over seeds" for c in means["configuration"]]
    return table, means


def pareto(*summaries: Summary) -> Picture | None:
    """Score against number of kept variables, of all networks of the studies."""
    found = [pair for s in summaries if (pair := kept_and_score(s))]
    if not found:
        return None
    tables = tuple(pd.concat(t, ignore_index=True) for t in zip(*found, strict=True))
    record = summaries[0].record
    shown = (*tables, record.maximize, metric_words(record.objective))
    return Picture(
        "pareto", figures.pareto(*shown), "validation score against number of kept variables",
        "A dot is a network, a ring the mean of a configuration over its seeds. On a front is what "
        "none beats in both.", interactive.pareto(*shown),
    )  # fmt: skip


def importance(summary: Summary) -> Picture | None:
    """How much each searched value explains of the score and of the seeds' disagreement."""
    table = summary.configurations
    if table.empty:
        return None
    values = searched_values(summary.results).loc[table["configuration"]]
    if values.shape[1] < 2:
        return None
    objective = f"mean {metric_words(summary.record.objective)}"
    targets = {
        objective: table["objective_mean"],
        "entropy of solutions": table["entropy_last_bits"],
    }
    shares = {name: found for name, t in targets.items() if (found := importances(values, t))}
    if not shares:
        return None
    return Picture("importances", figures.importance_bars(shares), "parameter importances")
