"""The end of a study with resamples: predictions of every network → tables over people.

Here predictions have people in them; what leaves are tables of groups of people, in which nobody
can be read off. Where this machine does not have the predictions of some network, what cannot be
made again stays as it was recorded, and a sentence says so.

Shapes: M networks, N rows of the table, n of them development rows, o outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data import BINARY
from pipeline.inspection import (
    best_configuration,
    configuration_table,
    of_resamples,
    of_the_table,
    spread,
)
from pipeline.metrics import (
    Estimate,
    Scored,
    bias_corrected,
    bootstrap,
    nested,
    optimism_corrected,
)
from pipeline.people import ResampledPredictions, prediction_tables
from pipeline.results import ANCESTRY, NetworkResult, StudyResults
from pipeline.search_space import SearchSpace
from pipeline.serving import forward, probabilities
from pipeline.study.identity import people_key
from pipeline.study.people import GENETIC, People
from pipeline.study.predictions import Predictions
from pipeline.study.resampled import LEFT_OUT, VALIDATION, Resampled, resampled_people
from pipeline.tracking import StudyRun, people_files

CROSS_VALIDATION = "cross_validation"
MOST_CONFIGURATIONS = 40
"""Of which the predictions are compared: the best by mean validation score."""


def with_people(
    results: StudyResults, space: SearchSpace, people: People, run: StudyRun, cache: Path
) -> tuple[StudyResults, list[str]]:
    """(results with their tables over people, which are recorded in the study's run; sentences).

    As they are without resamples, or before any network of them is there.
    """
    networks = [n for n in of_resamples(results) if n.failure is None]
    if people.resampled is None or not networks:
        return results, []
    gathered = _gathered(results, networks, space, people, cache)
    tables = {CROSS_VALIDATION: cross_validation_table(gathered)}
    lacking = gathered.lacking
    notes = []
    if lacking:
        notes.append(
            f"the predictions of {lacking} of {gathered.networks} networks are not on this "
            f"machine (its folder {cache} was removed, or they were trained elsewhere): what is "
            "said of each person's prediction, and intervals of cross-validation, "
            + ("stay as recorded" if results.people else "cannot be made again")
        )
        recorded = results.people.get(CROSS_VALIDATION)
        tables = {} if recorded is not None else tables
    else:
        tables |= prediction_tables(gathered.groups(), _threshold(space, people))
    run.write_files(run.run_id, people_files(tables))
    return replace(results, people={**results.people, **tables}), notes


def _threshold(space: SearchSpace, people: People) -> float | None:
    """From which on a risk is high: the study's first, else the share of cases in training."""
    cohort = people.cohort
    if cohort.task != BINARY:
        return None if cohort.task == "regression" else 0.5
    if space.thresholds:
        return float(space.thresholds[0])
    share = float(f"{np.mean(cohort.outcome[cohort.split.train] == 1):.2g}")
    return share if 0.0 < share < 1.0 else 0.5


@dataclass(frozen=True, eq=False)
class Gathered:
    """Finished networks of a study with resamples.

    table, drawn   those of the table, and those of resamples
    of_table, of_drawn  (M, o, N) their predictions at the best epoch, NaN where they are lost
    """

    results: StudyResults
    people: People
    resampled: Resampled
    table: tuple[NetworkResult, ...]
    drawn: tuple[NetworkResult, ...]
    of_table: np.ndarray
    of_drawn: np.ndarray

    @property
    def networks(self) -> int:
        return len(self.table) + len(self.drawn)

    @property
    def lacking(self) -> int:
        """Networks whose predictions are lost."""
        every = (*self.of_table, *self.of_drawn)
        return sum(not np.isfinite(predictions).all() for predictions in every)

    @property
    def metric(self) -> str:
        return self.results.record.objective.removeprefix("val_")

    def scored(self) -> Scored:
        """Networks of resamples, as `pipeline.metrics` scores them."""
        draws, development = self.resampled.draws, self.resampled.development
        cohort = self.people.cohort
        whole = bool(np.isfinite(self.of_drawn).all())
        labels = np.array([n.replicate_key for n in self.drawn])
        validation, left_out = (
            np.array([n.metrics.get(f"{part}_{self.metric}", np.nan) for n in self.drawn])
            for part in (VALIDATION, LEFT_OUT)
        )
        return Scored(
            configuration=labels[:, 0],
            seed=labels[:, 1],
            resample=labels[:, 2],
            validation=validation,
            left_out=left_out,
            predictions=self.of_drawn[:, :, development] if whole else None,
            times=draws.times,
            picks=draws.validation,
            outcome=cohort.outcome[development],
            task=cohort.task,
            metric=self.metric,
            maximize=self.results.record.maximize,
            people=None if cohort.people is None else cohort.people[development],
        )

    def groups(self) -> list[ResampledPredictions]:
        """Predictions of test and of development people, by configuration."""
        cohort = self.people.cohort
        parts = {"test": cohort.split.test, "development": self.resampled.development}
        groups = []
        for number in self._best_first()[:MOST_CONFIGURATIONS]:
            at = [i for i, n in enumerate(self.drawn) if n.configuration == number]
            of_it = probabilities(self.of_drawn[at], cohort.task)
            own = [i for i, n in enumerate(self.table) if n.configuration == number]
            reference = probabilities(self.of_table[own], cohort.task).mean(axis=0) if own else None
            labels = np.array([self.drawn[i].replicate_key for i in at])
            for part, rows in parts.items():
                for name, chosen in self._outcomes():
                    groups.append(
                        ResampledPredictions(
                            configuration=number,
                            predictions=chosen(of_it[:, rows]),
                            seed=labels[:, 1].tolist(),
                            resample=labels[:, 2].tolist(),
                            reference=None if reference is None else chosen(reference[rows]),
                            people=part,
                            outcome=name,
                        )
                    )
        return groups

    def _outcomes(self) -> list[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
        """(name of a class, what takes its probabilities), one without a name for a single one."""
        if self.people.task != "multiclass":
            return [("", lambda readable: readable)]
        classes = enumerate(self.people.cohort.classes)
        return [(str(label), partial(np.take, indices=i, axis=-1)) for i, label in classes]

    def _best_first(self) -> list[int]:
        numbers = list(dict.fromkeys(n.configuration for n in self.drawn))
        table = configuration_table(of_the_table(self.results))
        if table.empty:
            return numbers
        means = table.set_index("configuration")["objective_mean"]
        ranked = means.sort_values(ascending=not self.results.record.maximize).index
        return [int(n) for n in ranked if n in numbers]


def _gathered(
    results: StudyResults,
    networks: Sequence[NetworkResult],
    space: SearchSpace,
    people: People,
    cache: Path,
) -> Gathered:
    assert people.resampled is not None
    resampled, most = people.resampled, max(n.replicate_key[2] for n in networks) + 1
    if most > len(resampled.draws.times):  # an earlier start had more of them
        resampled = resampled_people(space, people.cohort, most) or resampled
    table = of_the_table(results).finished
    kept = Predictions(cache, people_key(people.cohort))
    found = kept.read([n.key for n in (*table, *networks)])
    shape = people.outputs, len(people.cohort.outcome)
    lost = np.full(shape, np.nan, np.float32)
    for network in table:
        if network.key not in found and (made := _forward(network, people)) is not None:
            found[network.key] = made
    of_table, of_drawn = (
        np.stack([found.get(n.key, lost) for n in of_them] or [lost])[: len(of_them)]
        for of_them in (table, networks)
    )
    return Gathered(results, people, resampled, table, tuple(networks), of_table, of_drawn)


def _forward(network: NetworkResult, people: People) -> np.ndarray | None:
    """(o, N) predictions of a network of the table from its weights; None where it has genetic
    dimensions or its weights are lost."""
    families = dict.fromkeys(network.inputs.families)
    if not network.layers or GENETIC in families:
        return None
    columns = people.table_columns([f for f in families if f != ANCESTRY])
    raw = forward(network.layers, columns, str(network.params.get("activation", "relu")))
    return people.predicted(raw.T).astype(np.float32)


def cross_validation_table(gathered: Gathered) -> pd.DataFrame:
    """How good, by each way of saying it, a row each: `estimate`, `value`, the ends of its 95 %
    interval over people, `networks`, `trained_rows`, and which configurations were `chosen`.

    validation_best_network  the best validation score of any network of the table: many, the
                     luckiest of them
    validation_best_configuration  the best mean over seeds of it
    test             of that configuration on the test rows
    nested           of the configuration chosen within each resample, on people without a say
    bias_corrected   of the configuration chosen among scores on left-out people, for folds
    apparent, optimism_corrected  of the best configuration on its own training rows, and less the
                     optimism that bootstrap samples show
    left_out         of each configuration, on people without a say, mean over resamples and seeds
    """
    rows = [*_single_split(gathered)]
    scored = gathered.scored()
    drawn = len(gathered.drawn)
    rows.append(_row("nested", nested(scored), drawn))
    kind = gathered.results.record.settings.get("resamples", {})
    kind = kind.get("kind") if isinstance(kind, dict) else None
    if kind == "folds" and (corrected := bias_corrected(scored)) is not None:
        rows.append(_row("bias_corrected", corrected, drawn))
    best = _best(gathered)
    apparent = [n.metrics.get(f"train_{gathered.metric}", np.nan) for n in best]
    if kind == "bootstrap" and best and np.isfinite(apparent).any():
        seen = float(np.nanmean(apparent))
        training = len(gathered.people.cohort.split.train)
        corrected = optimism_corrected(scored, seen, training)
        if corrected is not None:
            rows.append({"estimate": "apparent", "value": seen, "networks": len(best),
                         "trained_rows": training})  # fmt: skip
            rows.append(_row("optimism_corrected", corrected, drawn))
    for number in np.unique(scored.configuration).tolist():
        of_it = spread(scored.left_out[scored.configuration == number])
        rows.append({"estimate": "left_out", "configuration": number, "value": of_it.mean,
                     "sd": of_it.sd, "networks": of_it.networks})  # fmt: skip
    columns = ["estimate", "configuration", "value", "low", "high", "sd", "networks",
               "trained_rows", "chosen"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"configuration": "Int64"}).assign(chosen=table["chosen"].fillna(""))


def _row(name: str, estimate: Estimate, networks: int) -> dict:
    ordered = sorted(estimate.chosen.items(), key=lambda pair: (-pair[1], pair[0]))
    total = sum(estimate.chosen.values())
    shares = [f"c{number} {count / total:.0%}" for number, count in ordered]
    return {
        "estimate": name, "value": estimate.value, "low": estimate.low, "high": estimate.high,
        "networks": networks, "trained_rows": round(estimate.trained_on, 1),
        "chosen": ", ".join(shares),
    }  # fmt: skip


def _best(gathered: Gathered) -> list[NetworkResult]:
    """The finished networks of the table's best configuration."""
    number = best_configuration(of_the_table(gathered.results))
    return [n for n in gathered.table if n.configuration == number]


def _single_split(gathered: Gathered) -> list[dict]:
    """What the split of the table says by itself."""
    record, best = gathered.results.record, _best(gathered)
    every = [n.metrics.get(record.objective, np.nan) for n in gathered.table]
    if not best or not np.isfinite(every).any():
        return []
    trained = len(gathered.people.cohort.split.train)
    luckiest = np.nanmax(every) if record.maximize else np.nanmin(every)
    number = best[0].configuration
    low, high = bootstrap.interval([n.resamples["best"] for n in best if "best" in n.resamples])

    def mean(name: str) -> float:
        return spread([n.metrics.get(name, np.nan) for n in best]).mean

    known = {"configuration": number, "networks": len(best), "trained_rows": trained}
    return [
        {"estimate": "validation_best_network", "value": float(luckiest), "networks": len(every),
         "trained_rows": trained},
        {"estimate": "validation_best_configuration", "value": mean(record.objective), **known},
        {"estimate": "test", "value": mean(f"test_{gathered.metric}"), "low": low, "high": high,
         **known},
    ]  # fmt: skip
