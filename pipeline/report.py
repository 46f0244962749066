"""Solutions + figures → one self-contained HTML page, with its PNG and CSV beside it."""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline import figures
from pipeline.results import NetworkResult, StudyResults
from pipeline.solutions import (
    EPOCHS,
    EXCHANGEABLE,
    LAMBDAS,
    by_configuration,
    median_network,
    solution_label,
)
from pipeline.summary import (
    BEST_ROLE,
    TIPPING_ROLE,
    Focus,
    Summary,
    all_families,
    results_rows,
    summarise,
)
from pipeline.summary_text import markdown_of, markdown_summary, terminal_of, terminal_summary
from pipeline.words import family_words, inputs_words, listed, metric_words, shared

__all__ = [
    "build_report",
    "markdown_of",
    "markdown_summary",
    "summarise",
    "terminal_of",
    "terminal_summary",
]

PLAIN_FIRST = ("none", "l1", "l2", "elastic_net", "group_lasso", "sparse_group_lasso")
PANELS_WANTED = 6
LIBRARIES = ("numpy", "pandas", "scikit-learn", "tensorflow", "optuna", "mlflow")


OWN_PICTURE = re.compile(r"(panels|pareto|(trajectories|selection)_c\d+|lambda_\d+)\.png")


@dataclass(frozen=True)
class Picture:
    """A figure of the page: its file, what a reader who cannot see it is told, and its caption."""

    name: str
    png: bytes
    alt: str
    caption: str = ""

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


def chosen_panels(summary: Summary) -> list[figures.Panel]:
    """One network for each regularizer on the richest inputs, then the contested solutions.

    Of a regularizer the best configuration's network with the median objective, at its best epoch;
    of the most seed-dependent configuration the representative of each solution at the last epoch.
    With more than six in all, its regularizer is left to those.
    """
    cells = summary.cells
    if not len(cells):
        return []
    cells = cells[cells["inputs"] == cells["inputs"].iloc[0]]
    rank = {name: i for i, name in enumerate(PLAIN_FIRST)}
    cells = cells.sort_values(
        "regularizer", key=lambda c: c.map(lambda r: rank.get(r, len(rank))), kind="stable"
    )
    groups = _networks_by_configuration(summary)
    tipping = next((f for f in summary.focus if TIPPING_ROLE in f.roles), None)
    contested = tipping.last[:4] if tipping else ()
    if tipping and len(cells) + len(contested) > PANELS_WANTED:
        cells = cells[cells["regularizer"] != tipping.regularizer]
    shown = []
    for number in cells["configuration"]:
        finished = [n for n in groups[number] if n.failure is None]
        shown.append(_panel(median_network(finished, summary.record.objective), "best"))
    for i, solution in enumerate(contested, 1):
        what = f", solution {i}: {solution.label}"
        shown.append(_panel(solution.representative, "last", what))
    return [panel for panel in shown if panel is not None]


def _networks_by_configuration(summary: Summary) -> dict[int, tuple[NetworkResult, ...]]:
    return by_configuration(summary.results.networks)


def _panel_pictures(summary: Summary) -> tuple[Picture | None, list[Picture]]:
    shown = chosen_panels(summary)
    if not shown:
        return None, []
    together, single = figures.panels(shown, summary.record.simulated)
    return Picture("panels", together, "first-layer heat maps side by side"), [
        Picture(f"panel_{i}", png, f"first-layer heat map: {panel.title}")
        for i, (png, panel) in enumerate(zip(single, shown, strict=True))
    ]


def _trajectory(focus: Focus, summary: Summary) -> Picture | None:
    finished = [n for n in focus.networks if n.failure is None]
    found = dict.fromkeys(name for n in finished for name in n.curves)
    wanted = [f"kept_{f}" for f in dict.fromkeys(finished[0].inputs.families)] if finished else []
    names = {c: f"{family_words(c[5:], summary.record)} variables kept" for c in wanted}
    names[summary.record.objective] = metric_words(summary.record.objective)
    names = {c: title for c, title in names.items() if c in found}
    if not names:
        return None
    finished.sort(key=lambda n: (_rank(n, focus), n.seed))
    png = figures.trajectories(
        [n.curves for n in finished],
        [solution_label(n) for n in finished],
        [n.metrics.get("best_epoch", np.nan) for n in finished],
        names,
    )
    caption = (
        f"c{focus.number} ({', '.join(focus.roles)}). One line a seed, coloured by what is left at "
        "the last epoch; the marker is the best epoch."
    )
    return Picture(
        f"trajectories_c{focus.number}", png, f"trajectories of c{focus.number}", caption
    )


