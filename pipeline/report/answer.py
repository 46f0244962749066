"""The answer of a study in three sentences: how good, which variables, does the seed decide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.inspection import (
    OPPOSED,
    TIPPING_ROLE,
    Focus,
    best_that_selects,
    opposed_share,
    row_spread,
)
from pipeline.report.honest import CROSS_VALIDATION, honest_sentence
from pipeline.report.other_people import OtherPeople, seed_or_people_sentence, which_sentence
from pipeline.results import StudyRecord
from pipeline.words import family_words, listed, metric_words


def configuration_words(focus: Focus) -> str:
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
    families = [f"{_mean_of(means[f], totals[f])} {family_words(f, record)}" for f in means]
    table = focus.frequencies
    always = [str(v) for v in table.loc[table.get("share_best", 0) == 1, "variable"]]
    tail = f"; every seed keeps {listed(always)}" if always else "; no variable is kept by all"
    if always and len(always) == len(table):
        tail = f"; every seed keeps all {len(table)} that have a name"
    if len(table) == 0:
        tail = ""
    if all(means[f] == totals[f] for f in means):
        return f"{subject} keeps every variable at its best epoch, whatever the seed."
    return f"{subject} keeps {listed(families)} variables on average at its best epoch{tail}."


def _mean_of(mean: float, total: int) -> str:
    return f"all {total:,}" if mean == total else f"{mean:,.1f} of {total:,}"


def _seed_sentence(
    best: Focus, tipping: Focus | None, seeds: int, several: bool, first: bool
) -> str:
    """Whether the seed decides; `first` where no other sentence stands before."""
    if seeds < 2:
        return "With a single seed finished, nothing can be said about how the seed matters."
    if tipping is None and several:
        return (
            "The seed does not decide which family is needed: of the configurations that see "
            "several, each ends with the same families from all seeds."
        )
    if tipping is None:
        return "The seed does not decide: in every configuration all seeds end in one solution."
    ends = [f"{len(s.networks)} of {s.of_networks} seeds end with {s.label}" for s in tipping.last]
    start = "The seed decides"
    if len(best.last) == 1 and not first:
        label = best.last[0].label
        start = f"All seeds of the best configuration end with {label}, but the seed decides"
    same = tipping.number == best.number and not first
    where = "there" if same else f"at {configuration_words(tipping)}"
    bits = "" if len(tipping.last) == 1 else f" ({tipping.entropy_bits:.2f} bits)"
    return f"{start} {where}: {listed(ends, 4)}{bits}."


def answer_of(
    focus: Sequence[Focus],
    table: pd.DataFrame,
    record: StudyRecord,
    people: OtherPeople | None = None,
) -> tuple[str, ...]:
    """Three sentences: how good, which variables, and whether the seed decides; that one first
    where seeds contradict each other, or where the study asks for it.

    Of a study with resamples: which variables whoever was in the table, seed or people, how good.
    """
    if not focus:
        total = int(table["networks"].sum()) if len(table) else 0
        has = f"None of the {total} networks has a {metric_words(record.objective)}"
        words = has if total else "No network was trained"
        return (f"{words}, so there is no answer yet.",)
    best = focus[0]
    row = table.set_index("configuration").loc[best.number]
    metric = record.objective.removeprefix("val_")
    test, val = row_spread(row, f"test_{metric}"), row_spread(row, record.objective)
    reached = f"a validation {metric_words(metric)} of {val.text}"
    if not np.isnan(test.mean):
        reached = f"a test {metric_words(metric)} of {test.text}"
    seeds = f"{val.networks} seed" + ("s" if val.networks != 1 else "")
    how_good = (
        f"By mean {metric_words(record.objective)} the best is {configuration_words(best)}: "
        f"{reached} over {seeds}."
    )
    if people is not None:
        honest = honest_sentence(people.tables.get(CROSS_VALIDATION), record)
        return which_sentence(people), seed_or_people_sentence(people), honest or how_good
    sparse = best_that_selects(focus, table, record.maximize)
    if best.selects or sparse is None:
        which = _kept_sentence(best, record, "It")
    else:
        which = "It zeroes no variable; " + _kept_sentence(
            sparse, record, f"the best that does, {configuration_words(sparse)},"
        )
    tipping = next((f for f in focus if TIPPING_ROLE in f.roles), None)
    most_seeds = int(table["finished"].max())
    several = bool((table["families"] > 1).any())
    opposed = tipping is not None and opposed_share(tipping.last) >= OPPOSED
    first = opposed or record.objectives == ("solution_entropy",)
    decides = _seed_sentence(best, tipping, most_seeds, several, first)
    if first:
        return decides, how_good, which
    return how_good, which, decides
