"""What the 95 % intervals of reports cover, by simulation: how often the true value lies within.

    python benchmarks/interval_coverage.py --repeats 200

writes docs/coverage.md, and a summary into benchmarks/README.md. Populations are such that the
truth is known: risks are the true ones, two normal distributions apart; what networks keep is a
threshold on normal effects of seed and people; `interval_cases.py` has the others.
An interval is meant to cover 90 to 97 % at every size at which it is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import interval_cases
import numpy as np
import pandas as pd
from interval_cases import PAGE_ROWS, Case, Ends, Intervals
from scipy.special import expit, logit
from scipy.stats import multivariate_normal, norm

from pipeline.inspection.stability import selection_stability
from pipeline.metrics import bootstrap, calibration, decisions, masking, metrics
from pipeline.metrics.honest import FEWEST_SAMPLES
from pipeline.people import share_intervals
from pipeline.people.components import (
    FEWEST_RESAMPLES,
    FEWEST_SEEDS,
    FEWEST_SEEDS_OF_PREDICTIONS,
    PARTS,
)

OUTPUT = Path(__file__).resolve().parent.parent / "docs" / "coverage.md"
LEAST, MOST = 0.90, 0.97
FEWEST_PRINTED = 0.2  # of samples: of fewer, those that are printed are no fair sample


def risks(rng: np.random.Generator, rows: int, share: float, apart: float):
    """(outcome, log-odds): the scores of cases and others are normal, `apart` deviations apart."""
    y = (rng.random(rows) < share).astype(int)
    score = rng.normal(size=rows) + apart * y
    return y, apart * score - apart**2 / 2 + logit(share)


def score_cases() -> Iterator[Case]:
    """Scores of a network on its test rows."""
    for share in (0.15, 0.5):
        for apart in (0.75, 1.5):
            rng = np.random.default_rng(1)
            y, z = risks(rng, PAGE_ROWS, share, apart)
            names = ("auroc", "average_precision", "accuracy", "log_loss")
            truth = {m: float(metrics.score(m, y, z[None, None], "binary")[0]) for m in names}
            for rows in (60, 100, 200, 850):
                yield Case(
                    "score of two classes", f"{rows} rows, {share:.0%} cases, AUROC "
                    f"{norm.cdf(apart / 2**0.5):.2f}", truth, _scores(rows, share, apart, names),
                )  # fmt: skip
    for rows in (60, 100, 300):
        yield Case("score of a quantity", f"{rows} rows",
                   {"r2": 0.5, "mean_squared_error": 1.0,
                    "mean_absolute_error": float(np.sqrt(2 / np.pi))},
                   _quantities(rows))  # fmt: skip


def _scores(rows: int, share: float, apart: float, names: tuple[str, ...]) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        y, z = risks(rng, rows, share, apart)
        times = bootstrap.resamples_for(y, "binary")
        return {
            m: bootstrap.interval([bootstrap.resampled(m, y, z[None], "binary", times)])
            for m in names
        }

    return draw


def _quantities(rows: int) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        f = rng.normal(size=rows)
        y = f + rng.normal(size=rows)
        times = bootstrap.resamples_for(y, "regression")
        return {
            m: bootstrap.interval([bootstrap.resampled(m, y, f[None], "regression", times)])
            for m in ("r2", "mean_squared_error", "mean_absolute_error")
        }

    return draw


def difference_cases() -> Iterator[Case]:
    """The network's AUROC minus that of a simpler model, on the same rows."""
    for share in (0.15, 0.5):
        rng = np.random.default_rng(2)
        y, z = risks(rng, PAGE_ROWS, share, 1.0)
        worse = z + rng.normal(size=len(z))
        own, other = (metrics.score("auroc", y, s[None, None], "binary")[0] for s in (z, worse))
        for rows in (100, 200, 850):
            yield Case("difference of two models", f"{rows} rows, {share:.0%} cases",
                       {"AUROC": float(own - other)}, _difference(rows, share))  # fmt: skip


def _difference(rows: int, share: float) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        y, z = risks(rng, rows, share, 1.0)
        times = bootstrap.resamples_for(y, "binary")
        own, other = (
            bootstrap.resampled("auroc", y, s[None], "binary", times)
            for s in (z, z + rng.normal(size=rows))
        )
        return {"AUROC": bootstrap.interval([own - other])}

    return draw


