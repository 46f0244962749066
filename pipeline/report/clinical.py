"""What the report says of the champion on the test rows, of simpler models, groups and people.

All of it from `StudyResults.appraisal`, so that a report made elsewhere says the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.appraisal import BETTER, FEWEST_IN_GROUP, UNDECIDED, WORSE
from pipeline.metrics import bootstrap, calibration, masking
from pipeline.report import clinical_plots, figures
from pipeline.report.appraisal_words import (
    comparison,
    number,
    signed_with_interval,
    table_of,
    with_interval,
)
from pipeline.report.pictures import Picture
from pipeline.report.tables import Rows
from pipeline.results import Appraisal, StudyRecord, StudyResults
from pipeline.words import inputs_words, metric_words

TABLES = (
    "performance", "calibration", "decision_curve", "operating_points", "risk", "baselines",
    "groups", "table_one",
)  # fmt: skip
"""Names of an appraisal's tables, which stand beside the page as CSV."""


@dataclass(frozen=True)
class ClinicalChapter:
    """Sections in the page's order; each is None where the study has nothing for it."""

    about: str
    baselines: Rows | None
    baseline_words: tuple[str, ...]
    scores: Rows | None
    picture: Picture | None
    picture_words: tuple[str, ...]
    operating: Rows | None
    groups: tuple[tuple[str, Rows], ...]
    groups_picture: Picture | None
    people: Rows | None
    notes: tuple[str, ...]

    @property
    def masked(self) -> bool:
        """Whether the reader must be told what the mask means."""
        tables = [self.operating, self.people, *(rows for _, rows in self.groups)]
        return any(
            masking.MASK in cell for each in tables if each for row in each[1] for cell in row
        )

    @property
    def pictures(self) -> list[Picture]:
        return [p for p in (self.picture, self.groups_picture) if p]


def clinical_chapter(results: StudyResults, drawn: bool = True) -> ClinicalChapter | None:
    """None without an appraisal; without pictures unless they are drawn."""
    found = results.appraisal
    if found is None:
        return None
    groups = _groups(found)
    return ClinicalChapter(
        about=_about(found),
        baselines=baseline_rows(found, results.record),
        baseline_words=tuple(_baseline_words(found)),
        scores=score_rows(found),
        picture=_picture(found) if drawn else None,
        picture_words=tuple(_picture_words(found)),
        operating=operating_rows(found),
        groups=groups,
        groups_picture=_groups_picture(found) if groups and drawn else None,
        people=people_rows(found),
        notes=tuple(str(note) for note in _listed(found, "notes")),
    )


def _listed(found: Appraisal, name: str) -> list:
    value = found.facts.get(name, [])
    return list(value) if isinstance(value, (list, tuple)) else []


def _about(found: Appraisal) -> str:
    facts = found.facts
    who = f"{facts['rows_test']:,} test rows"
    if "cases_test" in facts:
        who += f", {facts['cases_test']:,} of them cases"
    if "people_test" in facts:
        who += f", of {facts['people_test']:,} people"
    others = int(str(facts["networks"])) - 1
    many = f"{others} other network" + ("s" if others > 1 else "")
    beside = f", and beside it the {many} of its configuration" if others else ""
    return (
        f"The champion, {facts['champion']}, is the network that is kept as the study's model. "
        f"This is how it does on the {who}{beside}. Intervals are of 95 % over resamples of these "
        "rows."
    )


def _baseline_words(found: Appraisal) -> list[str]:
    best, metric = comparison(found), metric_words(str(found.facts["metric"]))
    if best is None:
        if found.facts.get("baselines", True):
            return ["No simpler model could be fitted to these people."]
        return ["The study leaves simpler models out (baselines: false)."]
    own = signed_with_interval(best, "mean_difference")
    words = [
        "Simpler models of the same training rows; what they have to choose is chosen on the "
        f"validation rows, by {metric}, as networks are. The one to beat is the best of them "
        f"there: {best['model']}. Differences are of scores on the same resamples of the test "
        "rows.",
    ]
    if int(str(found.facts["networks"])) > 1:
        mean = {BETTER: "better", WORSE: "worse", UNDECIDED: "not shown to be better or worse"}
        words.append(
            f"The mean over all {found.facts['networks']} networks of the champion's configuration "
            f"is {mean[str(best['mean_verdict'])]}: a difference of {own}."
        )
    return words


