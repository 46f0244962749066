"""What a study with resamples says: which variables whoever was in the table, seed or people, each
person's prediction. Sentences and rows; `people_plots` draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.inspection import (
    BEST_ROLE,
    TIPPING_ROLE,
    Focus,
    ResampledPath,
    SeedOrPeople,
    best_that_selects,
    resample_settings,
    resampled_paths,
    seed_or_people,
    seed_or_people_table,
    selection_path_table,
    selection_table,
)
from pipeline.people import BANDS, CELLS, INSTABILITY, PARTS
from pipeline.report.honest import CROSS_VALIDATION, honest_metrics
from pipeline.results import StudyRecord, StudyResults
from pipeline.words import inputs_words, listed, regularizer_words

MOST_ROWS = 40  # of a table or figure of variables
_FOLDS, _BOOTSTRAP = "folds", "bootstrap"


@dataclass(frozen=True, eq=False)
class OtherPeople:
    """All that a study's resamples say.

    drawn     how many resamples there are networks of.
    paths     one each inputs and regularizer that zeroes anything; that of `main` first.
    main      the configuration that is looked at: the best, or the best that zeroes a variable.
    shares    whose the variance of what is kept is, of `main` first, then of others.
    tables    what was gathered over people, by name (`pipeline.people.prediction_tables`).
    """

    settings: Mapping[str, object]
    drawn: int
    paths: tuple[ResampledPath, ...]
    main: Focus
    shares: tuple[SeedOrPeople, ...]
    tables: Mapping[str, pd.DataFrame]
    record: StudyRecord

    @property
    def draws(self) -> str:
        """`100 halves of the people`."""
        return f"{self.drawn} {draws_words(self.settings)}"

    def predictions(self, name: str = INSTABILITY) -> pd.DataFrame:
        """Rows of `main` in one of the tables, those of test people where there are any."""
        table = self.tables.get(name, pd.DataFrame())
        if table.empty:
            return table
        rows = table[table["configuration"] == self.main.number]
        of_test = rows[rows["people"] == "test"]
        return of_test if len(of_test) else rows

    @property
    def metrics(self) -> dict[str, float]:
        """For MLflow: `stable_variables`, `expected_false_selections`, `kept_share_people` …"""
        found: dict[str, float] = {}
        if self.paths and (stable := self.paths[0].stable):
            found["stable_variables"] = float(stable.stable.sum())
            found["expected_false_selections"] = stable.expected_false
        if self.shares:
            for part, share in zip(PARTS, self.shares[0].shares):
                found[f"kept_share_{part}"] = float(share)
        rows = self.predictions()
        if len(rows):
            found["prediction_mean_error"] = float(rows["mean_error"].iloc[0])
            found["classification_instability"] = float(rows["mean_changed"].iloc[0])
            for part in PARTS:
                found[f"prediction_share_{part}"] = float(rows[f"share_{part}"].iloc[0])
        found |= honest_metrics(self.tables.get(CROSS_VALIDATION), self.record)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    @property
    def csv(self) -> dict[str, pd.DataFrame]:
        """The tables beside the report, by name; what was gathered over people among them."""
        tables = {
            "selection": selection_table(self.paths),
            "selection_path": selection_path_table(self.paths),
            "seed_or_people": seed_or_people_table(self.shares),
            **self.tables,
        }
        return {name: table for name, table in tables.items() if len(table)}


def draws_words(settings: Mapping[str, object]) -> str:
    """What one resample is, in the plural."""
    kind, fraction = settings.get("kind"), settings.get("fraction", 0.5)
    if kind == _FOLDS:
        return f"resamples, each without one of {settings.get('folds')} folds of the people"
    if kind == _BOOTSTRAP:
        return "bootstrap samples of the people"
    share = float(fraction) if isinstance(fraction, (int, float)) else 0.5
    return "halves of the people" if share == 0.5 else f"samples of {percent(share)} of the people"


def other_people(
    results: StudyResults, table: pd.DataFrame, focus: Sequence[Focus]
) -> OtherPeople | None:
    """None for a study without resamples, or before any of their networks is there.

    results has all networks; table and focus are of those of the table as it is split.
    """
    drawn = {n.params["resample"] for n in results.finished if "resample" in n.params}
    if not drawn or not focus:
        return None
    best = focus[0]
    main = best
    if not best.selects:
        main = best_that_selects(focus, table, results.record.maximize) or best
    paths = sorted(resampled_paths(results, table), key=lambda p: not _has(p, main.number))
    looked_at = [f for f in focus if f.selects and {BEST_ROLE, TIPPING_ROLE} & set(f.roles)]
    numbers = dict.fromkeys([main.number, *(f.number for f in looked_at)])
    shares = [s for number in numbers if (s := seed_or_people(results, number))]
    return OtherPeople(
        resample_settings(results), len(drawn), tuple(paths), main, tuple(shares), results.people,
        results.record,
    )  # fmt: skip


def _has(path: ResampledPath, number: int) -> bool:
    return number in path.path.configurations


def path_words(path: ResampledPath, record: StudyRecord) -> str:
    """`group lasso on clinical + genetic`."""
    return f"{regularizer_words(path.regularizer)} on {inputs_words(path.inputs, record)}"


def number_words(value: float) -> str:
    """`0.8`, `12`; `less than 0.1`."""
    return "less than 0.1" if value < 0.095 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def which_sentence(people: OtherPeople) -> str:
    """Which variables are kept whoever was in the table, and how many of them may be false."""
    if not people.paths:
        return f"No configuration zeroes a variable, whoever of {people.draws} was in the table."
    path = people.paths[0]
    who = path_words(path, people.record)
    if path.stable is None:
        return _often_kept(people, path)
    stable = path.stable
    if not stable.configurations:
        least = np.nansum(path.path.probability[0]) if len(path.path.probability) else np.nan
        return (
            f"No variable can be named whoever was in the table: even at its strongest penalty "
            f"{who} keeps {least:.1f} of {len(path.variables)} variables on one of {people.draws}, "
            f"so that more than {stable.most_false:g} would be expected to be there by chance; a "
            "stronger λ would tell."
        )
    names = path.stable_names
    if not names:
        top = int(np.argmax(stable.probability))
        return (
            f"No variable is kept whoever was in the table: with {who}, none on "
            f"{percent(stable.threshold)} of {people.draws} (the most often is "
            f"{path.variables[top]}, on {percent(stable.probability[top])})."
        )
    start = f"Whoever was in the table, {who} keeps {listed(names)}"
    false = f"{_false_words(stable.expected_false)} expected to be there by chance."
    if len(names) == 1:
        often = percent(stable.probability.max())
        return f"{start}, on {often} of {people.draws}, and no other variable so often; {false}"
    often = f"each on at least {percent(stable.threshold)} of {people.draws}"
    return f"{start}: {often}; of these {len(names)}, {false}"


def _false_words(value: float) -> str:
    words = number_words(value)
    return words if words.startswith("less") else f"at most {words}"


def _often_kept(people: OtherPeople, path: ResampledPath) -> str:
    """For resamples that have no bound: what the main configuration keeps on nearly all of them."""
    at = path.path.configurations.index(people.main.number)
    probability = np.nan_to_num(path.path.probability[at])
    order = np.argsort(-probability, kind="stable")
    often = [path.variables[i] for i in order if probability[i] >= 0.95]
    kept = listed(often) if often else "no variable"
    return (
        f"On at least 95 % of {people.draws}, configuration {people.main.number}, "
        f"{regularizer_words(path.regularizer)}, keeps {kept}; how many of them are there by "
        "chance is bounded for subsamples alone."
    )


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def share_words(share: float, low: float, high: float) -> str:
    """`61 % (50 to 70 %)`."""
    interval = "" if np.isnan(low) else f" ({100 * low:.0f} to {100 * high:.0f} %)"
    return f"{100 * share:.0f} %{interval}"


def seed_or_people_sentence(people: OtherPeople) -> str:
    """Whether the seed or the people decide what is kept."""
    if not people.shares or people.shares[0].number != people.main.number:
        return (
            "Seed or people cannot be told apart: that takes networks of at least 2 seeds on at "
            "least 2 resamples."
        )
    found, number = people.shares[0], people.main.number
    if np.isnan(found.shares).any():
        return f"Neither the seed nor who was in the table changes what c{number} keeps."
    seed, drawn, both = (
        share_words(share, *ends) for share, ends in zip(found.shares, found.intervals)
    )
    known = np.isfinite(found.intervals).all()
    return (
        f"{_who_decides(found)}: of the variance of what c{number} keeps, {drawn} is due to who "
        f"was in the table, {seed} to the seed, and {both} to both together"
        + (" (95 % intervals)." if known else f" (no intervals from {_few_words(found)}).")
    )


def _few_words(found: SeedOrPeople) -> str:
    seeds = f"{found.seeds} seeds"
    return f"{seeds} and {found.resamples} resamples"


def _who_decides(found: SeedOrPeople) -> str:
    """By intervals that do not overlap, or the larger of shares that have none."""
    (seed, drawn, both), ends = found.shares, found.intervals
    if np.isfinite(ends).all():
        if ends[1, 0] > ends[0, 1]:
            start = "People decide more than the seed"
        elif ends[0, 0] > ends[1, 1]:
            start = "The seed decides more than people"
        else:
            start = "Neither seed nor people clearly decide more"
    elif drawn == seed:
        start = "Neither people nor the seed alone seem to decide"
    else:
        start = f"More seems due to {'people' if drawn > seed else 'the seed'}"
    return start + (", but most to chance of both" if both > 0.5 else "")


def selection_rows(path: ResampledPath, people: OtherPeople) -> tuple[list[str], list[list[str]]]:
    """Variables of a path, the most often kept first."""
    stable, probability = path.stable, np.nan_to_num(path.path.probability)
    looked_at = stable.probability if stable else probability.max(axis=0, initial=0.0)
    shown = np.argsort(-looked_at, kind="stable")[:MOST_ROWS]
    columns = {
        "variable": [path.variables[i] for i in shown],
        "kept on": [percent(looked_at[i]) for i in shown],
    }
    if stable is not None:
        columns["stable"] = ["stable" if stable.stable[i] else "–" for i in shown]
    if path.integrated is not None:
        false = path.integrated.expected_false
        columns["integrated: false up to it"] = [number_words(false[i]) for i in shown]
    number = people.main.number
    if _has(path, number):
        at = probability[path.path.configurations.index(number)]
        columns[f"kept at c{number}"] = [percent(at[i]) for i in shown]
        shares = next((s for s in people.shares if s.number == number), None)
        if shares is not None and len(shares.by_variable):
            rows = shares.by_variable.set_index("variable")
            cells = [_share_cells(rows, path.variables[i]) for i in shown]
            for name, texts in zip(("people", "seed", "both"), zip(*cells)):
                columns[f"its variance: {name}"] = list(texts)
    return list(columns), [list(row) for row in zip(*columns.values())]


def _share_cells(by_variable: pd.DataFrame, variable: str) -> list[str]:
    if variable not in by_variable.index:
        return ["–", "–", "–"]
    row = by_variable.loc[variable]
    ends = ("", "_low", "_high")
    return [
        share_words(*(row[f"share_{p}{e}"] for e in ends)) for p in ("resample", "seed", "both")
    ]


def bound_words(path: ResampledPath, people: OtherPeople) -> str:
    """What the stable set was looked for on, and what every bound says of it."""
    stable = path.stable
    if stable is None:
        return "Bounds on what is kept by chance need subsamples of at most half of the people."
    if not stable.configurations:
        return (
            f"At no part of the path is the bound at most {stable.most_false:g}, so nothing is "
            "called stable."
        )
    count = f"{len(stable.configurations)} of {len(path.path.configurations)} configurations"
    where = f"the {count} that keep fewest"
    if path.lambdas:
        first, last = path.lambdas[0], path.lambdas[len(stable.configurations) - 1]
        where = f"{path.main_lambda} from {first:.3g} down to {last:.3g} ({count})"
    false = stable.false
    bounds = [f"{number_words(false.any_distribution)} whatever the distribution"]
    if np.isfinite(false.unimodal):
        bounds.append(f"{number_words(false.unimodal)} if it is unimodal")
        bounds.append(f"{number_words(false.r_concave)} if it is r-concave")
    words = (
        f"Looked at: {where}, as far as at most {stable.most_false:g} false is expected. There, "
        f"{stable.kept:.1f} of {len(path.variables)} variables are kept on one of {people.draws}. "
        f"Stable by chance, expected at most: {listed(bounds)}."
    )
    if path.integrated is not None:
        few = [v for v, e in zip(path.variables, path.integrated.expected_false) if e <= 1]
        names = listed(few, 12) if few else "no variable"
        words += f" Integrated paths expect at most 1 false among {names}."
    if path.path.dropped:
        words += f" {path.path.dropped} resamples without all seeds were left out."
    return words


def variance_rows(people: OtherPeople) -> pd.DataFrame:
    """`name` and shares, for the figure: all variables, predictions, then one variable each."""
    rows = []
    for s in people.shares[:1]:
        found = seed_or_people_table([s])
        every = found.iloc[0].to_dict() | {"name": f"what c{s.number} keeps, all variables"}
        rows.append(every)
    predictions = people.predictions()
    for _, row in predictions.iterrows():
        outcome = f" of {row['outcome']}" if row["outcome"] else ""
        rows.append(row.to_dict() | {"name": f"predictions{outcome}, {row['people']} people"})
    for s in people.shares[:1]:
        for _, row in s.by_variable.head(20).iterrows():
            rows.append(row.to_dict() | {"name": row["variable"]})
    columns = ["name", *(f"share_{p}{e}" for p in PARTS for e in ("", "_low", "_high"))]
    table = pd.DataFrame(rows, columns=columns)
    return table[table["share_both"].notna()].reset_index(drop=True)


def instability_words(people: OtherPeople) -> list[str]:
    """A sentence or two each group of people whose predictions were gathered."""
    sentences = []
    for _, row in people.predictions().iterrows():
        outcome = f" of {row['outcome']}" if row["outcome"] else ""
        quantity = "a quantity" if np.isnan(row["threshold"]) else f"risks{outcome}"
        words = (
            f"Of {row['number_of_people']:,} {row['people']} people, predicted {quantity} of "
            f"networks from other people and seeds differ from the model's by "
            f"{row['mean_error']:.3g} on average (MAPE)"
        )
        upper = row.get("error_q97.5", np.nan)
        if np.isfinite(upper):
            words += f", and by less than {upper:.3g} for 97.5 % of them"
        if np.isfinite(row["mean_changed"]):
            words += (
                f". A network puts a person on the other side of the threshold "
                f"{row['threshold']:.3g} with a probability of {100 * row['mean_changed']:.1f} % "
                "(classification instability)"
            )
            if np.isfinite(row["often_changed"]):
                words += (
                    f"; of {percent(row['often_changed'])} of the people at least a tenth of the "
                )
                words += "networks do"
        sentences.append(words + ".")
    return sentences


def instability_tables(people: OtherPeople) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells and bands of the first group of people of the main configuration."""
    cells, bands = (people.predictions(name) for name in (CELLS, BANDS))
    if cells.empty or bands.empty:
        return pd.DataFrame(), pd.DataFrame()
    first = bands["outcome"].iloc[0]
    return cells[cells["outcome"] == first], bands[bands["outcome"] == first]


def other_people_lines(people: OtherPeople) -> list[str]:
    """For the terminal and Markdown: what the sentences of the answer do not say."""
    lines = [f"{path_words(p, people.record)}: {bound_words(p, people)}" for p in people.paths[:3]]
    return [*lines, *instability_words(people)]
