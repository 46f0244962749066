"""More of the intervals that reports print, each as a report makes it, on people of known truth.

Of `interval_coverage.py`: scores of classes and of quantities, of people with several rows, the
mean over networks, parts of the people, bands of calibration and of decision curves, and scores on
resamples. Where the truth is another one in every sample, ends are given less the truth.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pipeline.appraisal.comparison import difference
from pipeline.appraisal.groups import Grouping, groups_table
from pipeline.appraisal.performance import calibration_table, decision_table, scores_table
from pipeline.appraisal.subject import Predicted, TestRows, measured

PAGE_ROWS = 200_000  # of a population from which truths are taken
Ends = tuple[float, float]
Intervals = Callable[[np.random.Generator], Mapping[str, Ends]]
People = Callable[[np.random.Generator, int], tuple[TestRows, np.ndarray]]
"""So many test rows, and the predictions (o, n) for them."""


@dataclass(frozen=True)
class Case:
    """One table of people or networks, again and again: `draw` gives the intervals of a sample."""

    what: str
    size: str
    truth: Mapping[str, float]
    draw: Intervals


def of_classes(rng: np.random.Generator, rows: int) -> tuple[TestRows, np.ndarray]:
    """Three classes, of which a normal score each tells as much as it can."""
    shares, apart = np.array([0.5, 0.3, 0.2]), 1.2
    y = rng.choice(3, rows, p=shares)
    score = rng.normal(size=(rows, 3)) + apart * np.eye(3)[y]
    return TestRows(y, "multiclass", ("a", "b", "c")), (apart * score + np.log(shares)).T


def of_quantities(rng: np.random.Generator, rows: int) -> tuple[TestRows, np.ndarray]:
    """A quantity with half its variance explained, errors of long tails, predicted too far out."""
    f = rng.normal(size=rows)
    error = rng.standard_t(6, rows) / np.sqrt(1.5)
    return TestRows(f + error, "regression"), (0.2 + 1.2 * f)[None]


def with_several_rows(rng: np.random.Generator, rows: int) -> tuple[TestRows, np.ndarray]:
    """People of one to five rows, whose outcomes go together more than what is known of them says:
    `rows` is the number of people."""
    people = np.repeat(np.arange(rows), rng.integers(1, 6, rows))
    own, z = rng.normal(size=rows)[people], rng.normal(size=rows)[people]
    z = -1.2 + 0.8 * z + 0.5 * rng.normal(size=len(people))
    y = (rng.random(len(people)) < expit(z + 1.5 * own)).astype(int)
    return TestRows(y, "binary", ("0", "1"), people), z[None]


def as_measured(what: str, size: str, people: People, rows: int) -> Case:
    """Every score and measure of calibration that a report prints of one model."""
    sample, raw = people(np.random.default_rng(5), PAGE_ROWS // (4 if "people" in size else 1))
    # Once is enough for the truth: without resamples.
    sample.__dict__["times"] = sample.once[:, :0]
    truth = {name: m.value for name, m in measured(sample, Predicted("", raw)).items()}

    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        drawn, raw = people(rng, rows)
        return {n: m.interval for n, m in measured(drawn, Predicted("", raw)).items()}

    return Case(what, size, truth, draw)


def measured_cases() -> Iterator[Case]:
    """Classes, quantities, people with several rows."""
    for rows in (60, 100, 200, 850):
        yield as_measured("score of three classes", f"{rows} rows", of_classes, rows)
    for rows in (60, 100, 300):
        what = "score and calibration of a quantity, long tails"
        yield as_measured(what, f"{rows} rows", of_quantities, rows)
    for rows in (60, 100, 200, 500):
        what = "people with one to five rows"
        yield as_measured(what, f"{rows} people", with_several_rows, rows)


NETWORKS = 5


def _networks(rng: np.random.Generator, rows: int) -> tuple[TestRows, list[Predicted], Predicted]:
    """Networks that differ by their seed, and a simpler model, on the same rows."""
    z = rng.normal(-1.2, 1.1, rows)
    y = (rng.random(rows) < expit(z)).astype(int)
    networks = [Predicted(str(i), (z + 0.5 * rng.normal(size=rows))[None]) for i in range(NETWORKS)]
    return TestRows(y, "binary", ("0", "1")), networks, Predicted("", (0.5 * z + 1)[None])


def network_cases() -> Iterator[Case]:
    """Of networks of a configuration: their mean score, and its difference from a baseline's."""
    sample, networks, baseline = _networks(np.random.default_rng(6), PAGE_ROWS)
    sample.__dict__["times"] = sample.once[:, :0]
    names = ("auroc", "log_loss")
    of_each = [measured(sample, network) for network in networks]
    other = measured(sample, baseline)
    truth = {f"mean {n}": float(np.mean([m[n].value for m in of_each])) for n in names}
    truth |= {f"{n} less the baseline's": truth[f"mean {n}"] - other[n].value for n in names}

    def of_size(rows: int) -> Intervals:
        def draw(rng: np.random.Generator) -> dict[str, Ends]:
            sample, networks, baseline = _networks(rng, rows)
            each = {network.name: measured(sample, network) for network in networks}
            table = scores_table(each, {}, "0")
            mean = table[table["model"] == "all"].set_index("metric")
            found = {f"mean {n}": (mean.loc[n, "low"], mean.loc[n, "high"]) for n in names}
            other = measured(sample, baseline)
            for n in names:
                own = [m[n] for m in each.values()]
                ends = difference(own, other[n])[1:] if own[0].resampled.size else (np.nan, np.nan)
                found[f"{n} less the baseline's"] = ends
            return found

        return draw

    for rows in (100, 200, 850):
        yield Case(f"mean of {NETWORKS} networks", f"{rows} rows", truth, of_size(rows))


