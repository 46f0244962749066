"""The people of a study as its networks see them: columns, genotypes, outcome, rows by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np

from pipeline.baselines import BaselineData
from pipeline.data import ClassWeight, Cohort, training_weights
from pipeline.genetics import Genotypes, encoding_factor
from pipeline.networks import Resamples, TrainingData
from pipeline.results import ANCESTRY, THE_TABLE, Inputs, NetworkResult
from pipeline.search_space import Configuration
from pipeline.serving import Schema
from pipeline.study.replicates import Population, Replicate
from pipeline.study.resampled import Resampled

IN_SQUARED_UNITS, IN_UNITS = "mean_squared_error", "mean_absolute_error"

GENETIC = "genetic"


class People:
    """The cohort and its genotypes as networks of any inputs see them.

    Networks see a quantity as (outcome − center)/unit of `Cohort.scale`; every reported metric is
    in the table's unit again. resampled: the development people of a study with resamples.
    """

    def __init__(
        self, cohort: Cohort, genotypes: Genotypes | None, resampled: Resampled | None = None
    ):
        self.cohort, self.genotypes, self.resampled = cohort, genotypes, resampled
        split = cohort.split
        self._order = np.concatenate([split.train, split.validation, split.test])
        self._rows = (len(split.train), len(split.validation), len(split.test))
        self._components = None if genotypes is None else genotypes.components
        self._training_data: dict[tuple, TrainingData] = {}
        self._related: dict[bool, dict] = {}

    def for_workers(self) -> People:
        """The same for training elsewhere: without files, columns that are no variables, and
        relationships that no network is trained with."""
        travelling = copy(self)
        travelling._training_data = {}
        if self.genotypes is not None:
            for on_resamples in (False, True)[: 2 if self.resampled else 1]:
                self._relationships(on_resamples)
        travelling._related = dict(self._related)
        travelling.cohort = replace(
            self.cohort, schema=Schema((), ()), described=(), warnings=(), source=""
        )
        if self.genotypes is not None:
            none, no_rows = np.zeros((0, 0), np.float32), np.zeros(0, int)
            travelling.genotypes = replace(
                self.genotypes, relationship=none, rows=no_rows, fileset=cast(Any, None)
            )
        return travelling

    @property
    def task(self) -> str:
        return self.cohort.task

    @property
    def outputs(self) -> int:
        """o: of a network; one for each of several classes."""
        return len(self.cohort.classes) if self.task == "multiclass" else 1

    def predicted(self, predictions: np.ndarray) -> np.ndarray:
        """Predictions of networks, quantities among them in the table's unit."""
        center, unit = self.cohort.scale
        return predictions if self.task != "regression" else predictions * unit + center

    def scored(self, objective: str, scores: np.ndarray) -> np.ndarray:
        """Scores by epoch, as training saw them → in the table's unit."""
        _, unit = self.cohort.scale
        power = {IN_UNITS: 1, IN_SQUARED_UNITS: 2}.get(objective.removeprefix("val_"), 0)
        return scores * unit**power

    @property
    def outcome(self) -> dict[str, tuple[slice, np.ndarray]]:
        """Part → its positions in a network's predictions, and its outcomes."""
        n, validation, test = self._rows
        outcome = self.cohort.outcome[self._order]
        parts = {
            "train": slice(0, n),
            "val": slice(n, n + validation),
            "test": slice(n + validation, n + validation + test),
        }
        return {name: (part, outcome[part]) for name, part in parts.items()}

    def inputs(self, families: Sequence[str], genetic_dimensions: int) -> Inputs:
        """The columns of a network of these families and of ancestry; genetic ones last."""
        table_columns = self.cohort.inputs.only(tuple(f for f in families if f != GENETIC))
        if self._components is not None:
            names = self._components.names
            table_columns += Inputs(names, names, (ANCESTRY,) * len(names))
        if GENETIC not in families:
            return table_columns
        names = tuple(f"genetic_{i}" for i in range(genetic_dimensions))
        return table_columns + Inputs(names, names, (GENETIC,) * genetic_dimensions)

    def test_columns(self, network: NetworkResult, dual: np.ndarray | None) -> np.ndarray:
        """(test rows, p) inputs of a network, in the order of its `inputs`.

        dual: a·(u + C) (n, d) of its encoder; without it genetic dimensions are 0.
        """
        cohort, test = self.cohort, self.cohort.split.test
        families = dict.fromkeys(network.inputs.families)
        chosen = [f != GENETIC and f in families for f in cohort.inputs.families]
        parts = [cohort.features[test][:, chosen]]
        if ANCESTRY in families and self._components is not None:
            parts.append(self._components.scores[test].astype(np.float32))
        if GENETIC in families:
            dimensions = network.inputs.families.count(GENETIC)
            encoded = np.zeros((len(test), dimensions))
            if dual is not None and self._relationship is not None:
                encoded = self._relationship[-len(test) :].astype(np.float64) @ dual
            parts.append(encoded)
        return np.concatenate(parts, axis=1)

    def of_baselines(self, families: Sequence[str], objective: str) -> BaselineData:
        """The same people, columns and genotypes for simpler models; rows in the networks' order.

        families: all that some network of the study sees.
        """
        cohort, order = self.cohort, self._order
        n, validation, test = self._rows
        columns = cohort.features[:, [f in families for f in cohort.inputs.families]]
        words = "+".join(f for f in families if f != GENETIC)
        if self._components is not None:
            columns = np.concatenate([columns, self._components.scores], axis=1)
            words = f"{words}+{ANCESTRY}" if words else ANCESTRY
        return BaselineData(
            columns=columns[order],
            outcome=cohort.outcome[order],
            task=self.task,
            objective=objective,
            train=np.arange(n),
            validation=np.arange(n, n + validation),
            test=np.arange(n + validation, n + validation + test),
            families=words,
            weights=None if cohort.row_weights is None else cohort.row_weights[order],
            people=None if cohort.people is None else cohort.people[order],
            relationship=self._relationship if GENETIC in families else None,
        )

    @property
    def _relationship(self) -> np.ndarray | None:
        """(N, n) of everyone to those who train on the table, test rows last."""
        return None if self.genotypes is None else self._relationships(False)["relationship"]

    def rows_of(self, population: Population) -> np.ndarray:
        """(N,) the table's row of each of a network's predictions."""
        if self.resampled is None or not population.resampled:
            return self._order
        return self.resampled.order

    def parts(self, replicate: Replicate) -> Mapping[str, tuple[slice | np.ndarray, np.ndarray]]:
        """Part → its positions in this network's predictions, and its outcomes."""
        if replicate.resample == THE_TABLE:
            return self.outcome
        assert self.resampled is not None
        return self.resampled.parts(replicate.resample)

    def training_data(
        self, configuration: Configuration, on_resamples: bool = False
    ) -> TrainingData:
        """Made once for each choice of inputs and class weights; with the study's resamples, or of
        the table as it is split."""
        dimensions = configuration.network.genetic_dimensions
        class_weight = configuration.training.class_weight
        key = configuration.inputs, dimensions, str(class_weight), on_resamples
        if key not in self._training_data:
            make = self._on_resamples if on_resamples else self._of_the_table
            self._training_data[key] = make(configuration)
        return self._training_data[key]

    def _of_the_table(self, configuration: Configuration) -> TrainingData:
        return self._data(
            configuration,
            self.table_columns(configuration.inputs)[self._order],
            self._order,
            self._rows,
            class_weight=configuration.training.class_weight,
            related=self._relationships(False) if GENETIC in configuration.inputs else {},
        )

    def _on_resamples(self, configuration: Configuration) -> TrainingData:
        """Columns standardized over all development people, as the engine takes them; it gives
        each network those of its own people."""
        assert self.resampled is not None
        order, n = self.resampled.order, len(self.resampled.development)
        draws, class_weight = self.resampled.draws, configuration.training.class_weight
        columns = self.table_columns(configuration.inputs)[order].astype(np.float64)
        unit = columns[:n].std(axis=0)
        columns = (columns - columns[:n].mean(axis=0)) / np.where(unit > 0.0, unit, 1.0)
        imputed = self.cohort.imputed[order][:, self._chosen(configuration.inputs)]
        missing = np.zeros(columns.shape, bool)
        missing[:, : imputed.shape[1]] = imputed
        balanced = class_weight == "balanced"
        return self._data(
            configuration,
            columns.astype(np.float32),
            order,
            (n, 0, len(order) - n),
            class_weight="none" if balanced else class_weight,
            related=self._relationships(True) if GENETIC in configuration.inputs else {},
            resamples=Resamples(draws.weights, draws.validation, balanced=balanced),
            missing=missing if missing.any() else None,
        )

    def _chosen(self, families: Sequence[str]) -> list[bool]:
        return [f != GENETIC and f in families for f in self.cohort.inputs.families]

    def table_columns(self, families: Sequence[str]) -> np.ndarray:
        """(N, p_s) by row of the table: its columns of these families, and principal components."""
        columns = self.cohort.features[:, self._chosen(families)]
        if self._components is None:
            return columns
        return np.concatenate([columns, self._components.scores.astype(np.float32)], axis=1)

    def _relationships(self, on_resamples: bool) -> dict:
        """Everyone's relationships to those who train, or to all development people."""
        if on_resamples not in self._related:
            genotypes = self.genotypes
            assert genotypes is not None  # else no inputs would be genetic
            order, training = self._order, self.cohort.split.train
            if on_resamples:
                assert self.resampled is not None
                order, training = self.resampled.order, self.resampled.development
            relationship = genotypes.relationship[np.ix_(order, training)]
            factor = None  # of resamples each has its own
            if not on_resamples:
                factor = encoding_factor(relationship, len(training))
            self._related[on_resamples] = {
                "relationship": relationship,
                "relationship_factor": factor,
                "rank": min(len(training), genotypes.variants),
            }
        return self._related[on_resamples]

    def _data(
        self,
        configuration: Configuration,
        columns: np.ndarray,
        order: np.ndarray,
        rows: tuple[int, int, int],
        *,
        class_weight: ClassWeight,
        related: dict,
        **resampled: Any,
    ) -> TrainingData:
        """Of columns in this order of the table's rows, of which the first train."""
        cohort, families = self.cohort, configuration.inputs
        dimensions = configuration.network.genetic_dimensions
        center, unit = cohort.scale
        target, train = cohort.outcome[order], order[: rows[0]]
        row_weights = None if cohort.row_weights is None else cohort.row_weights[train]
        penalty_factor = cohort.penalty_factor[self._chosen(families)]
        components = columns.shape[1] - len(penalty_factor)
        encodings = dimensions if GENETIC in families else 0
        return TrainingData(
            columns=columns,
            target=(target - center) / unit if self.task == "regression" else target,
            task=self.task,
            rows=rows,
            group_index=self.inputs(families, dimensions).group_index,
            penalty_factor=np.concatenate(
                [penalty_factor, np.zeros(components), np.ones(encodings)]
            ),
            row_weights=training_weights(
                cohort.outcome[train], cohort.classes, class_weight, row_weights
            ),
            **related,
            **resampled,
        )
