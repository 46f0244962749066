"""The people of a study as its networks see them: columns, genotypes, outcome, rows by part."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any, cast

import numpy as np

from pipeline.baselines import BaselineData
from pipeline.data import Cohort, training_weights
from pipeline.genetics import Genotypes, encoding_factor
from pipeline.networks import TrainingData
from pipeline.results import ANCESTRY, Inputs, NetworkResult
from pipeline.search_space import Configuration
from pipeline.serving import Schema

IN_SQUARED_UNITS, IN_UNITS = "mean_squared_error", "mean_absolute_error"

GENETIC = "genetic"


class People:
    """The cohort and its genotypes as networks of any inputs see them.

    Networks see a quantity as (outcome − center)/unit of `Cohort.scale`; every reported metric is
    in the table's unit again.
    """

    def __init__(self, cohort: Cohort, genotypes: Genotypes | None):
        self.cohort, self.genotypes = cohort, genotypes
        split = cohort.split
        self._order = np.concatenate([split.train, split.validation, split.test])
        self._rows = (len(split.train), len(split.validation), len(split.test))
        self._relationship = self._relationship_factor = self._components = None
        if genotypes is not None:
            self._relationship = genotypes.relationship[np.ix_(self._order, split.train)]
            self._relationship_factor = encoding_factor(self._relationship, len(split.train))
            self._components = genotypes.components
        self._training_data: dict[tuple, TrainingData] = {}

    def for_workers(self) -> People:
        """The same for training elsewhere: without files, columns that are no variables, and
        relationships that no network is trained with."""
        travelling = copy(self)
        travelling._training_data = {}
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

    def training_data(self, configuration: Configuration) -> TrainingData:
        """Made once for each choice of inputs and class weights."""
        families, cohort = configuration.inputs, self.cohort
        dimensions = configuration.network.genetic_dimensions
        class_weight = configuration.training.class_weight
        key = families, dimensions, str(class_weight)
        if key not in self._training_data:
            chosen = [f != GENETIC and f in families for f in cohort.inputs.families]
            genetic = GENETIC in families
            center, unit = cohort.scale
            target, train = cohort.outcome[self._order], cohort.split.train
            row_weights = None if cohort.row_weights is None else cohort.row_weights[train]
            columns, penalty_factor = (
                cohort.features[:, chosen],
                cohort.penalty_factor[chosen],
            )
            if self._components is not None:
                scores = self._components.scores.astype(np.float32)
                columns = np.concatenate([columns, scores], axis=1)
                penalty_factor = np.append(penalty_factor, np.zeros(scores.shape[1]))
            self._training_data[key] = TrainingData(
                columns=columns[self._order],
                target=(target - center) / unit if self.task == "regression" else target,
                task=self.task,
                rows=self._rows,
                group_index=self.inputs(families, dimensions).group_index,
                penalty_factor=np.append(penalty_factor, np.ones(dimensions if genetic else 0)),
                row_weights=training_weights(
                    cohort.outcome[train], cohort.classes, class_weight, row_weights
                ),
                relationship=self._relationship if genetic else None,
                relationship_factor=self._relationship_factor if genetic else None,
                rank=self.genotypes.rank if genetic and self.genotypes is not None else 1,
            )
        return self._training_data[key]