def _in_groups(rng: np.random.Generator, rows: int, share: float, size: float):
    """Rows of whom a share is in a group in which risks are higher and told apart less."""
    inside = rng.random(rows) < size
    z = np.where(inside, rng.normal(logit(share), 0.8, rows), rng.normal(-1.5, 1.3, rows))
    y = (rng.random(rows) < expit(z)).astype(int)
    return TestRows(y, "binary", ("0", "1")), Predicted("", (1.2 * z)[None]), inside


def group_cases() -> Iterator[Case]:
    """Scores, calibration and operating points of a part of the test rows."""

    def table(sample, predicted, inside) -> pd.DataFrame:
        grouping = Grouping("sex", ("out", "in"), inside.astype(int))
        found = groups_table(sample, predicted, [grouping], [0.2])
        return found[(found["group"] == "in") & (found["metric"] != "")].set_index("metric")

    for share in (0.2, 0.5):
        whole = _in_groups(np.random.default_rng(7), PAGE_ROWS, share, 1.0)
        whole[0].__dict__["times"] = whole[0].once[:, :0]
        truth = table(*whole)["value"].to_dict()
        for members in (30, 80, 150, 400):

            def draw(rng, share=share, members=members, known=frozenset(truth)):
                found = table(*_in_groups(rng, 850, share, members / 850))
                return {n: (row["low"], row["high"]) for n, row in found.iterrows() if n in known}

            size = f"about {members} of 850 rows, {share:.0%} cases"
            yield Case("part of the people", size, truth, draw)


SHAPES = {"straight": lambda q: 0.1 + 0.8 * q, "bent": lambda q: 0.2 + q + 0.15 * q**2}
"""True log-odds of predicted ones."""

ALONG = {"lower end": 0, "lower quarter": 10, "middle": 20, "upper quarter": 30, "upper end": 40}
"""Of the 41 points of a calibration curve."""


