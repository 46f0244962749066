"""The chapters of a study with resamples: their figures, tables and sentences, for the page."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.report import figures, people_plots
from pipeline.report.honest import CROSS_VALIDATION, honest_rows, honest_sentence
from pipeline.report.other_people import (
    OtherPeople,
    bound_words,
    instability_tables,
    instability_words,
    path_words,
    seed_or_people_sentence,
    selection_rows,
    variance_rows,
)
from pipeline.report.pictures import Picture
from pipeline.report.plots import Plot
from pipeline.report.tables import Rows

MOST_PATHS = 6


@dataclass(frozen=True)
class PathSection:
    """One regularizer on the same inputs: which variables are kept whoever was in the table."""

    title: str
    words: str
    picture: Picture
    rows: Rows


@dataclass(frozen=True)
class PeopleChapter:
    """What a study's resamples say, in the order in which a reader asks.

    bounded, integrated  whether any path has a bound on false ones, and integrated paths.
    """

    draws: str
    paths: tuple[PathSection, ...]
    decides: str
    variance: Picture | None
    predictions: tuple[str, ...]
    instability: Picture | None
    bounded: bool
    integrated: bool
    honest: Rows
    how_good: str | None

    @property
    def pictures(self) -> list[Picture]:
        several = [section.picture for section in self.paths]
        return [p for p in (*several, self.variance, self.instability) if p]


def _picture(name: str, plot: Plot, alt: str, caption: str = "") -> Picture:
    return Picture(name, figures.picture(plot), alt, caption, plot)


def people_chapter(people: OtherPeople | None) -> PeopleChapter | None:
    """None for a study without resamples."""
    if people is None:
        return None
    sections = []
    for number, path in enumerate(people.paths[:MOST_PATHS]):
        title = path_words(path, people.record)
        caption = (
            f"Share of {people.draws}, and of seeds, on which a variable is kept at the last "
            "epoch. Categories and genetic dimensions count as one variable each."
        )
        picture = _picture(
            f"stability_path_{number}", people_plots.stability_path(path),
            f"selection probability along the path: {title}", caption,
        )  # fmt: skip
        sections.append(
            PathSection(title, bound_words(path, people), picture, selection_rows(path, people))
        )
    rows = variance_rows(people)
    variance = None
    if len(rows):
        caption = (
            "Shares of the variance between networks that differ in seed and resample; thin lines "
            "are 95 % intervals, where there are enough of both."
        )
        variance = _picture(
            "seed_or_people", people_plots.whose_variance(rows), "seed or people", caption
        )
    return PeopleChapter(
        people.draws, tuple(sections), seed_or_people_sentence(people), variance,
        tuple(instability_words(people)), _instability_picture(people),
        any(p.stable for p in people.paths), any(p.integrated for p in people.paths),
        honest_rows(people.tables.get(CROSS_VALIDATION), people.record),
        honest_sentence(people.tables.get(CROSS_VALIDATION), people.record),
    )  # fmt: skip


def _instability_picture(people: OtherPeople) -> Picture | None:
    cells, bands = instability_tables(people)
    rows = people.predictions()
    if cells.empty or bands.empty:
        return None
    outcome = bands["outcome"].iloc[0]
    row = rows[rows["outcome"] == outcome].iloc[0]
    quantity = "prediction" if row["threshold"] != row["threshold"] else "predicted risk"
    quantity += f" of {outcome}" if outcome else ""
    caption = (
        f"c{people.main.number}, {row['people']} people. Color: share of a column's predictions in "
        "a cell. No cell or column is of fewer than 5 people, so that no one can be read off."
    )
    plot = people_plots.instability_plot(cells, bands, quantity)
    return _picture("instability", plot, "instability of predictions", caption)