def _rank(network: NetworkResult, focus: Focus) -> int:
    labels = [s.label for s in focus.last]
    return labels.index(solution_label(network))


def _selection(focus: Focus) -> Picture:
    table = focus.frequencies.fillna(0.0).head(60)
    title = f"c{focus.number} {focus.regularizer} on {focus.inputs}"
    png = figures.selection_bars(
        table["variable"].tolist(), table["share_last"], table["share_best"], title
    )
    caption = (
        f"{', '.join(focus.roles)}. Stability Φ̂ at the last epoch {focus.stability_last.text}; at "
        f"the best epoch {focus.stability_best.text}."
    )
    return Picture(f"selection_c{focus.number}", png, f"selection frequencies: {title}", caption)


def _solution_shares(summary: Summary, numbers: Sequence[int]) -> pd.DataFrame:
    """configuration × solution label → share of its finished seeds, commonest label first."""
    groups = _networks_by_configuration(summary)
    rows = {}
    for number in numbers:
        labels = [solution_label(n) for n in groups[number] if n.failure is None]
        rows[number] = pd.Series(labels, dtype=object).value_counts(normalize=True)
    frame = pd.DataFrame(rows).T.fillna(0.0)
    frame = frame[frame.sum().sort_values(ascending=False, kind="stable").index]
    if frame.shape[1] > 7:
        frame = frame.iloc[:, :6].assign(other=frame.iloc[:, 6:].sum(axis=1))
    return frame