def curve_cases() -> Iterator[Case]:
    """The band around the calibration curve, point by point."""
    for shape, of in SHAPES.items():
        for center, name in ((-1.8, "few cases"), (0.0, "half cases")):
            for rows in (100, 200, 400, 850, 3000):

                def draw(rng: np.random.Generator, of=of, center=center, rows=rows):
                    q = rng.normal(center, 1.1, rows)
                    sample = TestRows((rng.random(rows) < expit(of(q))).astype(int), "binary")
                    model = Predicted("", q[None])
                    table = calibration_table(sample, [model], model)
                    points = table[table["kind"] == "curve"].reset_index(drop=True)
                    if len(points) < 41:
                        return {}
                    truth = expit(of(logit(points["predicted"])))
                    low, high = points["low"] - truth, points["high"] - truth
                    return {name: (low[i], high[i]) for name, i in ALONG.items()}

                size = f"{rows} rows, {name}, {shape}"
                yield Case("band of the calibration curve", size, dict.fromkeys(ALONG, 0.0), draw)


THRESHOLDS = (0.05, 0.1, 0.2, 0.4)


def decision_cases() -> Iterator[Case]:
    """The bands of decision curves, of the champion and of treating all, at some thresholds."""

    def people(rng: np.random.Generator, rows: int):
        z = rng.normal(-1.8, 1.1, rows)
        sample = TestRows((rng.random(rows) < expit(z)).astype(int), "binary")
        return sample, Predicted("network", (1.2 * z)[None])

    def at(table: pd.DataFrame, column: str) -> dict[str, float]:
        found = {}
        for model, name in (("network", "network"), ("treat all", "all")):
            own = table[table["model"] == model].set_index("threshold")[column]
            found |= {f"{name} at {t:g}": own[t] for t in THRESHOLDS if t in own.index}
        return found

    sample, model = people(np.random.default_rng(8), PAGE_ROWS)
    sample.__dict__["times"] = sample.once[:, :1]
    truth = at(decision_table(sample, [model], model), "net_benefit")
    for rows in (200, 850):

        def draw(rng: np.random.Generator, rows=rows) -> dict[str, Ends]:
            sample, model = people(rng, rows)
            table = decision_table(sample, [model], model)
            low, high = at(table, "low"), at(table, "high")
            return {name: (low[name], high[name]) for name in low}

        yield Case("band of the decision curve", f"{rows} rows, 20% cases", truth, draw)


def mean_cases() -> Iterator[Case]:
    """The observed mean of a tenth of the people, of a quantity; given less the predicted one."""
    for rows in (60, 200, 850):

        def draw(rng: np.random.Generator, rows=rows) -> dict[str, Ends]:
            f = rng.normal(size=rows)
            error = rng.standard_t(6, rows)
            model = Predicted("", f[None])
            bins = calibration_table(TestRows(f + error, "regression"), [model], model)
            ends = bins[["low", "high"]].to_numpy() - bins[["predicted"]].to_numpy()
            return {"lowest tenth": tuple(ends[0]), "middle tenth": tuple(ends[len(ends) // 2])}

        truth = {"lowest tenth": 0.0, "middle tenth": 0.0}
        yield Case("observed mean of a tenth, a quantity", f"{rows} rows", truth, draw)


def resample_cases() -> Iterator[Case]:
    """Scores on resamples, of twelve discriminants on tables in which one column tells much, little
    or nothing; the truth is theirs on new people (honest.py)."""
    from honest import DESIGNS, Table, of_design

    for people in (100, 200, 500):
        for effect, name in ((0.0, "noise"), (0.4, "a little"), (1.0, "one column")):
            for design in DESIGNS:

                def draw(rng, people=people, effect=effect, design=design) -> dict[str, Ends]:
                    number = int(rng.integers(2**31))
                    table = Table(number, effect, people)
                    found = of_design(table, replace(design, seed=number))
                    return {
                        name.strip("`"): (low - truth, high - truth)
                        for name, (_, low, high, truth) in found.items()
                        if low is not None
                    }

                names = {"subsample": (), "folds": ("bias_corrected",)}
                more = names.get(design.kind, ("optimism_corrected",))
                size = f"{people} people, {name}, {design.kind}"
                truth = dict.fromkeys(("nested", *more), 0.0)
                yield Case("scores on resamples", size, truth, draw)


SECTIONS = {
    "measured": measured_cases, "networks": network_cases, "groups": group_cases,
    "curves": curve_cases, "decision_curves": decision_cases, "means": mean_cases,
    "resamples": resample_cases,
}  # fmt: skip