def calibration_cases() -> Iterator[Case]:
    """Calibration and what follows from a threshold, of a model that is too extreme (slope 0.8)."""
    for share in (0.15, 0.5):
        rng = np.random.default_rng(3)
        y, z = risks(rng, PAGE_ROWS, share, 1.2)
        truth = {k: float(v[0]) for k, v in _calibrated(y, z, calibration.once(len(y))).items()}
        for rows in (100, 200, 850):
            size = f"{rows} rows, {share:.0%} cases"
            yield Case("calibration and decisions", size, truth, _calibration(rows, share))


def _calibrated(y: np.ndarray, z: np.ndarray, times: np.ndarray) -> dict[str, np.ndarray]:
    seen, at = 1.25 * z - 0.1, np.array([0.2])
    found = dict(calibration.of_risks(y, seen, times))
    fourfold = decisions.fourfold(y, expit(seen), at, times)
    measures = {"net benefit": fourfold.net_benefit()[:, 0]}
    measures |= {name: values[:, 0] for name, values in fourfold.measures().items()}
    once = decisions.fourfold(y, expit(seen), at, calibration.once(len(y)))
    shown = once.smallest[0, 0] >= masking.FEWEST  # as reports show them
    for name in ("net benefit", "sensitivity", "specificity", "ppv", "npv", "treated"):
        found[f"{name} at 0.2"] = measures[name] if shown else np.empty(0)
    return found


def _calibration(rows: int, share: float) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        y, z = risks(rng, rows, share, 1.2)
        times = bootstrap.resamples_for(y, "binary")
        return {k: bootstrap.interval([v]) for k, v in _calibrated(y, z, times).items()}

    return draw


def tenth_cases() -> Iterator[Case]:
    """The observed share of a group of people by predicted risk, as calibration draws it."""
    for rows, share in ((20, 0.3), (85, 0.06), (85, 0.15), (85, 0.5), (200, 0.03)):
        yield Case("observed share of a tenth", f"{rows} rows, {share:.0%} cases",
                   {"observed": share}, _tenth(rows, share))  # fmt: skip


def _tenth(rows: int, share: float) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        y = (rng.random(rows) < share).astype(int)
        found = calibration.bins(y, np.zeros(rows), bootstrap.resamples(rows), binary=True)
        return {"observed": (float(found["low"][0]), float(found["high"][0]))}

    return draw


def stability_cases() -> Iterator[Case]:
    """Φ̂ of the variables that seeds keep: each variable with a probability of its own."""
    rng = np.random.default_rng(4)
    chances = {"half sure": rng.beta(0.5, 0.8, 20), "unsure": rng.beta(2, 2, 20)}
    for name, chance in chances.items():
        share = chance.mean()
        truth = 1 - np.mean(chance * (1 - chance)) / (share * (1 - share))
        for seeds in (5, 10, 20):
            yield Case("stability Φ̂", f"{seeds} seeds, 20 variables, {name}",
                       {"Φ̂": float(truth)}, _stability(chance, seeds))  # fmt: skip


def _stability(chance: np.ndarray, seeds: int) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        found = selection_stability(rng.random((seeds, len(chance))) < chance)
        return {"Φ̂": (found.low, found.high)}

    return draw


EFFECTS = {"people": (0.1, 0.6, 0.3), "seed": (0.4, 0.3, 0.3), "little seed": (0.02, 0.5, 0.48)}
"""Variances of seed, people and both."""


def effects(
    rng: np.random.Generator, resamples: int, seeds: int, columns: int,
    variances: tuple[float, float, float], common: float,
) -> np.ndarray:  # fmt: skip
    """(R, S, m) normal: of a seed's or a resample's effects on all columns a part is common."""
    seed, people, both = variances

    def of(count: int, variance: float) -> np.ndarray:
        one, own = rng.normal(size=(count, 1)), rng.normal(size=(count, columns))
        return np.sqrt(variance) * (np.sqrt(common) * one + np.sqrt(1 - common) * own)

    rest = np.sqrt(both) * rng.normal(size=(resamples, seeds, columns))
    return of(resamples, people)[:, None] + of(seeds, seed)[None] + rest


