"""How good, honestly: what each way of saying it gives where the truth is known.

Tables of 200 people and 30 columns, of which nothing or one thing tells the outcome; 12
configurations are discriminants on 4 columns each. Chosen and scored as a study with resamples does
it. The table stands in docs/how-sure.md.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
from measure import HERE, as_markdown
from scipy.special import expit

from pipeline.data import Draws, ResampleDesign, draw_resamples
from pipeline.metrics import Scored, bias_corrected, metrics, nested, optimism_corrected

PEOPLE, COLUMNS, CONFIGURATIONS, TABLES, NEW_PEOPLE = 200, 30, 12, 200, 4_000
PAGE = HERE.parent / "docs/how-sure.md"
DESIGNS = (
    ResampleDesign("subsample", count=10),
    ResampleDesign("folds", folds=5, repeats=2),
    ResampleDesign("bootstrap", count=20),
)
EFFECT = {"noise": 0.0, "one column": 1.0}


def auroc(outcome: np.ndarray, score: np.ndarray) -> float:
    return float(metrics.auroc(outcome, score[None])[0])


def fitted(columns: np.ndarray, outcome: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least squares, which ranks people as a linear discriminant does."""
    x = columns - np.average(columns, axis=0, weights=weights)
    y = outcome - outcome.mean()
    return np.linalg.solve(x.T @ (weights[:, None] * x), x.T @ (weights * y))


def people(rng: np.random.Generator, count: int, effect: float) -> tuple[np.ndarray, np.ndarray]:
    columns = rng.normal(size=(count, COLUMNS))
    return columns, (rng.random(count) < expit(effect * columns[:, 0])).astype(int)


class Table:
    """One table, its single split and its configurations."""

    def __init__(self, number: int, effect: float, rows: int = PEOPLE):
        rng = np.random.default_rng(number)
        self.columns, self.outcome = people(rng, rows, effect)
        self.new_columns, self.new_outcome = people(rng, NEW_PEOPLE, effect)
        chosen = [rng.choice(COLUMNS, 4, replace=False) for _ in range(CONFIGURATIONS - 1)]
        self.chosen = [*chosen, np.arange(4)]
        split = ResampleDesign("folds", folds=4, repeats=1, seed=number)
        self.validation = draw_resamples(split, self.outcome, "binary").validation[0]

    def score(self, weights: np.ndarray, of_it: np.ndarray) -> tuple[np.ndarray, float]:
        """(n,) scores of everyone, and the AUROC on new people."""
        coefficients = fitted(self.columns[:, of_it], self.outcome, weights)
        new = self.new_columns[:, of_it] @ coefficients
        return self.columns[:, of_it] @ coefficients, auroc(self.new_outcome, new)

    def single_split(self) -> tuple[float, float, float]:
        """Of the configuration with the best validation score: that, the training score, and the
        AUROC on new people."""
        rows = self.validation
        scores = [self.score(1.0 - rows, of_it) for of_it in self.chosen]
        values = [auroc(self.outcome[rows], score[rows]) for score, _ in scores]
        best = int(np.argmax(values))
        score, truth = scores[best]
        return values[best], auroc(self.outcome[~rows], score[~rows]), truth

    def scored(self, draws: Draws) -> tuple[Scored, np.ndarray]:
        """(networks of all configurations on all draws, (M,) their AUROC on new people)."""
        labels, parts, predictions, truths = [], [], [], []
        for resample, weights in enumerate(draws.weights):
            for number, of_it in enumerate(self.chosen):
                score, truth = self.score(weights, of_it)
                labels.append((number, 0, resample))
                predictions.append(score[None])
                truths.append(truth)
                of_parts = draws.validation[resample], draws.left_out[resample]
                parts.append([auroc(self.outcome[rows], score[rows]) for rows in of_parts])
        columns = np.array(labels).T
        validation, left_out = np.array(parts).T
        scored = Scored(
            *columns, validation, left_out, np.array(predictions), draws.times, draws.validation,
            self.outcome, "binary", "auroc", True,
        )  # fmt: skip
        return scored, np.array(truths)


def _of_the_best(scored: Scored, truths: np.ndarray) -> float:
    """On new people, of the networks of the configuration with the best mean left-out score."""
    numbers = np.unique(scored.configuration)
    means = [scored.left_out[scored.configuration == number].mean() for number in numbers]
    return float(truths[scored.configuration == numbers[int(np.argmax(means))]].mean())


Found = dict[str, tuple[float, float | None, float | None, float]]
"""Estimate → its value, the ends of its interval or None where it has none, and the truth."""


def of_design(table: Table, design: ResampleDesign) -> Found:
    """What a study with these resamples says of the table, and what is true."""
    scored, truths = table.scored(draw_resamples(design, table.outcome, "binary"))
    chosen = []
    for resample in np.unique(scored.resample):
        within = np.flatnonzero(scored.resample == resample)
        chosen.append(truths[within[int(np.argmax(scored.validation[within]))]])
    luckiest, apparent, of_split = table.single_split()
    of = nested(scored)
    found: Found = {
        "luckiest on the validation rows of one split": (luckiest, None, None, of_split),
        "`nested`": (of.value, of.low, of.high, float(np.mean(chosen))),
    }
    if design.kind == "folds":
        of = bias_corrected(scored)
        found["`bias_corrected`"] = (of.value, of.low, of.high, _of_the_best(scored, truths))
    if design.kind == "bootstrap":
        of = optimism_corrected(scored, apparent, int((~table.validation).sum()))
        found["`apparent`"] = (apparent, None, None, of_split)
        found["`optimism_corrected`"] = (of.value, of.low, of.high, of_split)
    return found


def rows_of(design: ResampleDesign, about: str) -> list[dict]:
    """Mean of each estimate less the truth, and how often intervals hold it."""
    gathered: dict[str, list[tuple[float, bool | None]]] = {}
    for number in range(TABLES):
        found = of_design(Table(number, EFFECT[about]), replace(design, seed=number))
        for name, (value, low, high, truth) in found.items():
            held = None if low is None or high is None else bool(low <= truth <= high)
            gathered.setdefault(name, []).append((value - truth, held))
    rows = []
    for name, values in gathered.items():
        errors = np.array([error for error, _ in values])
        covered = [c for _, c in values if c is not None]
        rows.append({
            "tables": about, "resamples": design.kind, "estimate": name,
            "mean less truth": f"{errors.mean():+.3f} ± {errors.std(ddof=1) / TABLES**0.5:.3f}",
            "95 % interval holds it": f"{np.mean(covered):.0%}" if covered else "–",
        })  # fmt: skip
    return rows


def main() -> None:
    rows = [row for about in EFFECT for design in DESIGNS for row in rows_of(design, about)]
    words = (
        f"{TABLES} tables of {PEOPLE} people and {COLUMNS} columns each, {CONFIGURATIONS} "
        f"configurations; the truth is the AUROC of the networks spoken of on {NEW_PEOPLE:,} new "
        "people. "
        "± is the standard error of the mean.\n\n"
    )
    text = PAGE.read_text(encoding="utf-8")
    marked = r"(?s)(<!-- honest.py -->\n).*?(<!-- end honest.py -->)"
    table = words + as_markdown(pd.DataFrame(rows)) + "\n"
    PAGE.write_text(re.sub(marked, lambda m: m[1] + table + m[2], text), encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