def _lambda_pictures(summary: Summary) -> list[Picture]:
    """For each inputs, λ against score, kept variables and solutions, where a λ was searched."""
    pictures, objective = [], summary.record.objective
    table = summary.configurations
    table = table[table["scored"] > 0] if len(table) else table
    for inputs in dict.fromkeys(table["inputs"]) if len(table) else ():
        part = table[table["inputs"] == inputs].copy()
        searched = {
            name: str(distinct.idxmax())
            for name, own in part.groupby("regularizer", sort=False)
            if (distinct := own[list(LAMBDAS)].where(own[list(LAMBDAS)] > 0).nunique()).max() > 1
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
        png = figures.lambda_paths(part, searched, score, kept, tuple(shares.columns))
        said = inputs_words(inputs, summary.record)
        pictures.append(Picture(
            f"lambda_{len(pictures)}", png, f"λ against score on {said}", f"Inputs: {said}."
        ))  # fmt: skip
    return pictures


def _pareto(summary: Summary) -> Picture | None:
    table, objective = summary.networks, summary.record.objective
    if objective not in table or "zeroed_variables" not in table:
        return None
    table = table[table[objective].notna() & table["zeroed_variables"].notna()]
    if table.empty:
        return None
    totals = {n.name: len(n.inputs.variable_names) for n in summary.results.networks}
    kept = table["network"].map(totals) - table["zeroed_variables"]
    png = figures.pareto(
        kept, table[objective], table["regularizer"].tolist(), summary.record.maximize,
        metric_words(objective),
    )  # fmt: skip
    return Picture("pareto", png, "validation score against number of kept variables")


def _solution_rows(focus: Focus, epoch: str, summary: Summary) -> tuple[list[str], list[list[str]]]:
    metric = summary.record.objective.removeprefix("val_")
    head = ["solution", "seeds", "left", "kept by name (share of these seeds)"]
    head += [f"{s} {metric_words(metric)}" for s in ("validation", "test")]
    head += ["best epoch", "family died at epoch", "representative"]
    rows = []
    for i, s in enumerate(focus.last if epoch == "last" else focus.best, 1):
        left = ", ".join(
            k.text.replace(k.family, family_words(k.family, summary.record)) for k in s.families
        )
        named = [k for k in s.families if k.family not in EXCHANGEABLE]
        all_kept = bool(named) and all(k.low == k.total for k in named)
        names = [shared(v, share) for v, share in s.variables.items()]
        died = [
            f"{k.family} {k.deaths[0]}" + (f" to {k.deaths[-1]}" if len(set(k.deaths)) > 1 else "")
            for k in s.families
            if k.deaths
        ]
        best_epoch = s.best_epoch
        when = "–" if np.isnan(best_epoch.mean) else f"{best_epoch.mean:.0f}"
        rows.append([
            f"{i}: {s.label}", f"{len(s.networks)} of {s.of_networks}", left or "–",
            "all" if all_kept else listed(names, 12) or "–",
            s.score(f"val_{metric}").text, s.score(f"test_{metric}").text,
            when, ", ".join(died) or "–", f"s{s.representative.seed}",
        ])  # fmt: skip
    return head, rows


def _solutions_table(summary: Summary) -> pd.DataFrame:
    rows = []
    for focus in summary.focus:
        for epoch in EPOCHS:
            head, body = _solution_rows(focus, epoch, summary)
            about = {"configuration": focus.number, "roles": "; ".join(focus.roles), "epoch": epoch}
            rows += [about | dict(zip(head, row, strict=True)) for row in body]
    return pd.DataFrame(rows)


def _frequencies_table(summary: Summary) -> pd.DataFrame:
    tables = [f.frequencies.assign(configuration=f.number) for f in summary.focus]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _page(summary: Summary) -> tuple[str, list[Picture]]:
    together, single = _panel_pictures(summary)
    close = [f for f in summary.focus if {BEST_ROLE, TIPPING_ROLE} & set(f.roles)]
    trajectories = [p for f in close if (p := _trajectory(f, summary))]
    selecting = [f for f in summary.focus if f.selects and len(f.frequencies)]
    selections = [_selection(f) for f in selecting[:4]]
    lambdas, pareto = _lambda_pictures(summary), _pareto(summary)
    sections = [
        {"focus": f, "open": f in close, "tables": [
            (epoch, *_solution_rows(f, epoch, summary)) for epoch in ("last", "best")]}
        for f in summary.focus if f in close or f.selects
    ]  # fmt: skip
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    head, rows = results_rows(summary)
    html = environment.get_template("report.html.j2").render(
        summary=summary, record=summary.record, head=head, rows=rows, panels=single,
        sections=sections, trajectories=trajectories, selections=selections, lambdas=lambdas,
        pareto=pareto, versions=_versions(),
        settings=json.dumps(dict(summary.record.settings), indent=2, ensure_ascii=False,
                            default=str),
        objective=metric_words(summary.record.objective),
        total=len(summary.results.networks), finished=len(summary.results.finished),
    )  # fmt: skip
    pictures = [*([together] if together else []), *trajectories, *selections, *lambdas]
    return html, pictures + ([pareto] if pareto else [])


def _write_all(folder: Path, writers: dict[str, Callable[[Path], object]]) -> None:
    """All files are written beside, then moved in one by one in this order: whole or not at all.

    Pictures of an earlier report that this one does not have are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        for name, write in writers.items():
            write(beside / name)
        for name in writers:
            os.replace(beside / name, folder / name)
        for old in folder.glob("*.png"):
            if old.name not in writers and OWN_PICTURE.fullmatch(old.name):
                old.unlink()
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def build_report(results: StudyResults, output: Path) -> Summary:
    """Write `report.html`, its PNG and its CSV into the folder `output`; return what they say."""
    summary = summarise(results)
    html, pictures = _page(summary)
    tables = {
        "results": summary.cells,
        "configurations": summary.configurations,
        "networks": summary.networks,
        "solutions": _solutions_table(summary),
        "selection_frequencies": _frequencies_table(summary),
    }
    writers: dict[str, Callable[[Path], object]] = {}
    for name, table in tables.items():
        writers[f"{name}.csv"] = lambda path, t=table: t.to_csv(path, index=False, encoding="utf-8")
    for picture in pictures:
        writers[f"{picture.name}.png"] = lambda path, p=picture: path.write_bytes(p.png)
    writers["report.html"] = lambda path: path.write_text(html, encoding="utf-8")
    _write_all(Path(output), writers)
    return summary