def baseline_rows(found: Appraisal, record: StudyRecord) -> Rows | None:
    """The champion, the mean over its configuration's networks, and each baseline."""
    table = table_of(found, "baselines")
    if table.empty:
        return None
    metric = str(found.facts["metric"])
    shown = [name for name in _main_metrics(found) if f"test_{name}" in table]
    head = ["model", *(f"test {metric_words(name)}" for name in shown)]
    head += [f"champion − model, {metric_words(metric)}", "chosen on the validation rows"]
    rows = [
        [label, *(_score(found, model, name) for name in shown), "–", "–"]
        for label, model in _networks(found)
    ]
    best = found.facts.get("best_baseline")
    for i, row in enumerate(table.to_dict("records")):
        name = f"{row['model']} on {inputs_words(str(row['inputs']), record)}"
        name += " (best on the validation rows)" if i == best else ""
        if row["failure"]:
            rows.append([name, *["–"] * len(shown), "–", str(row["failure"])])
            continue
        texts = [with_interval(row, f"test_{m}", f"test_{m}_low", f"test_{m}_high") for m in shown]
        gap = signed_with_interval(row, "difference")
        rows.append([name, *texts, gap, str(row["chosen"])])
    return head, rows


def _main_metrics(found: Appraisal) -> list[str]:
    by_task = {
        "binary": ["auroc", "average_precision", "log_loss", "brier_score"],
        "multiclass": ["auroc", "log_loss", "balanced_accuracy", "brier_score"],
        "regression": ["r2", "mean_squared_error", "mean_absolute_error"],
    }
    own = str(found.facts["metric"])
    return list(dict.fromkeys([own, *by_task[str(found.facts["task"])]]))


def _networks(found: Appraisal) -> list[tuple[str, str]]:
    """(label, model) of the champion and, where there are several, of the mean over networks."""
    champion, several = str(found.facts["champion"]), int(str(found.facts["networks"])) > 1
    labels = [(f"champion, {champion}", champion)]
    return labels + ([(f"mean of {found.facts['networks']} networks", "all")] if several else [])


def _score(found: Appraisal, model: str, metric: str) -> str:
    table = table_of(found, "performance")
    row = table[(table["model"] == model) & (table["metric"] == metric)]
    return with_interval(row.iloc[0]) if len(row) else "–"


def score_rows(found: Appraisal) -> Rows | None:
    """Every score and calibration: the champion, and the mean ± sd over its configuration."""
    table = table_of(found, "performance")
    if table.empty:
        return None
    several = int(str(found.facts["networks"])) > 1
    head = ["on the test rows", "champion (95 % interval)"]
    head += [f"mean ± sd over {found.facts['networks']} networks"] if several else []
    rows = []
    order = [m for m in _main_metrics(found) if m in set(table["metric"])]
    for metric in dict.fromkeys([*order, *table["metric"]]):
        own = [metric_words(metric), _score(found, str(found.facts["champion"]), metric)]
        over = table[(table["model"] == "all") & (table["metric"] == metric)].iloc[0]
        mean = f"{number(over['value'])} ± {number(over['sd'])}"
        rows.append([*own, mean] if several else own)
    return head, rows


def _picture(found: Appraisal) -> Picture | None:
    plot = clinical_plots.on_test_rows(
        table_of(found, "calibration"),
        table_of(found, "decision_curve"),
        table_of(found, "risk"),
        str(found.facts["champion"]),
    )
    if plot is None:
        return None
    shown = clinical_plots.names_of(plot.grid[0])
    return Picture("test_rows", figures.picture(plot), shown, "", plot)


def _picture_words(found: Appraisal) -> list[str]:
    task = found.facts["task"]
    if task == "regression":
        return [
            "Calibration of the mean: points are tenths of the people by prediction, with the mean "
            "that was observed. The slope is that of the outcome on the prediction, 1 where "
            "predictions are neither too extreme nor too mild; mean error is observed − predicted. "
            "Decision curves and operating points are of outcomes that one has or has not."
        ]
    if task == "multiclass":
        return [
            "Calibration of each class against the rest. Decision curves and operating points need "
            "two outcomes: predict one class against the others to have them."
        ]
    words = [
        "Calibration: the smooth curve is a spline in the log-odds, of three knots, of five from "
        f"{calibration.FEWEST_FOR_FIVE} people of either outcome on, and with an interval from "
        f"{calibration.FEWEST_FOR_A_BAND} on; points are "
        "tenths of the people by risk, joined until each has five people of either outcome. The "
        "slope is below 1 where risks are too extreme, the intercept above 0 where they are too "
        "low."
    ]
    if len(table_of(found, "decision_curve")):
        words.append(
            "Decision curve: net benefit is the share of true positives minus that of false ones, "
            "weighted by the odds of the risk from which one treats (Vickers and Elkin 2006). It "
            "is drawn where five people or more of either outcome are on either side."
        )
    if len(table_of(found, "risk")):
        words.append("Risks by outcome: bins of fewer than five people are left out.")
    return words


