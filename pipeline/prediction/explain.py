"""The story of an explanation: a model, people, a page, and the model for other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from pipeline.data import REGRESSION
from pipeline.prediction import exports, figures
from pipeline.prediction.coded import CodedColumns
from pipeline.prediction.explanation import (
    MOST_PAIRED,
    Dependence,
    dependences,
    importances,
    interactions,
    kept_names,
    repeats,
)
from pipeline.prediction.outcomes import known_outcome
from pipeline.prediction.page import Page, Picture, Section, html_of
from pipeline.prediction.rows import AUTO, positions, table_of_the_study
from pipeline.prediction.scoring import NONE, columns_of_ids, inputs_of, read_people
from pipeline.process import files_beside
from pipeline.report import HeatMap
from pipeline.tracking import FetchedModel, fetch_model
from pipeline.words import listed, metric_words

FROM_STUDY, PAGE = "from-study", "explanation.html"
SHOWN_PAIRS = 10


def explain(
    model: str | None = None,
    data: str = FROM_STUDY,
    output: str = "reports",
    *,
    rows: str = AUTO,
    genotypes: str = NONE,
    id: str = NONE,
    console: Console | None = None,
) -> Path:
    """Write what a model does with its variables; returns the folder, output/STUDY/model.

    model  as `fetch_model` takes it; None for the champion of the newest study
    data   the people it is explained on; `from-study` for the table that it learned from
    rows   as `positions` takes it: by default the study's validation rows, or all of another table

    Raises InputError.
    """
    console = console or Console()
    fetched = fetch_model(model)
    place = table_of_the_study(fetched) if data == FROM_STUDY else Path(data)
    table, frame, notes = read_people(fetched, place, genotypes, columns_of_ids(id))
    for note in notes:
        console.print(f"warning: {note}", markup=False, highlight=False, style="yellow")
    row_positions, who = positions(fetched, table, place, genotypes, rows)
    table, frame = table.rows(row_positions), frame.iloc[row_positions].reset_index(drop=True)
    with console.status("explaining"):
        page = _page(fetched, table, frame, who, notes)
        folder = Path(output) / fetched.origin.study / "model"
        names = [exports.KEPT, exports.WEIGHTS, exports.INPUTS, exports.KERAS, PAGE]
        with files_beside(folder, names) as workspace:
            exports.export(fetched, workspace)
            (workspace / PAGE).write_text(html_of(page), encoding="utf-8")
    console.print(" ".join(page.answer), markup=False, highlight=False)
    console.print(f"report: {folder / PAGE}", markup=False, highlight=False)
    return folder


def _page(
    model: FetchedModel, table, frame: pd.DataFrame, who: str, notes: tuple[str, ...]
) -> Page:
    origin, kept = model.origin, kept_names(model)
    simulated = origin.genotypes == "simulated" and bool(model.network.needed)
    coded = CodedColumns(model)
    sections = [_heat_map(model, simulated)]
    answer = [
        f"{len(kept)} of {len(origin.inputs.variable_names)} variables are kept: "
        f"{listed(kept, 12) or 'none'}."
    ]
    if kept:
        inputs, outcome = inputs_of(model, table, frame), known_outcome(table, origin)
        ranked, importance_table = kept, None
        if outcome is not None and len(np.unique(outcome.values[outcome.known])) > 1:
            importance_table = importances(model, inputs, outcome)
            ranked = list(importance_table["variable"])
            answer.append(_most_important(importance_table, origin.objective, who))
            sections.append(_importance(importance_table, origin.objective, who))
        codes = coded.codes(table, frame)
        sections.append(_dependence(model, dependences(coded, codes, ranked), who))
        if len(kept) > 1:
            sections.append(_interaction(model, interactions(model, inputs, ranked)))
    if notes:
        sections.append(Section("To be careful about", list(notes)))
    sections.append(_files())
    return Page(
        f"What {model.name} does with its variables",
        f"Lariat · explanation of a model · target {origin.target}",
        answer,
        sections,
        f"Model {model.address}, on {who}. Table sha256 {table.fingerprint}.",
        simulated,
    )


def _heat_map(model: FetchedModel, simulated: bool) -> Section:
    first = np.asarray(model.network.layers[0][0])
    drawn = HeatMap(model.origin.inputs, first.shape[1], simulated)
    png = drawn.png(first, f"{model.name} · best epoch") or b""
    picture = Picture(png, "First-layer weights", is_map=True)
    about = (
        "One row a column of the input, one column a hidden unit. Gray rows are variables of which "
        "every weight is exactly 0: they have no say in any prediction."
    )
    return Section("First layer", [about], [picture])


def _most_important(importance_table: pd.DataFrame, objective: str, who: str) -> str:
    first = importance_table.iloc[0]
    metric = metric_words(objective.removeprefix("val_"))
    return (
        f"{first['variable']} matters most: on {who}, shuffling its values costs "
        f"{first['importance']:.3g} of {metric}."
    )


def _importance(table: pd.DataFrame, objective: str, who: str) -> Section:
    metric = metric_words(objective.removeprefix("val_"))
    shown = table.head(30)
    png = figures.bars(
        list(shown["variable"]), shown["importance"].to_numpy(), shown["sd"].to_numpy(),
        f"loss of {metric} when shuffled",
    )  # fmt: skip
    about = (
        f"How much of {metric} is lost on {who} when a variable's values are shuffled among them, "
        f"all its columns together: mean of {repeats(len(table))} shuffles ± their standard "
        "deviation. Of variables that say the same, each looks unimportant, as the others are left."
    )
    cells = [
        [str(r.variable), f"{r.importance:.4g}", f"{r.sd:.2g}"]
        for r in table.itertuples()
    ]  # fmt: skip
    return Section(
        "Permutation importance", [about], [Picture(png, "Permutation importance")],
        ["variable", f"loss of {metric}", "sd over shuffles"], cells,
    )  # fmt: skip


def _dependence(model: FetchedModel, curves_of_columns: list[Dependence], who: str) -> Section:
    task, target = model.origin.task, model.origin.target
    y = f"mean predicted {target}" if task == REGRESSION else "mean predicted probability"
    every = np.concatenate(
        [c for d in curves_of_columns for c in d.curves.values()] or [np.zeros(1)]
    )
    ends = float(every.min()), float(every.max())
    pictures = [
        Picture(
            figures.dependence(d.grid, _short(model, d.curves), d.column, y, d.numeric, ends),
            f"Partial dependence on {d.column}",
        )
        for d in curves_of_columns
    ]
    about = (
        f"The mean prediction for {who}, were all to have one value of a column: numbers from "
        "their 5 % to their 95 % quantile, all on one scale. Where columns go together, some of "
        "these people could not be."
    )
    return Section("Partial dependence", [about], pictures)


def _short(model: FetchedModel, curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names for a legend: labels of classes alone."""
    if len(curves) == 1:
        return curves
    return {str(label): c for label, c in zip(model.origin.classes, curves.values(), strict=True)}


def _interaction(model: FetchedModel, pairs: pd.DataFrame) -> Section:
    about = (
        "How far two variables' effects do not add up (Friedman and Popescu's H: 0 where they do, "
        "1 where neither has an effect of its own), and how large that part is on the scale of the "
        "last layer"
        + ("" if model.origin.task == REGRESSION else " (log-odds)")
        + f". Of the {MOST_PAIRED} most important variables, the strongest pairs."
    )
    cells = [
        [f"{r.first} × {r.second}", f"{r.h:.3f}", f"{r.size:.3g}"]
        for r in pairs.head(SHOWN_PAIRS).itertuples()
    ]
    return Section("Interactions", [about], head=["pair", "H", "size"], rows=cells)


def _files() -> Section:
    about = (
        f"Beside this page: {exports.KEPT}, the kept variables; {exports.WEIGHTS}, all weights; "
        f"{exports.KERAS}, the network for Keras, which takes the inputs of {exports.INPUTS}."
    )
    return Section("The model for other programs", [about])
