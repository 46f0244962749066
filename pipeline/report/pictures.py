"""The figures of a report: what of a study each shows, and what is said beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from pipeline.inspection import (
    RESAMPLE,
    TIPPING_ROLE,
    Focus,
    by_configuration,
    importances,
    kept_counts,
    main_lambda,
    median_network,
    searched_values,
    solution_label,
)
from pipeline.networks import REGULARIZERS
from pipeline.report import figures, plots
from pipeline.report.plots import Key, Plot, Trajectory
from pipeline.report.summary import Summary, all_families
from pipeline.results import NetworkResult, StudyRecord
from pipeline.words import family_words, inputs_words, metric_words, regularizer_words

LETTERS = {"none": "A", "l1": "B", "l2": "C", "elastic_net": "D"}
"""Panels of the case study's figure; the outcomes of its group lasso are E and F."""

PANELS_WANTED, MOST_OUTCOMES = 6, 4
MOST_BARS = 60  # of a figure of selection frequencies
MOST_SOLUTIONS = 7  # of a figure of their shares; beyond, the rarest together
MOST_LINES, MOST_AXES = 3000, 12  # of an interactive figure; beyond, the picture alone


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file, its words for a reader who cannot see it, and its caption.

    plot  the same figure as an interactive one, shown in place of the picture where scripts run.
    """

    name: str
    png: bytes
    alt: str
    caption: str = ""
    plot: Plot | None = None

    @property
    def uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")

    @property
    def legend(self) -> tuple[Key, ...]:
        """Of the plot, which the page writes above it."""
        return self.plot.legend if self.plot else ()


@dataclass(frozen=True)
class Panel(figures.Panel):
    """A heat map, with its network and the place of its summary among those of the page."""

    network: NetworkResult
    study: int


def _panel(
    network: NetworkResult, epoch: str, heading: str, letter: str, study: int
) -> Panel | None:
    layer = network.first_layer if epoch == "best" else network.first_layer_final
    if layer is None:
        return None
    at = network.metrics.get("best_epoch" if epoch == "best" else "final_epoch")
    when = f"{epoch} epoch" + (f" {at:.0f}" if at is not None and np.isfinite(at) else "")
    title = f"{heading} · c{network.configuration} s{network.seed}, {when}"
    return Panel(title, network.inputs, np.asarray(layer), letter, network, study)


def _best_rows(summaries: Sequence[Summary]) -> pd.DataFrame:
    """The best configuration of each regularizer over all studies, on the richest inputs."""
    tables = [s.best_rows.assign(study=i) for i, s in enumerate(summaries) if len(s.best_rows)]
    if not tables:
        return pd.DataFrame()
    best_rows = pd.concat(tables, ignore_index=True)
    richest = max(dict.fromkeys(best_rows["inputs"]), key=lambda inputs: inputs.count("+"))
    best_rows = best_rows[best_rows["inputs"] == richest]
    best_first = best_rows.sort_values(
        "objective_mean", ascending=not summaries[0].record.maximize, kind="stable"
    )
    rank = {name: i for i, name in enumerate(REGULARIZERS)}
    return best_first.drop_duplicates("regularizer").sort_values(
        "regularizer", key=lambda c: c.map(lambda r: rank.get(r, len(rank))), kind="stable"
    )


def _most_seed_dependent(summaries: Sequence[Summary]) -> tuple[int, Focus] | None:
    """The most seed-dependent of the studies' most seed-dependent configurations, and the place of
    its study; one of a group lasso wherever there is one, since the case study asks of it which
    family is kept."""
    candidates = [
        (i, f) for i, s in enumerate(summaries) for f in s.focus if TIPPING_ROLE in f.roles
    ]
    return max(
        candidates,
        key=lambda pair: ("group" in pair[1].regularizer, pair[1].entropy_bits),
        default=None,
    )


def _median_panel(
    row: Mapping[str, Any], letter: str, summaries: Sequence[Summary]
) -> Panel | None:
    """Of a best configuration the network with the median objective, at its best epoch."""
    summary = summaries[row["study"]]
    networks = by_configuration(summary.results.networks)[row["configuration"]]
    network = median_network([n for n in networks if n.failure is None], summary.record.objective)
    return _panel(network, "best", regularizer_words(row["regularizer"]), letter, row["study"])


def chosen_panels(*summaries: Summary) -> list[Panel]:
    """One network for each regularizer on the richest inputs, then one for each outcome of the most
    seed-dependent configuration.

    Of a regularizer the best configuration's network with the median objective, at its best epoch;
    of the most seed-dependent configuration the representative of each outcome at the last epoch,
    in place of the best network of its regularizer. The letters are those of the case study: A
    none, B L1, C L2, D elastic net, from E on the outcomes and whatever else there is.
    """
    best_rows = _best_rows(summaries)
    if not len(best_rows):
        return []
    seed_dependent, rest = _most_seed_dependent(summaries), iter("EFGHIJKLMN")
    plain = best_rows[best_rows["regularizer"].isin(LETTERS)]
    shown = [_median_panel(r, LETTERS[r["regularizer"]], summaries) for _, r in plain.iterrows()]
    others = best_rows[~best_rows["regularizer"].isin(LETTERS)]
    if seed_dependent:
        study, focus = seed_dependent
        room = min(max(PANELS_WANTED - len(plain), 2), MOST_OUTCOMES)
        for i, solution in enumerate(focus.outcomes[:room], 1):
            heading = f"{regularizer_words(focus.regularizer)} ({i}): {solution.label}"
            shown.append(_panel(solution.representative, "last", heading, next(rest), study))
        others = others[others["regularizer"] != focus.regularizer]
    others = others.head(max(PANELS_WANTED - len(shown), 0))
    shown += [_median_panel(row, next(rest), summaries) for _, row in others.iterrows()]
    return [panel for panel in shown if panel is not None]


def panel_pictures(shown: Sequence[Panel], simulated: bool) -> tuple[Picture | None, list[Picture]]:
    """All heat maps in one file, and each by itself for the page."""
    if not shown:
        return None, []
    together, single = figures.panels(shown, simulated)
    return Picture("panels", together, "first-layer heat maps side by side"), [
        Picture(f"panel_{i}", png, f"first-layer heat map {panel.letter}: {panel.title}")
        for i, (png, panel) in enumerate(zip(single, shown, strict=True))
    ]


def color_order(summary: Summary) -> tuple[str, ...]:
    """All solutions of the study's networks, the commonest first: one color each on the page."""
    labels = pd.Series([solution_label(n) for n in summary.results.finished], dtype=object)
    counts = labels.value_counts(sort=False)
    return tuple(sorted(counts.index, key=lambda label: (-counts[label], label)))