def operating_rows(found: Appraisal) -> Rows | None:
    """A row a threshold."""
    table = table_of(found, "operating_points")
    if table.empty:
        return None
    names = {
        "sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV",
        "treated": "treated", "net_benefit": "net benefit",
    }  # fmt: skip
    rows = []
    for threshold, part in table.groupby("threshold", sort=False):
        by_measure = part.set_index("measure")
        hidden = bool(part["hidden"].iloc[0])
        texts = [masking.MASK if hidden else with_interval(by_measure.loc[name]) for name in names]
        rows.append([f"{threshold:g}", *texts])
    return ["risk from which one treats", *names.values()], rows


def _groups(found: Appraisal) -> tuple[tuple[str, Rows], ...]:
    table = table_of(found, "groups")
    if table.empty:
        return ()
    return tuple(
        (str(column), _group_rows(part, found))
        for column, part in table.groupby("column", sort=False)
    )


def _group_rows(part: pd.DataFrame, found: Appraisal) -> Rows:
    shown = [m for m in dict.fromkeys(part["metric"]) if m in _of_groups(found)]
    binary = found.facts["task"] == "binary"
    head = ["group", "rows", *(["cases"] if binary else []), *(metric_words(m) for m in shown)]
    rows = []
    for group, own in part.groupby("group", sort=False):
        by_metric = own.set_index("metric")
        texts = [str(group), *(_count(own.iloc[0][n]) for n in ("people", *["cases"] * binary))]
        texts += [with_interval(by_metric.loc[m]) if m in by_metric.index else "–" for m in shown]
        rows.append(texts)
    return head, rows


def _of_groups(found: Appraisal) -> list[str]:
    thresholds = _listed(found, "thresholds")
    middle = thresholds[len(thresholds) // 2] if thresholds else None
    at = [f"{name} at {middle:g}" for name in ("sensitivity", "specificity") if middle is not None]
    calibrated = ["calibration_intercept", "calibration_slope", "mean_error"]
    main = [m for m in _main_metrics(found) if m not in ("average_precision", "log_loss")]
    return [*main[:2], *calibrated, *at]


def _count(value: object) -> str:
    known = float(value)  # type: ignore[arg-type]
    return f"{known:,.0f}" if np.isfinite(known) else masking.MASK


def _groups_picture(found: Appraisal) -> Picture | None:
    table, metric = table_of(found, "groups"), str(found.facts["metric"])
    table = table[table["metric"] == metric]
    if table.empty:
        return None
    scores = table_of(found, "performance")
    whole = scores[scores["champion"].astype(bool) & (scores["metric"] == metric)].iloc[0]
    names = [f"{c}: {g}" for c, g in zip(table["column"], table["group"])]
    drawn = figures.forest(
        ["all test rows", *names],
        np.array([whole["value"], *table["value"]], float),
        np.array([whole["low"], *table["low"]], float),
        np.array([whole["high"], *table["high"]], float),
        f"test {metric_words(metric)} of the champion",
    )
    return Picture("groups", figures.png(drawn), f"test {metric_words(metric)} by group")


def people_rows(found: Appraisal) -> Rows | None:
    """Table 1."""
    table = table_of(found, "table_one")
    if table.empty:
        return None
    return [str(c) for c in table.columns], [[str(v) for v in row] for row in table.to_numpy()]


def group_rule() -> str:
    return (
        f"A group of fewer than {FEWEST_IN_GROUP} rows, or with fewer than five people of either "
        f"outcome, has no scores; one of fewer than {bootstrap.FEWEST_PEOPLE} people, or "
        f"{bootstrap.FEWEST_OF_A_CLASS} of either outcome, no intervals."
    )