def kept_shares(levels: np.ndarray, variances: tuple[float, float, float]) -> np.ndarray:
    """(3,) shares of the variance of [level + effect > 0], over variables of these levels."""
    seed, people, _ = variances
    parts = np.zeros(3)
    for level in levels:
        p = norm.cdf(level)
        of_seed, of_people = (
            multivariate_normal.cdf([level, level], cov=[[1, r], [r, 1]]) - p * p
            for r in (seed, people)
        )
        parts += (of_seed, of_people, p * (1 - p) - of_seed - of_people)
    return parts / parts.sum()


def share_cases() -> Iterator[Case]:
    """Seed or people, of what 15 variables' networks keep, and of 40 people's predictions."""
    levels = np.linspace(-2, 2, 15)
    for name, variances in EFFECTS.items():
        truth = dict(zip(PARTS, kept_shares(levels, variances)))
        for resamples, seeds in ((20, 5), (50, 5), (100, 10)):
            size = f"{resamples} resamples × {seeds} seeds, mostly {name}"
            yield Case("seed or people: kept", size, truth,
                       _shares(resamples, seeds, variances, levels, 0.3))  # fmt: skip
        size = f"100 resamples × {FEWEST_SEEDS_OF_PREDICTIONS} seeds, mostly {name}"
        yield Case("seed or people: predictions", size, dict(zip(PARTS, variances)),
                   _shares(100, FEWEST_SEEDS_OF_PREDICTIONS, variances, None, 0.6))  # fmt: skip
        for level in (0.0, -1.0):
            size = f"40 resamples × 5 seeds, kept by {100 * norm.cdf(level):.0f} %, mostly {name}"
            one = np.array([level])
            yield Case("seed or people: one variable", size,
                       dict(zip(PARTS, kept_shares(one, variances))),
                       _shares(40, 5, variances, one, 0.0))  # fmt: skip


def _shares(resamples, seeds, variances, levels, common) -> Intervals:
    def draw(rng: np.random.Generator) -> dict[str, Ends]:
        columns = 40 if levels is None else len(levels)
        y = effects(rng, resamples, seeds, columns, variances, common)
        y = y if levels is None else (y + levels > 0).astype(float)
        fewest = FEWEST_SEEDS_OF_PREDICTIONS if levels is None else FEWEST_SEEDS
        ends = share_intervals(y, fewest_seeds=fewest)
        return {p: (float(a), float(b)) for p, (a, b) in zip(PARTS, ends)}

    return draw


SECTIONS = {
    "scores": score_cases, "differences": difference_cases, "calibration": calibration_cases,
    "tenths": tenth_cases, "stability": stability_cases, "shares": share_cases,
    **interval_cases.SECTIONS,
}  # fmt: skip


def coverage(case: Case, repeats: int, seed: int = 0) -> pd.DataFrame:
    """One row a quantity: how often an interval was printed, and how often those hold the truth."""
    rng = np.random.default_rng([seed, repeats])
    printed, held = dict.fromkeys(case.truth, 0), dict.fromkeys(case.truth, 0)
    for _ in range(repeats):
        for name, (low, high) in case.draw(rng).items():
            if np.isfinite(low):
                printed[name] += 1
                held[name] += low - 1e-9 <= case.truth[name] <= high + 1e-9
    rows = [
        (case.what, name, case.size, printed[name] / repeats,
         held[name] / printed[name] if printed[name] else np.nan)
        for name in case.truth
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["interval", "of", "size", "printed", "covers"])