def _named_words(trajectory: Trajectory, network: NetworkResult, record: StudyRecord) -> str:
    """`E (s3, clinical only): validation AUROC 0.722 at its best epoch, 8, 0.707 at its last …`."""
    word, objective = metric_words(record.objective), record.objective
    best, last = (network.metrics.get(m, np.nan) for m in (objective, f"final_{objective}"))
    return (
        f"{trajectory.letter} (s{network.seed}, {trajectory.solution}): {word} {best:.3f} at its "
        f"best epoch, {trajectory.best_epoch:.0f}, {last:.3f} at its last, "
        f"{network.metrics.get('final_epoch', np.nan):.0f}"
    )


def _finals(network: NetworkResult, objective: str) -> dict[str, float]:
    """The values of the last state, by the names of the curves."""
    finals = {f"kept_{f}": float(n) for f, n in (kept_counts(network, "last") or {}).items()}
    if f"final_{objective}" in network.metrics:
        finals[objective] = network.metrics[f"final_{objective}"]
    return finals


def trajectory(focus: Focus, summary: Summary, letters: Mapping[str, str]) -> Picture | None:
    """Kept variables by family and the objective against epoch, one line a seed.

    letters: name of a network → letter of its panel among the heat maps.
    """
    finished = [n for n in focus.networks if n.failure is None]
    recorded_curves = dict.fromkeys(name for n in finished for name in n.curves)
    family_curves = (
        [f"kept_{f}" for f in dict.fromkeys(finished[0].inputs.families)] if finished else []
    )
    names = {c: f"kept: {family_words(c[5:], summary.record)}" for c in family_curves}
    names[summary.record.objective] = metric_words(summary.record.objective)
    names = {c: title for c, title in names.items() if c in recorded_curves}
    if not names:
        return None
    ranks = {s.label: i for i, s in enumerate(focus.last)}
    finished.sort(key=lambda n: (ranks[solution_label(n)], n.seed))
    shown = [
        Trajectory(n.curves, solution_label(n), n.metrics.get("best_epoch", np.nan), n.seed,
                   letters.get(n.name, ""), _finals(n, summary.record.objective))
        for n in finished
    ]  # fmt: skip
    plot = plots.trajectories(shown, names, color_order(summary))
    caption = (
        f"c{focus.number} ({', '.join(focus.roles)}). One line a seed, colored by what it keeps at "
        "the last epoch; the filled marker is its best epoch."
    )
    if descriptions := [
        _named_words(t, n, summary.record) for t, n in zip(shown, finished) if t.letter
    ]:
        caption += " Thick: the networks of the heat maps, a hollow marker at their last epoch. "
        caption += "; ".join(descriptions) + "."
    few = len(finished) * len(names) <= MOST_LINES
    return Picture(
        f"trajectories_c{focus.number}", figures.picture(plot),
        f"trajectories of c{focus.number}", caption, plot if few else None,
    )  # fmt: skip


