"""The story of a prediction: a model, a table, its scores, and what known outcomes say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from pipeline.data import BINARY, REGRESSION
from pipeline.errors import InputError
from pipeline.metrics import RESAMPLES
from pipeline.prediction import figures
from pipeline.prediction.outcomes import KnownOutcome, known_outcome
from pipeline.prediction.page import Page, Picture, Section, html_of
from pipeline.prediction.scoring import (
    NONE,
    Scored,
    columns_of_ids,
    inputs_of,
    people_among,
    raw_predictions,
    read_people,
    score,
)
from pipeline.prediction.validation import Validation, validate
from pipeline.process import OWNER_ONLY, write_whole
from pipeline.progress import BlockProgress
from pipeline.tracking import FetchedModel, fetch_model
from pipeline.words import metric_words


@dataclass(frozen=True)
class Written:
    """What a prediction left: the scores, and the page where outcomes were known."""

    scores: Path
    page: Path | None
    validation: Validation | None


def predict(
    model: str | None = None,
    data: str = NONE,
    output: str = "scores.csv",
    *,
    genotypes: str = NONE,
    id: str = NONE,
    console: Console | None = None,
) -> Written:
    """Score the people of a table with a model, into the CSV `output`, a row a person.

    model      as `fetch_model` takes it; None for the champion of the newest study
    genotypes  `none`, a fileset's prefix, or `simulated`
    id         the column of people's ids, the scores' first; `none` for the row's number, and
               `FID,IID` for the two columns of family and within-family id

    Where the table has the outcome, a page, its Markdown and its table of results stand beside the
    scores. Raises InputError.
    """
    console = console or Console()
    if data == NONE:
        raise InputError("a prediction must have people, but got no data; give data=FILE")
    place = Path(output).expanduser()
    if place.suffix.lower() != ".csv":
        raise InputError(f"output must be a .csv file, but got {output}; call it {output}.csv")
    if place.exists() and Path(data).exists() and place.samefile(data):
        raise InputError(f"output must be another file than the data, but both are {output}")
    ids = columns_of_ids(id)
    fetched = fetch_model(model)
    with BlockProgress(console, "genotypes", "variants") as progress:
        table, frame, notes = read_people(fetched, data, genotypes, ids, progress.done)
    scored = score(fetched, table, frame)
    for note in (*notes, *scored.notes):
        console.print(f"warning: {note}", markup=False, highlight=False, style="yellow")
    outcome = known_outcome(table, fetched.origin)
    validation = None
    if outcome is not None:
        raw = raw_predictions(fetched, inputs_of(fetched, table, frame))
        people = people_among(table, fetched.origin, ids)
        validation = validate(fetched.origin, outcome, raw, fetched.metrics, people)
    write_whole(place, _csv(scored, ids).encode(), OWNER_ONLY)
    console.print(f"scores: {place} ({len(table.frame)} people)", markup=False, highlight=False)
    if validation is None or outcome is None:
        console.print(
            f"{fetched.origin.target} is not in {table.source}, so nothing is measured",
            markup=False, highlight=False,
        )  # fmt: skip
        return Written(place, None, None)
    page = place.with_suffix(".html")
    _write_beside(page, fetched, scored, outcome, validation, (*notes, *scored.notes))
    console.print(_grid(validation, fetched))
    console.print(f"report: {page}", markup=False, highlight=False)
    return Written(place, page, validation)


def _csv(scored: Scored, ids: Sequence[str]) -> str:
    """A row a person: the id or the row's number, and the predictions, to be read back exactly."""
    people = scored.predictions.reset_index(drop=True)
    first = pd.DataFrame({"row": np.arange(1, len(people) + 1)})
    if ids:
        first = scored.table.frame[list(ids)].reset_index(drop=True)
    return pd.concat([first, people], axis=1).to_csv(index=False)


def _rows(validation: Validation) -> tuple[list[str], list[list[str]]]:
    """The table of results: of these people, and of the study's test rows beside it."""
    head = ["metric", "these people", "95 % interval", "the study's test rows"]
    rows = [
        [metric_words(r.metric), _shown(r.value),
         f"{_shown(r.low)} to {_shown(r.high)}" if np.isfinite(r.low) else "–",
         _shown(r.study_test)]
        for r in validation.scores.itertuples()
    ]  # fmt: skip
    return head, rows


def _shown(value: float) -> str:
    return "–" if not np.isfinite(value) else f"{value:.4g}" if abs(value) >= 10 else f"{value:.3f}"


def _calibration_rows(validation: Validation) -> list[list[str]]:
    return [[name.replace("_", " "), _shown(v)] for name, v in validation.calibration.items()]


