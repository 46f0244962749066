"""The TRIPOD+AI checklist, filled in from a study's record as far as it goes.

Collins and others, BMJ 385:e078378 (2024): 27 items, 52 with their parts. What each asks is said
here in our own short words; the number finds the item in the statement. What only the authors know
stays open, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.appraisal_words import baseline_sentence
from pipeline.report.summary import Summary, all_families
from pipeline.words import MLFLOW_RUN, listed, metric_words

DONE, PART, OPEN = "from the study", "in part", "open"

Filled = tuple[str, str]
"""(DONE or PART, what the record says)."""


@dataclass(frozen=True)
class Item:
    """An item of the checklist: its number, its section, what it asks, and what the study says."""

    number: str
    section: str
    asks: str
    status: str
    says: str


class _Record:
    """What the items are filled in from."""

    def __init__(self, summary: Summary):
        self.summary, self.record = summary, summary.record
        self.facts: Mapping[str, Any] = summary.record.facts
        self.settings: Mapping[str, Any] = summary.record.settings
        found = summary.results.appraisal
        self.appraised: Mapping[str, Any] = found.facts if found else {}
        self.tables = found.tables if found else {}

    def rows(self, part: str) -> str:
        """`2,544 (386 cases)` of a part of the split."""
        rows = self.facts.get(f"rows_{part}", self.facts.get(f"{part}_rows"))
        if rows is None:
            return "–"
        cases = self.facts.get(f"cases_{part}")
        return f"{int(rows):,}" + (f" ({int(cases):,} cases)" if cases is not None else "")

    def has(self, table: str) -> bool:
        return bool(len(self.tables.get(table, ())))


def _title(r: _Record) -> Filled:
    return PART, f"Development of a model of {r.record.target} with internal validation."


def _objectives(r: _Record) -> Filled:
    asked = r.record.question or r.record.study
    return DONE, f"{asked} Development, and evaluation on rows that were held out."


def _source(r: _Record) -> Filled:
    sha = str(r.facts.get("data_sha256", ""))[:12]
    genes = "" if r.record.genotypes == "none" else f" Genotypes: {r.record.genotypes}."
    where = r.facts.get("data", "")
    return PART, f"The table {where}, SHA-256 {sha}…; development and evaluation from it.{genes}"


def _preparation(r: _Record) -> Filled:
    warned = f" Notes: {'; '.join(r.record.warnings[:6])}." if r.record.warnings else ""
    return PART, (
        "Missing values are imputed with an indicator, quantities standardized, categories one "
        f"column a level, rare levels joined; all of it from the training rows.{warned}"
    )


def _outcome(r: _Record) -> Filled:
    return PART, f"{r.record.target}, as a {r.facts.get('task', 'binary')} outcome."


def _predictors(r: _Record) -> Filled:
    dropped = list(r.settings.get("drop", ()))
    left_out = f" Left out by the study: {listed(dropped, 12)}." if dropped else ""
    families = ", ".join(all_families(r.summary.configurations))
    variables = f"{r.facts['variables']} variables" if "variables" in r.facts else "All variables"
    return PART, f"{variables} of the families {families}, without selection beforehand.{left_out}"


def _defined(r: _Record) -> Filled | None:
    if not r.record.columns:
        return None
    return PART, f"How each of {len(r.record.columns)} columns was read is in the report."


def _size(r: _Record) -> Filled:
    return PART, f"All rows of the table: training {r.rows('train')}, validation " + (
        f"{r.rows('validation')}, test {r.rows('test')}. No size was calculated beforehand."
    )


def _missing(r: _Record) -> Filled:
    return DONE, (
        "Missing values of predictors: the training median, or a level of its own, each with an "
        "indicator where training rows have missing ones. The outcome must be known in every row."
    )


def _partition(r: _Record) -> Filled:
    split = r.settings.get("split", {})
    seed = f", seed {split['seed']}" if isinstance(split, Mapping) and "seed" in split else ""
    by = " All rows of a person are in one part." if "people" in r.facts else ""
    return DONE, (
        f"Split at random, stratified by outcome{seed}: training rows fit, validation rows choose "
        f"epoch and configuration, test rows had no say in any choice.{by}"
    )


def _handled(r: _Record) -> Filled:
    return DONE, (
        "Quantities (x − μ)/σ of the training rows, categories one column a level, no "
        "interactions by hand: the hidden units make them."
    )


def _model(r: _Record) -> Filled:
    space = r.settings.get("space", {})
    kinds = space.get("regularizer", []) if isinstance(space, Mapping) else []
    seeds = r.settings.get("seeds", ())
    count = f", {len(seeds)} seeds each" if seeds else ""
    tuned = r.settings.get("configurations", len(r.summary.configurations))
    return DONE, (
        f"Neural networks with a penalized first layer ({listed([str(k) for k in kinds], 8)}); "
        f"{tuned} configurations by {r.settings.get('sampler', 'qmc')}{count}, compared by the "
        f"mean {metric_words(r.record.objective)} over seeds."
    )


def _measures(r: _Record) -> Filled:
    asked = [metric_words(m) for m in r.summary.metrics]
    extra = {
        "calibration": "calibration (curve, intercept, slope)",
        "decision_curve": "decision curve", "operating_points": "operating points",
        "baselines": "differences from simpler models on the same resamples",
    }  # fmt: skip
    more = [words for name, words in extra.items() if r.has(name)]
    return DONE, f"{listed([*asked, *more], 20)}; 95 % intervals over 500 resamples of test rows."


def _updating(r: _Record) -> Filled:
    return DONE, "None."


def _calculated(r: _Record) -> Filled:
    return DONE, (
        "By the forward pass of the kept model; code and preprocessing are in it, and "
        f"{MLFLOW_RUN} -e predict applies it."
    )


def _imbalance(r: _Record) -> Filled:
    stated = r.facts.get("class_weight")
    if stated:
        return PART, f"Class weights in the loss: {stated}. Risks were not recalibrated."
    return DONE, "None: classes are not weighted or resampled."


def _fairness(r: _Record) -> Filled | None:
    by = r.appraised.get("report_by") or []
    if not by:
        return None
    return PART, f"No method beyond looking: the champion's scores are reported by {listed(by)}."


def _output(r: _Record) -> Filled:
    if r.facts.get("task", "binary") == "regression":
        return DONE, f"The expected {r.record.target}."
    at = r.appraised.get("thresholds") or []
    given = "the study's" if r.appraised.get("thresholds_given") else "half, once and twice the "
    given += "" if r.appraised.get("thresholds_given") else "share of cases in training"
    words = f" Classes are reported at {listed([f'{t:g}' for t in at])} ({given})." if at else ""
    return PART if at else DONE, f"Probabilities.{words}"


def _differences(r: _Record) -> Filled:
    return DONE, "None by design: one table, split at random."


def _sharing(r: _Record) -> Filled:
    return PART, "The table stays where it is; results, weights and aggregates are in the run."


def _code(r: _Record) -> Filled:
    made = [f"{k.replace('_', ' ')} {v}" for k, v in r.facts.items() if k in ("git_commit",)]
    command = r.record.command if r.record.command else "the study file"
    return PART, f"Lariat, {command}" + (f"; {made[0]}." if made else ".")


def _flow(r: _Record) -> Filled:
    return PART, f"Rows by part: training {r.rows('train')}, validation " + (
        f"{r.rows('validation')}, test {r.rows('test')}."
    )


def _characteristics(r: _Record) -> Filled | None:
    return (PART, "Table 1 of the report, with missing values.") if r.has("table_one") else None


def _compared(r: _Record) -> Filled | None:
    if not r.has("table_one"):
        return None
    return DONE, "Table 1 has training, validation and test rows beside each other."


def _specification(r: _Record) -> Filled:
    champion = r.appraised.get("champion", "the champion")
    place = r.record.place or r.record.study
    return DONE, f"All weights of {champion} with preprocessing and code: lariat-{place}, champion."


def _performance(r: _Record) -> Filled | None:
    if not r.has("performance"):
        return None
    table, metric = r.tables["performance"], r.appraised["metric"]
    own = table[table["champion"].astype(bool) & (table["metric"] == metric)].iloc[0]
    by = r.appraised.get("report_by") or []
    groups = f", and by {listed(by)}" if by else "; no groups are reported (report_by)"
    return DONE if by else PART, (
        f"Test {metric_words(str(metric))} {own['value']:.3f} ({own['low']:.3f} to "
        f"{own['high']:.3f}); calibration and all other scores are in the report{groups}."
    )


def _interpretation(r: _Record) -> Filled | None:
    said = baseline_sentence(r.summary.results)
    return (PART, said) if said else None


def _limitations(r: _Record) -> Filled | None:
    if not r.summary.flags:
        return PART, "One table and one split; no external validation."
    return PART, "One table and one split; no external validation. " + " ".join(r.summary.flags[:4])


def _poor_input(r: _Record) -> Filled:
    return DONE, (
        "Values that do not fit their column are refused with the row; missing ones are imputed "
        "as in training, unknown levels count as rare ones."
    )


def _registered(r: _Record) -> Filled:
    return PART, "A table of the same columns and one command; no interaction."


_Filler = Callable[[_Record], Filled | None]
ITEMS: tuple[tuple[str, str, str, _Filler | None], ...] = (
    ("1", "Title", "names development or evaluation, target population and outcome", _title),
    ("2", "Abstract", "follows the checklist for abstracts", None),
    ("3a", "Background", "the clinical question, and which models there are already", None),
    ("3b", "Background", "for whom the model is, in which care, by whom it would be used", None),
    ("3c", "Background", "known inequalities of health between groups of people", None),
    ("4", "Objectives", "what the study sets out to do: develop, evaluate or both", _objectives),
    ("5a", "Data", "where the data come from, and whom they stand for", _source),
    ("5b", "Data", "from when to when people were recruited and followed", None),
    ("6a", "Participants", "the setting, and the centers with their places", None),
    ("6b", "Participants", "who was eligible", None),
    ("6c", "Participants", "treatments received, and how they were dealt with", None),
    ("7", "Data preparation", "processing and checks of quality, alike for all groups",
     _preparation),
    ("8a", "Outcome", "what is predicted, over which time, how and when it was assessed", _outcome),
    ("8b", "Outcome", "who assessed it, where it takes judgement", None),
    ("8c", "Outcome", "whether its assessment was blind to predictors", None),
    ("9a", "Predictors", "which were considered and why, and what was selected beforehand",
     _predictors),
    ("9b", "Predictors", "what each is, how and when it was measured", _defined),
    ("9c", "Predictors", "who measured them, where it takes judgement", None),
    ("10", "Sample size", "how the size came about, and why it is enough", _size),
    ("11", "Missing data", "how missing values were handled, and what was left out", _missing),
    ("12a", "Analysis", "how the data were used for development and evaluation", _partition),
    ("12b", "Analysis", "how predictors enter: form, scale, transformation", _handled),
    ("12c", "Analysis", "kind of model, how it was built and tuned, internal validation", _model),
    ("12d", "Analysis", "differences between clusters, such as hospitals", None),
    ("12e", "Analysis", "measures and plots of performance, and comparisons", _measures),
    ("12f", "Analysis", "updating of the model after evaluation", _updating),
    ("12g", "Analysis", "how predictions are calculated", _calculated),
    ("13", "Class imbalance", "whether and why it was handled; recalibration after", _imbalance),
    ("14", "Fairness", "what was done for fairness between groups, and why", _fairness),
    ("15", "Output", "what the model gives; thresholds and where they are from", _output),
    ("16", "Training and evaluation", "how the two sets of data differ", _differences),
    ("17", "Ethics", "approval, and consent or its waiver", None),
    ("18a", "Open science", "funding, and what the funders had to do with it", None),
    ("18b", "Open science", "conflicts of interest", None),
    ("18c", "Open science", "where the protocol is, or that there is none", None),
    ("18d", "Open science", "registration, or that there is none", None),
    ("18e", "Open science", "whether and how the data can be had", _sharing),
    ("18f", "Open science", "whether and how the code can be had", _code),
    ("19", "Public involvement", "patients and public in the study, or that there were none", None),
    ("20a", "Participants", "the flow of people, with and without the outcome", _flow),
    ("20b", "Participants", "what people are like, by source and group, and what is missing",
     _characteristics),
    ("20c", "Participants", "people of evaluation beside those of development", _compared),
    ("21", "Model development", "people and outcomes in each analysis", _flow),
    ("22", "Model specification", "all that others need to predict and to evaluate",
     _specification),
    ("23a", "Performance", "estimates with intervals, for key groups too", _performance),
    ("23b", "Performance", "differences between clusters", None),
    ("24", "Model updating", "results of any updating", _updating),
    ("25", "Interpretation", "what the results mean, fairness too, beside earlier studies",
     _interpretation),
    ("26", "Limitations", "what limits the study, and what that does to bias and generality",
     _limitations),
    ("27a", "Usability", "what to do with poor or missing input when the model is used",
     _poor_input),
    ("27b", "Usability", "whether users must interact, and what they must know", _registered),
    ("27c", "Usability", "what research comes next, for generality above all", None),
)  # fmt: skip
"""(number, section, what it asks, what fills it in)."""


def checklist(summary: Summary) -> tuple[Item, ...]:
    """The items in order; what the study does not know is open."""
    record, items = _Record(summary), []
    for number, section, asks, fill in ITEMS:
        status, says = (fill(record) if fill else None) or (OPEN, "")
        items.append(Item(number, section, asks, status, says))
    return tuple(items)


def counts(items: tuple[Item, ...]) -> str:
    """`20 items are filled in from the study, 15 in part, 17 are open`."""
    of = {status: sum(i.status == status for i in items) for status in (DONE, PART, OPEN)}
    return (
        f"Of {len(items)} items {of[DONE]} are filled in from the study, {of[PART]} in part, and "
        f"{of[OPEN]} are open: only the authors know them."
    )