def selection(focus: Focus) -> Picture:
    """Share of seeds that keep each variable, with the stability of the selection."""
    table = focus.frequencies.fillna(0.0).head(MOST_BARS)
    title = f"c{focus.number} {focus.regularizer} on {focus.inputs}"
    drawn = figures.selection_bars(
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
    return Picture(
        f"selection_c{focus.number}", figures.png(drawn), f"selection frequencies: {title}", caption
    )


def _solution_shares(summary: Summary, numbers: Sequence[int]) -> pd.DataFrame:
    """configuration × solution label → share of its finished seeds, commonest label first."""
    groups = by_configuration(summary.results.networks)
    rows = {}
    for number in numbers:
        labels = [solution_label(n) for n in groups[number] if n.failure is None]
        rows[number] = pd.Series(labels, dtype=object).value_counts(normalize=True)
    frame = pd.DataFrame(rows).T.fillna(0.0)
    frame = frame[frame.sum().sort_values(ascending=False, kind="stable").index]
    if frame.shape[1] > MOST_SOLUTIONS:
        own, rest = frame.iloc[:, : MOST_SOLUTIONS - 1], frame.iloc[:, MOST_SOLUTIONS - 1 :]
        # A variable may be called `other`, and a solution after it: no label ends so.
        return own.assign(**{f"{rest.shape[1]} other solutions": rest.sum(axis=1)})
    return frame


def lambda_pictures(summary: Summary) -> list[Picture]:
    """For each inputs, λ against score, kept variables and solutions, where a λ was searched."""
    pictures: list[Picture] = []
    objective = summary.record.objective
    table = summary.configurations
    table = table[table["scored"] > 0] if len(table) else table
    for inputs in dict.fromkeys(table["inputs"]) if len(table) else ():
        part = table[table["inputs"] == inputs].copy()
        searched = {
            name: name_of_lambda
            for name, rows in part.groupby("regularizer", sort=False)
            if (name_of_lambda := main_lambda(rows))
        }
        if not searched:
            continue
        kept = {}
        for family in all_families(part):
            if f"final_zeroed_{family}_mean" in part and part[f"total_{family}"].notna().any():
                part[f"kept_{family}"] = (
                    part[f"total_{family}"] - part[f"final_zeroed_{family}_mean"]
                )
                words = family_words(family, summary.record)
                kept[f"kept_{family}"] = f"{words}\nkept, last epoch"
        shares = _solution_shares(summary, part["configuration"].tolist())
        score = (objective, f"{metric_words(objective)}\nmean ± sd over seeds")
        plot = plots.lambda_paths(part, searched, score, kept, shares, color_order(summary))
        words = inputs_words(inputs, summary.record)
        few = len(searched) * (len(kept) + 2) <= MOST_AXES
        pictures.append(Picture(
            f"lambda_{len(pictures)}", figures.picture(plot), f"λ against score on {words}",
            f"Inputs: {words}.", plot if few else None,
        ))  # fmt: skip
    return pictures


def kept_and_score(summary: Summary) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Networks and configurations as `kept`, `score`, `regularizer`, `network`, `values`."""
    table, objective = summary.networks, summary.record.objective
    if objective not in table or "zeroed_variables" not in table:
        return None
    if RESAMPLE in table:
        table = table[table[RESAMPLE].isna()]
    totals = {n.name: n.inputs.penalized for n in summary.results.networks}
    searched_values_of = summary.configurations.set_index("configuration")["lambdas"]
    kept = table["network"].map(totals) - table["zeroed_variables"]
    table = table.assign(
        kept=kept, score=table[objective], values=table["configuration"].map(searched_values_of)
    )
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
    tables_of_studies = [tables for s in summaries if (tables := kept_and_score(s))]
    if not tables_of_studies:
        return None
    networks, means = (
        pd.concat(t, ignore_index=True) for t in zip(*tables_of_studies, strict=True)
    )
    record = summaries[0].record
    plot = plots.pareto(networks, means, record.maximize, metric_words(record.objective))
    return Picture(
        "pareto", figures.picture(plot), "validation score against number of kept variables",
        "A dot is a network, a ring the mean of a configuration over its seeds. On a front is what "
        "none beats in both.", plot,
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
    shares = {
        name: shares_of_target
        for name, t in targets.items()
        if (shares_of_target := importances(values, t))
    }
    if not shares:
        return None
    return Picture(
        "importances", figures.png(figures.importance_bars(shares)), "parameter importances"
    )
