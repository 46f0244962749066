"""The end of a study on its test rows: predictions of the best networks, baselines, aggregates.

Here predictions have people in them; what leaves is `Appraisal`, in which nobody can be read off.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
from rich.console import Console

from pipeline.appraisal import (
    Grouping,
    Opponent,
    Predicted,
    Subject,
    TestRows,
    Variable,
    appraise,
    table_one,
)
from pipeline.baselines import VERSION, Baseline, BaselineData, KeptBaselines, fit_baselines
from pipeline.data import BINARY, REGRESSION, Cohort, Described, bands, cut_at_quantiles
from pipeline.genetics import Encoders, Genotypes, dual_of, training_cholesky
from pipeline.inspection import of_the_table, solution_label
from pipeline.metrics import score
from pipeline.process import Beside, one_blas_thread
from pipeline.progress import BlockProgress
from pipeline.results import NetworkResult, StudyResults
from pipeline.search_space import SearchSpace
from pipeline.serving import forward
from pipeline.study.finalists import best_networks, champion_network
from pipeline.study.identity import people_key
from pipeline.study.people import GENETIC, People
from pipeline.tracking import StudyRun, appraisal_files
from pipeline.training import genetic_draws

MOST_NETWORKS = 30
"""Networks of the best configuration that are appraised: the champion, and the first by seed."""

MOST_CELLS_BESIDE = 20_000_000
"""Of the table and of relationships: those of baselines that are fitted while networks train."""

MOST_CLASSES, CODES = 6, 6
SHOWN = ("performance", "operating_points", "baselines", "groups", "table_one")


def with_appraisal(
    results: StudyResults,
    space: SearchSpace,
    people: People,
    run: StudyRun,
    cache: Path,
    console: Console,
    baselines: Baselines | None,
) -> StudyResults:
    """The results with their appraisal, which is recorded in the study's run; as they are where no
    network can be. baselines: of `baselines_beside`."""
    of_table = of_the_table(results)
    champion = champion_network(of_table, people.cohort)
    if champion is None:
        return results
    networks, notes = predicted_networks(of_table, champion, people, cache)
    if champion.name not in {n.name for n in networks}:
        return results
    cohort, test = people.cohort, people.cohort.split.test
    rows = TestRows(
        cohort.outcome[test],
        cohort.task,
        tuple(str(label) for label in cohort.classes),
        None if cohort.people is None else cohort.people[test],
    )
    subject = Subject(
        rows=rows,
        metric=space.objective.removeprefix("val_"),
        networks=networks,
        champion=champion.name,
        opponents=() if baselines is None else _opponents(baselines, console),
        thresholds=thresholds_of(space, cohort) if cohort.task == BINARY else (),
        groupings=groupings_of(space, cohort),
        people_table=people_table(cohort),
        notes=[*notes, *_without_a_group(space, cohort)],
    )
    appraisal = appraise(subject)
    own = {"baselines": space.baselines, "thresholds_given": space.thresholds is not None}
    appraisal = replace(appraisal, facts={**appraisal.facts, **own})
    run.write_files(run.run_id, appraisal_files(appraisal))
    return replace(results, appraisal=appraisal)


def appraisal_tables(results: StudyResults) -> dict[str, pd.DataFrame]:
    """Those that MLflow's table view shows: without curves, which the report draws."""
    found = results.appraisal.tables if results.appraisal else {}
    return {name: found[name] for name in SHOWN if len(found.get(name, ()))}