def _answer(model: FetchedModel, scored: Scored, validation: Validation) -> list[str]:
    people = f"{validation.rows} people of {scored.table.source}"
    if validation.people is not None:
        people = f"{validation.rows} rows of {validation.people} people of {scored.table.source}"
    if validation.cases is not None:
        people += f", {validation.cases} of them cases"
    metric = model.origin.objective.removeprefix("val_")
    row = validation.scores.set_index("metric").loc[metric]
    interval = f"95 % interval {_shown(row['low'])} to {_shown(row['high'])}"
    if not np.isfinite(row["low"]):
        interval = "no interval from so few people"
    sentences = [f"On {people}, {metric_words(metric)} is {_shown(row['value'])} ({interval})."]
    if scored.table.fingerprint == model.origin.data_sha256:
        sentences.append(
            "This is the table that the study learned from: its training rows are among these "
            "people, so this is no external validation."
        )
    if np.isfinite(row["study_test"]):
        sentences.append(f"On the study's own test rows it was {_shown(row['study_test'])}.")
    return sentences


def _write_beside(
    page: Path,
    model: FetchedModel,
    scored: Scored,
    outcome: KnownOutcome,
    validation: Validation,
    notes: tuple[str, ...],
) -> None:
    answer = _answer(model, scored, validation)
    head, rows = _rows(validation)
    sections = [
        Section(
            "Results",
            [f"Intervals are bootstrap intervals over these people ({RESAMPLES} resamples)."],
            head=head,
            rows=rows,
        ),
        Section(
            "Calibration",
            [_about_calibration(model.origin.task)],
            _pictures(model, scored, outcome, validation),
            ["measure", "value"],
            _calibration_rows(validation),
        ),
    ]
    if validation.classes is not None:
        frame = validation.classes
        cells = [[str(r[0]), str(r[1]), _shown(r[2]), _shown(r[3])] for r in frame.to_numpy()]
        names = ["class", "people", "mean predicted probability", "share"]
        sections.append(Section("Classes", head=names, rows=cells))
    if notes:
        sections.append(Section("To be careful about", list(notes)))
    title = f"{model.name} on {scored.table.source}"
    content = Page(
        title,
        f"Lariat · external validation · target {model.origin.target}",
        answer,
        sections,
        f"Model {model.address}. Table sha256 {scored.table.fingerprint}.",
        simulated=model.origin.genotypes == "simulated" and bool(model.network.needed),
    )
    write_whole(page, html_of(content).encode())
    lines = [f"# {title}", "", *answer, "", "| " + " | ".join(head) + " |", "|---" * 4 + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", *(f"- {name}: {value}" for name, value in _calibration_rows(validation))]
    write_whole(page.with_suffix(".md"), ("\n".join(lines) + "\n").encode())
    results = validation.scores.to_csv(index=False)
    write_whole(page.with_name(f"{page.stem}_results.csv"), results.encode())


def _about_calibration(task: str) -> str:
    if task == BINARY:
        return (
            "People in tenths of their predicted probability: how many of each are cases, with "
            "95 % intervals. An intercept above 0 says that risks are predicted too low; a slope "
            "below 1 that predictions are too extreme."
        )
    if task == REGRESSION:
        return (
            "People in tenths of their prediction, and the mean outcome of each with 95 % "
            "intervals. A slope below 1 says that predictions are too extreme."
        )
    return (
        "People in tenths of the largest predicted probability, and the share of each whose class "
        "was right, with 95 % intervals."
    )


def _pictures(
    model: FetchedModel, scored: Scored, outcome: KnownOutcome, validation: Validation
) -> list[Picture]:
    task, target = model.origin.task, model.origin.target
    x = {BINARY: "predicted probability", REGRESSION: f"predicted {target}"}
    y = {BINARY: "share of cases", REGRESSION: f"mean {target}"}
    first = figures.calibration(
        validation.bins,
        x.get(task, "largest predicted probability"),
        y.get(task, "share whose class was right"),
    )
    pictures = [Picture(first, "Observed against predicted", "The dashed line: both are equal.")]
    if task == BINARY:
        predicted, known = scored.predictions.iloc[:, 0].to_numpy(), outcome.known
        groups = {
            f"{target} = {label}": predicted[known & (outcome.values == i)]
            for i, label in enumerate(model.origin.classes)
        }
        pictures.append(Picture(figures.histogram(groups, "predicted probability"), "Predictions"))
    return pictures


def _grid(validation: Validation, model: FetchedModel) -> Grid:
    head, rows = _rows(validation)
    grid = Grid(title=Text(model.name), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in head:
        grid.add_column(Text(name))
    for row in [*rows, *([name, value, "", ""] for name, value in _calibration_rows(validation))]:
        grid.add_row(*(Text(cell) for cell in row))
    return grid
