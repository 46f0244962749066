"""Solutions + figures → one self-contained HTML page, with its PNG and CSV beside it.

The page needs no network and no scripts. Where scripts run, some pictures give way to the same
figure as an interactive one. Its content security policy allows the scripts written here, by their
digests, and nothing else: a name from the data could not run even if it were not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.errors import InputError
from pipeline.inspection import pareto_front
from pipeline.metrics import RESAMPLES, masking
from pipeline.process import files_beside
from pipeline.provenance import versions
from pipeline.report import clinical, interactive
from pipeline.report import pictures as report_pictures
from pipeline.report.checklist import Item, checklist, counts
from pipeline.report.clinical import ClinicalChapter, clinical_chapter
from pipeline.report.documents import documents
from pipeline.report.people_chapter import PeopleChapter, people_chapter
from pipeline.report.pictures import Picture, chosen_panels
from pipeline.report.summary import (
    BEST_ROLE,
    TIPPING_ROLE,
    Summary,
    compared_rows,
    results_rows,
    summarize,
)
from pipeline.report.summary_text import (
    markdown_of,
    markdown_summary,
    terminal_of,
    terminal_summary,
)
from pipeline.report.table_reading import reading_rows
from pipeline.report.tables import (
    Rows,
    death_rows,
    frequencies_table,
    front_rows,
    solution_rows,
    solutions_table,
)
from pipeline.report.variant_report import VariantChapter, variant_chapter
from pipeline.results import StudyResults
from pipeline.words import metric_words

__all__ = [
    "build_report",
    "chosen_panels",
    "compare_studies",
    "markdown_of",
    "markdown_summary",
    "summarize",
    "terminal_of",
    "terminal_summary",
]

OWN_PICTURE = re.compile(
    r"(\d+_[\w.-]+_)?"  # of one of several studies
    r"(panels|pareto|importances|variants|test_rows|groups|seed_or_people|instability|"
    r"(trajectories|selection)_c\d+|(lambda|stability_path)_\d+)\.png"
)
LARGEST_BYTES = 4_800_000
SVG_MARKS = {
    "o": "M7 6a4 4 0 1 0 8 0a4 4 0 1 0-8 0", "s": "M7.5 2.5h7v7h-7z", "^": "M11 2l4.5 8h-9z",
    "D": "M11 1l5 5-5 5-5-5z", "v": "M11 10l4.5-8h-9z",
    "P": "M9.5 2h3v2.5H15v3h-2.5V10h-3V7.5H7v-3h2.5z",
    "X": "M8 2l3 2.6L14 2l1.5 1.5L13 6l2.5 2.5L14 10l-3-2.6L8 10 6.5 8.5 9 6 6.5 3.5z",
}  # fmt: skip
"""The markers of matplotlib's names, in a box of 22 × 12."""

SCRIPTS_RUN = "if (window.Bokeh) document.documentElement.classList.add('js')"


@dataclass
class Chapter:
    """All that the page says of one study, in the order of the page."""

    summary: Summary
    objective: str
    sections: list[dict]
    trajectories: list[Picture]
    selections: list[Picture]
    lambdas: list[Picture]
    pareto: Picture | None
    front: Rows | None
    importance: Picture | None
    variants: VariantChapter | None
    clinical: ClinicalChapter | None
    checklist: tuple[Item, ...]
    checklist_words: str
    settings: str
    reading: Rows | None
    people: PeopleChapter | None

    @property
    def pictures(self) -> list[Picture]:
        of_people = self.people.pictures if self.people else []
        several = [*of_people, *self.trajectories, *self.selections, *self.lambdas]
        variants = self.variants.picture if self.variants else None
        clinical = self.clinical.pictures if self.clinical else []
        return [p for p in (*several, self.pareto, self.importance, variants, *clinical) if p]