def predicted_networks(
    results: StudyResults, champion: NetworkResult, people: People, cache: Path
) -> tuple[list[Predicted], list[str]]:
    """(raw predictions of the best configuration's networks for the test rows, sentences)."""
    best = [n for n in best_networks(results) if n.failure is None and n.layers]
    best.sort(key=lambda n: (n.name != champion.name, n.seed))
    shown, predicted, encoders = best[:MOST_NETWORKS], [], Encoders(cache)
    lower = None
    for network in sorted(shown, key=lambda n: n.seed):
        dual = None
        if _uses_genotypes(network):
            if people.genotypes is None:
                continue
            lower = training_cholesky(people.genotypes) if lower is None else lower
            dual = _dual(network, people.genotypes, encoders, lower)
            if dual is None:
                continue
        columns = people.test_columns(network, dual)
        raw = forward(network.layers, columns, str(network.params.get("activation", "relu"))).T
        predicted.append(
            Predicted(network.name, people.predicted(raw), solution_label(network, "best"))
        )
    notes = []
    if len(best) > len(shown):
        notes.append(f"Of {len(best)} networks the first {len(shown)} by seed are looked at.")
    if len(predicted) < len(shown):
        notes.append(
            f"{len(shown) - len(predicted)} networks that need genotypes were trained on another "
            "machine, which alone has what their encoders learned; they are left out."
        )
    return predicted, notes


def _uses_genotypes(network: NetworkResult) -> bool:
    """Whether a genetic dimension has a weight that is not exactly 0."""
    genetic = [family == GENETIC for family in network.inputs.families]
    return bool(np.any(network.layers[0][0][np.array(genetic, bool)] != 0.0))


def _dual(
    network: NetworkResult, genotypes: Genotypes, encoders: Encoders, lower: np.ndarray
) -> np.ndarray | None:
    stored = encoders.read(network.key)
    if stored is None:
        return None
    dimensions = network.inputs.families.count(GENETIC)
    drawn = genetic_draws(network.seed, len(genotypes.training_rows), dimensions)
    return dual_of(lower, drawn, *stored)


def thresholds_of(space: SearchSpace, cohort: Cohort) -> tuple[float, ...]:
    """Those of the study; or half, once and twice the share of cases among the training rows."""
    if space.thresholds is not None:
        return tuple(sorted(set(space.thresholds)))
    share = float(np.mean(cohort.outcome[cohort.split.train] == 1))
    rounded = (float(f"{factor * share:.2g}") for factor in (0.5, 1.0, 2.0))
    return tuple(dict.fromkeys(t for t in rounded if 0 < t < 1))


class Baselines:
    """A study's baselines: kept ones where nothing that decides them has changed, else fitted in a
    thread or, where that would need much memory beside training, when they are asked for."""

    def __init__(self, space: SearchSpace, people: People, cache: Path) -> None:
        self._make = partial(
            people.of_baselines, space.inputs, space.objective.removeprefix("val_")
        )
        data = self._make()
        cells = data.columns.size + (0 if data.relationship is None else data.relationship.size)
        is_large = cells > MOST_CELLS_BESIDE
        # What is large is made again at the end, not held beside training.
        self._data = None if is_large else data
        self._kept, self._key = KeptBaselines(cache), _baselines_key(people, data)
        self._found = self._kept.read(self._key)
        self._beside: Beside[list[Baseline]] | None = None
        if self._found is None and not is_large:
            self._beside = Beside(partial(fit_baselines, data))

    @property
    def data(self) -> BaselineData:
        """What they are fitted to."""
        if self._data is None:
            self._data = self._make()
        return self._data

    def wait(self) -> None:
        """Until the thread is done, well or not."""
        if self._beside is not None:
            self._beside.wait()

    def get(self, console: Console) -> list[Baseline]:
        """All of them; what was fitted is kept, and said."""
        if self._found is None:
            # One thread, as beside training.
            with BlockProgress(console, "baselines", "models") as progress, one_blas_thread():
                self._found = (
                    self._beside.result()
                    if self._beside
                    else fit_baselines(self.data, progress.done)
                )
            self._kept.keep(self._key, self._found)
            seconds = sum(baseline.seconds for baseline in self._found)
            console.print(
                f"baselines: {len(self._found)} models in {seconds:.1f} s", highlight=False
            )
        return self._found