def summary(table: pd.DataFrame, repeats: int) -> None:
    """How many of the page's numbers are where they should be, into benchmarks/README.md."""
    from measure import Figure, write

    printed = table[table["printed"] >= FEWEST_PRINTED]
    least, most = (
        end + sign * 2 * np.sqrt(end * (1 - end) / repeats)
        for end, sign in ((LEAST, -1), (MOST, 1))
    )
    inside = printed["covers"].between(least, most)
    counted = printed.assign(inside=inside).groupby("interval", sort=False)
    rows = counted.agg(cases=("covers", "size"), least=("covers", "min"), mean=("covers", "mean"),
                       most=("covers", "max"), inside=("inside", "sum")).reset_index()  # fmt: skip
    for name in ("least", "mean", "most"):
        rows[name] = [f"{100 * value:.1f} %" for value in rows[name]]
    outside = printed[~inside]
    named = "; ".join(f"{r.of}, {r.interval}, {r.size}" for r in outside.head(3).itertuples())
    write(
        "What the intervals cover",
        "interval_coverage.py",
        f"{repeats} samples of known truth for each of {len(printed)} cases; docs/coverage.md has "
        f"all of them. 95 % intervals are meant to cover {100 * LEAST:.0f} to {100 * MOST:.0f} %; "
        f"*inside* are those within two simulation errors of that, {100 * least:.1f} to "
        f"{100 * most:.1f} %.",
        rows,
        [
            Figure("cases in which 95 % intervals cover 90 to 97 %, within two errors, %",
                   100 * float(inside.mean()), 99, at_least=True, because=named),
            Figure("coverage on average over all cases, %", 100 * float(printed["covers"].mean()),
                   100 * LEAST, at_least=True),
        ],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="What the intervals of reports cover.")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--only", choices=list(SECTIONS), nargs="*", default=list(SECTIONS))
    parser.add_argument("--print", action="store_true", help="to the terminal, not to docs/")
    given = parser.parse_args()
    tables = []
    for name in given.only:
        for case in SECTIONS[name]():
            tables.append(coverage(case, given.repeats))
            print(tables[-1].to_string(index=False, header=False), flush=True)
    if not given.print:
        table = pd.concat(tables)
        OUTPUT.write_text(page(table, given.repeats), encoding="utf-8")
        summary(table, given.repeats)


def page(table: pd.DataFrame, repeats: int) -> str:
    """docs/coverage.md."""
    error = 100 * np.sqrt(0.95 * 0.05 / repeats)
    lines = [
        "# What the intervals cover",
        "",
        f"`python benchmarks/interval_coverage.py --repeats {repeats}` wrote this page:",
        f"{repeats} samples a row, from populations whose true values are known. A 95 % interval",
        "is meant to hold the true value 90 to 97 % of the time at every size at which it is",
        f"printed; the simulation errs by ± {error:.1f} points (one deviation). *Printed* is how",
        "often there is an interval at all: of the rest, and where fewer than a fifth are, nothing",
        "is said.",
        "",
        f"No interval of a score is printed from fewer than {bootstrap.FEWEST_PEOPLE} people",
        f"({bootstrap.FEWEST_ROWS['average_precision']} rows and "
        f"{bootstrap.FEWEST_CASES['average_precision']} cases of average precision) or",
        f"{bootstrap.FEWEST_OF_A_CLASS} of a class, none of the stability Φ̂ from fewer than 5",
        f"seeds, none of seed or people from fewer than {FEWEST_SEEDS} seeds",
        f"({FEWEST_SEEDS_OF_PREDICTIONS} of people's predictions) or {FEWEST_RESAMPLES} resamples,",
        f"and none of the optimism-corrected score from fewer than {FEWEST_SAMPLES} samples.",
        "",
        "Every interval and band of a report is here, made by the functions that reports call;",
        "external validations call the same. Ranges, such as those of the predictions of networks",
        "on other people, are no intervals, and are not called so.",
    ]
    rare = table["printed"] < FEWEST_PRINTED
    table = table.assign(covers=table["covers"].where(~rare))
    for what, rows in table.groupby("interval", sort=False):
        wide = rows.pivot_table(
            index="size", columns="of", values="covers", sort=False, observed=True, dropna=False
        )
        printed = rows.groupby("size", sort=False)["printed"].mean()
        lines += ["", f"## {what[0].upper()}{what[1:]}", ""]
        names = [str(c).replace("_", " ") for c in wide.columns]
        lines.append("| " + " | ".join(["size", "printed", *names]) + " |")
        lines.append("| --- " * (len(names) + 2) + "|")
        for size, values in wide.iterrows():
            cells = ["–" if np.isnan(v) else f"{100 * v:.1f} %" for v in values]
            lines.append(f"| {size} | {100 * printed[size]:.0f} % | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