def _chapter(summary: Summary, letters: Mapping[str, str]) -> Chapter:
    foremost = [f for f in summary.focus if {BEST_ROLE, TIPPING_ROLE} & set(f.roles)]
    selecting = [f for f in summary.focus if f.selects and len(f.frequencies)]
    sections = [
        {
            "focus": f,
            "open": f in foremost,
            "tables": [(epoch, solution_rows(f, epoch, summary)) for epoch in ("last", "best")],
            "deaths": death_rows(f) if f.selects and len(f.frequencies) else None,
        }
        for f in summary.focus
        if f in foremost or f.selects
    ]
    tables = report_pictures.kept_and_score(summary)
    front = None
    if tables:
        means = tables[1]
        on_front = pareto_front(
            means["kept"].to_numpy(), means["score"].to_numpy(), summary.record.maximize
        )
        front = front_rows(summary, means, on_front)
    settings = dict(summary.record.settings)
    items = checklist(summary) if summary.best is not None else ()
    return Chapter(
        summary=summary,
        objective=metric_words(summary.record.objective),
        sections=sections,
        trajectories=[
            p for f in foremost if (p := report_pictures.trajectory(f, summary, letters))
        ],
        selections=[report_pictures.selection(f) for f in selecting[:4]],
        lambdas=report_pictures.lambda_pictures(summary),
        pareto=report_pictures.pareto(summary),
        front=front,
        importance=report_pictures.importance(summary),
        variants=variant_chapter(summary),
        clinical=clinical_chapter(summary.results),
        checklist=items,
        checklist_words=counts(items),
        settings=json.dumps(settings, indent=2, ensure_ascii=False, default=str),
        reading=reading_rows(summary.record),
        people=people_chapter(summary.people),
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _scripts(pictures: Sequence[Picture]) -> tuple[list[str], dict[int, str]]:
    """The page's scripts, and id of a picture → the element that its plot fills."""
    plots = {
        f"plot_{i}": interactive.bokeh_plot(p.plot)
        for i, p in enumerate(pictures)
        if p.plot is not None
    }
    if not plots:
        return [], {}
    script, elements = interactive.embedded(plots)
    scripts = [interactive.script_of_the_library(), SCRIPTS_RUN, script]
    places = {id(pictures[int(name.removeprefix("plot_"))]): e for name, e in elements.items()}
    return [s.replace("</script", "<\\/script") for s in scripts], places


def _page(summaries: Sequence[Summary]) -> tuple[str, list[Picture]]:
    """The page and its pictures as files; pictures alone where plots would make it too large."""
    html, files = _rendered(summaries)
    if len(html.encode()) > LARGEST_BYTES:
        html, files = _rendered(summaries, with_plots=False)
    return html, files


def _rendered(summaries: Sequence[Summary], with_plots: bool = True) -> tuple[str, list[Picture]]:
    panels = chosen_panels(*summaries)
    simulated = any(s.record.simulated for s in summaries)
    together, single = report_pictures.panel_pictures(panels, simulated)
    chapters = [
        _chapter(summary, {p.network.name: p.letter for p in panels if p.study == i})
        for i, summary in enumerate(summaries)
    ]
    several = len(summaries) > 1
    joint = report_pictures.pareto(*summaries) if several else None
    pictures = [*([joint] if joint else []), *(p for c in chapters for p in c.pictures)]
    scripts, places = _scripts(pictures if with_plots else [])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    head, rows = compared_rows(summaries) if several else results_rows(summaries[0])
    html = environment.get_template("report.html.j2").render(
        chapters=chapters, record=summaries[0].record, several=several, head=head, rows=rows,
        panels=single, joint=joint, place=lambda picture: places.get(id(picture), ""),
        marks=SVG_MARKS, metric=metric_words(summaries[0].record.objective.removeprefix("val_")),
        resamples=RESAMPLES, scripts=scripts, digests=[_digest(script) for script in scripts],
        versions=versions(),
        simulated=simulated, group_rule=clinical.group_rule(), mask=masking.MASK,
        title=" · ".join(s.record.study for s in summaries),
        objective=metric_words(summaries[0].record.objective),
    )  # fmt: skip
    files = [*([together] if together else []), *([joint] if joint else [])]
    for number, chapter in enumerate(chapters):
        pictures_of_study = chapter.pictures
        if several:
            study = _file_word(chapter.summary.record.study)
            pictures_of_study = [
                replace(p, name=f"{number + 1}_{study}_{p.name}") for p in pictures_of_study
            ]
        files += pictures_of_study
    return html, files


def _file_word(study: str) -> str:
    """A study's name as a part of a file's."""
    return re.sub(r"[^\w.-]", "_", study)


def _write_all(folder: Path, writers: dict[str, Callable[[Path], object]]) -> None:
    """All files are written beside, then moved in one by one in this order: whole or not at all.

    Pictures and tables of an earlier report that this one does not have are removed.
    """
    with files_beside(folder, list(writers)) as beside:
        for name, write in writers.items():
            write(beside / name)
    tables = {f"{name}.csv" for name in clinical.TABLES}
    for old in [*folder.glob("*.png"), *folder.glob("*.csv")]:
        ours = old.name in tables or OWN_PICTURE.fullmatch(old.name)
        if old.name not in writers and ours:
            old.unlink()


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _write(
    summaries: Sequence[Summary],
    tables: dict[str, pd.DataFrame],
    output: Path,
    texts: Mapping[str, str],
) -> tuple[str, ...]:
    """The names of all files that were written."""
    html, pictures = _page(summaries)
    writers: dict[str, Callable[[Path], object]] = {}
    for name, table in tables.items():
        writers[f"{name}.csv"] = partial(table.to_csv, index=False, encoding="utf-8")
    for picture in pictures:
        writers[f"{picture.name}.png"] = partial(_write_bytes, content=picture.png)
    for name, text in texts.items():
        writers[name] = partial(_write_bytes, content=text.encode())
    writers["report.html"] = partial(_write_bytes, content=html.encode())
    _write_all(Path(output), writers)
    return tuple(writers)


def _tables(summary: Summary) -> dict[str, pd.DataFrame]:
    appraisal = summary.results.appraisal
    found = appraisal.tables if appraisal else {}
    return {
        **{name: found[name] for name in clinical.TABLES if len(found.get(name, ()))},
        "results": summary.results_table,
        "configurations": summary.configurations,
        "networks": summary.networks,
        "solutions": solutions_table(summary),
        "selection_frequencies": frequencies_table(summary),
        **(summary.people.csv if summary.people else {}),
    }


def build_report(results: StudyResults, output: Path) -> Summary:
    """Write `report.html`, its PNG and its CSV into the folder `output`; return what they say."""
    return write_report(results, output)[0]


def write_report(results: StudyResults, output: Path) -> tuple[Summary, tuple[str, ...]]:
    """`build_report`, and the names of the files that it wrote; whatever else lies in the folder
    is somebody's own."""
    summary = summarize(results)
    return summary, _write([summary], _tables(summary), output, documents(summary))


def compare_studies(studies: Sequence[StudyResults], output: Path) -> list[Summary]:
    """One page for several studies: their results in one table, their first layers on one scale.

    Raises InputError unless they have the same target and objective.
    """
    for name in ("target", "objective"):
        values = [(s.record.study, getattr(s.record, name)) for s in studies]
        if len({value for _, value in values}) > 1:
            differences = ", ".join(f"{study} has {value}" for study, value in values)
            raise InputError(f"studies on one page must have the same {name}, but {differences}")
    summaries = [summarize(results) for results in studies]
    of_study = [
        {n: table.assign(study=s.record.study) for n, table in _tables(s).items()}
        for s in summaries
    ]
    names = dict.fromkeys(name for tables in of_study for name in tables)
    tables = {
        name: pd.concat([t[name] for t in of_study if name in t], ignore_index=True)
        for name in names
    }
    texts = {
        f"{i}_{_file_word(s.record.study)}_{name}": text
        for i, s in enumerate(summaries, 1)
        for name, text in documents(s).items()
    }
    _write(summaries, tables, output, texts)
    return summaries