@contextmanager
def baselines_beside(space: SearchSpace, people: People, cache: Path) -> Iterator[Baselines | None]:
    """While the block runs, fit the baselines too: training leaves a core idle now and then. None
    where the study wants none.

    Both have the digits of products on one core, which training in this process would otherwise
    decide.
    """
    with one_blas_thread():
        baselines = Baselines(space, people, cache) if space.baselines else None
        yield baselines
        if baselines is not None:
            baselines.wait()


def _opponents(baselines: Baselines, console: Console) -> Sequence[Opponent]:
    data = baselines.data
    truth = data.outcome[data.validation]
    return [_opponent(each, data.objective, truth, data.task) for each in baselines.get(console)]


def _opponent(baseline: Baseline, metric: str, truth: np.ndarray, task: str) -> Opponent:
    reached = np.nan
    if not baseline.failure:
        reached = float(score(metric, truth, baseline.validation[None], task)[0])
    return Opponent(
        baseline.name, baseline.inputs, baseline.chosen, baseline.test, reached,
        baseline.seconds, baseline.failure,
    )  # fmt: skip


def _baselines_key(people: People, data: BaselineData) -> str:
    """A digest of all that decides the baselines."""
    genotypes = people.genotypes
    weights = data.weights
    decides = {
        "people": people_key(people.cohort),
        "families": data.families,
        "objective": data.objective,
        "genotypes": genotypes.fingerprint if genotypes else None,
        "related": data.relationship is not None,
        "columns": data.columns.shape[1],
        "weights": None if weights is None else hashlib.sha256(weights.tobytes()).hexdigest(),
        "version": VERSION,
        "scikit-learn": sklearn.__version__,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def groupings_of(space: SearchSpace, cohort: Cohort) -> list[Grouping]:
    """The parts of the test rows that the study asks for."""
    known = {column.name: column for column in cohort.described}
    return [
        _grouping(known[name], bounds, cohort.split.train, cohort.split.test)
        for name, bounds in space.report_by.items()
        if name in known
    ]


def _grouping(
    column: Described, bounds: Sequence[float], train: np.ndarray, test: np.ndarray
) -> Grouping:
    """A category's levels, a few codes, or bands of a quantity, by the training rows' thirds where
    no bounds are given."""
    if column.is_category:
        return Grouping(column.name, column.labels, column.values[test])
    distinct = np.unique(column.values[~column.missing])
    if not bounds and len(distinct) <= CODES and np.all(distinct == np.round(distinct)):
        codes = np.where(column.missing, -1, np.searchsorted(distinct, column.values))
        return Grouping(column.name, [f"{code:g}" for code in distinct], codes[test])
    cut = bands(column.values, bounds or cut_at_quantiles(column.values[train]))
    return Grouping(column.name, cut.labels, cut.values[test])


def _without_a_group(space: SearchSpace, cohort: Cohort) -> list[str]:
    known = {column.name for column in cohort.described}
    return [
        f"{name} is not reported by: it is the same in all training rows, or differs between most "
        "people."
        for name in space.report_by
        if name not in known
    ]


def people_table(cohort: Cohort) -> pd.DataFrame:
    """Table 1 of the study's people."""
    split = {"training": cohort.split.train, "validation": cohort.split.validation,
             "test": cohort.split.test}  # fmt: skip
    parts = {name: _mask(rows, len(cohort.outcome)) for name, rows in split.items()}
    variables = [Variable(c.name, c.values, c.labels) for c in cohort.described]
    outcomes: dict[str, np.ndarray] = {}
    if cohort.task == REGRESSION:
        variables = [Variable(cohort.target, cohort.outcome), *variables]
    elif len(cohort.classes) <= MOST_CLASSES:
        outcomes = {
            f"{cohort.target} {label}": cohort.outcome == i
            for i, label in enumerate(cohort.classes)
        }
    return table_one(variables, parts, outcomes, cohort.people)


def _mask(rows: np.ndarray, total: int) -> np.ndarray:
    mask = np.zeros(total, bool)
    mask[rows] = True
    return mask
