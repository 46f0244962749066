"""A path while it is computed: networks at one λ after the other, and the variables they keep.

λ_max is the smallest λ at which a first layer of zeros is stationary. With ∇ the (h, p) gradient of
the mean loss at zero penalized weights, biases and unpenalized columns fitted, that is

    l1, elastic_net        max |∇|/α
    group_lasso            max_g ‖∇_g‖_F / √(|g|·h)
    sparse_group_lasso     max_g of the λ that solves ‖S(∇_g, α·λ)‖_F = (1 − α)·λ·√(|g|·h)

with S the soft threshold and α = l1_ratio. With no hidden layer the objective is convex, and all
is zero from λ_max on; with hidden layers ∇ depends on the later layers, so λ_max scales the path,
which goes on beyond it for as long as a network keeps a variable.

Shapes: n rows, p columns, g variables, h units, o outputs, K networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from sklearn.exceptions import ConvergenceWarning

from pipeline.errors import InputError
from pipeline.estimators.estimators import SparseMLPClassifier, SparseMLPRegressor
from pipeline.estimators.fitting import (
    FitData,
    certify_best,
    fitted_network,
    stacked,
    train_networks,
    training_data,
    zeroed_variables,
)
from pipeline.estimators.groups import ColumnGroups
from pipeline.estimators.parameters import metric_of
from pipeline.metrics import metrics
from pipeline.networks import LAMBDAS, FittedNetwork

if TYPE_CHECKING:
    from pipeline.networks import Weights
    from pipeline.training import Problems

ALL_ZERO = 1e6
"""A λ at which every penalized weight is zero."""

EMPTY_EPOCHS, EMPTY_FINISH_STEPS = 10, 100
"""Epochs and full-batch steps that fit biases and unpenalized columns where λ_max is computed."""

HALVINGS = 3
"""Times that a step of log λ is halved in search of a number of variables that was skipped."""


@dataclass(frozen=True, eq=False)
class LambdaPath:
    """The networks of a path, and the best of them at every number of variables.

    networks      one row a network and λ: step, lambda, lambda_l1, lambda_l2, lambda_group, seed,
                  kept (number of variables), variables (their names), score (validation rows; of a
                  resample those not drawn, and its number is in the column resample),
                  test_score (where there are test rows), objective, kkt_residual (by the gradient
                  alone; see Schedule.follow_kinks), epochs. Step 0
                  is the dense start at its best epoch; later steps are last states, finished. A λ
                  between two steps, of a size that was skipped, has the number of the later one.
    best          one row for every number of variables kept: the network with the best score
    best_by_seed  the same for every number of variables and seed, and resample where there are some
    models        number of variables kept → the network of that row of best
    lambdas       those walked, step 1 first; lambda_max is the gradient's, the largest of the seeds
    metric, maximize   of score and test_score
    """

    networks: pd.DataFrame
    best: pd.DataFrame
    best_by_seed: pd.DataFrame
    models: dict[int, FittedNetwork]
    lambdas: np.ndarray
    lambda_max: float
    metric: str
    maximize: bool
    variables: np.ndarray


def vanishing_lambda(
    gradient: np.ndarray, groups: ColumnGroups, shares: tuple[float, float, float]
) -> float:
    """λ_max of the module's formula, for ∇ (h, p) at zero penalized weights."""
    l1, _, group = shares
    largest = 0.0
    for variable in np.unique(groups.index[groups.factor > 0]):
        variable_gradient = np.abs(gradient[:, groups.index == variable])
        root = np.sqrt(variable_gradient.size)  # √(|g|·h)

        def excess(value: float, variable_gradient=variable_gradient, root=root) -> float:
            return (
                np.linalg.norm(np.maximum(variable_gradient - l1 * value, 0.0))
                - group * value * root
            )

        if group == 0.0:
            vanishing = variable_gradient.max() / l1
        elif l1 == 0.0:
            vanishing = np.linalg.norm(variable_gradient) / (group * root)
        else:
            vanishing = (
                brentq(excess, 0.0, variable_gradient.max() / l1, rtol=1e-12)
                if variable_gradient.any()
                else 0.0
            )
        largest = max(largest, float(vanishing))
    return largest


def first_layer_gradient(network, spec, problems: Problems) -> np.ndarray:
    """(h, p): gradient of the weighted mean loss over the training rows, bias left out, float64."""
    from pipeline.solvers import gradient

    problem = problems.of(spec, network.final_weights.later)
    return gradient(network.final_weights.first.astype(float), problem)[:, problems.places.inputs]


@dataclass(frozen=True, eq=False)
class PathPoint:
    """A network on the path: its λ and last weights, how many variables it keeps, and whether a
    penalized one is among them."""

    value: float
    weights: Weights
    kept: int
    penalized: bool


class Member(NamedTuple):
    """Which network of a path: its seed, and the resample that it trains on, None for all rows."""

    seed: int
    resample: int | None = None


@dataclass(frozen=True, eq=False)
class _Gap:
    """A network at two λ; step is that of the upper one."""

    member: Member
    step: int
    low: PathPoint
    high: PathPoint

    def skips(self, largest: int) -> bool:
        """Whether it skipped a size of at most so many variables."""
        return self.high.kept + 1 < self.low.kept and self.high.kept < largest


@dataclass(eq=False)
class Walk:
    """The path while it is walked."""

    estimator: SparseMLPClassifier | SparseMLPRegressor
    fit_data: FitData
    members: Sequence[Member]
    shares: tuple[float, float, float]
    epochs_per_lambda: int
    # Member → PathPoint of a network that still keeps a penalized variable
    remaining_networks: dict = field(default_factory=dict)
    gaps: list = field(default_factory=list)
    lambdas: list = field(default_factory=list)
    rows: list = field(default_factory=list)
    models: dict = field(default_factory=dict)  # variables kept → (goodness, network)
    failed: set = field(default_factory=set)  # members that diverged

    def __post_init__(self) -> None:
        self.data = training_data(self.fit_data)
        self.architecture = self.estimator._architecture(self.fit_data)
        self.metric = metric_of(self.estimator.validation_metric, self.fit_data.task)
        self.maximize = metrics.MAXIMIZED[self.metric]

    def _train(self, members, values, epochs, tolerance, initial=None, finish_steps=0):
        """These networks, each at its λ of values; finish_steps: at least so many."""
        from pipeline.networks import NetworkSpec

        schedule = self.estimator._schedule(self.fit_data, epochs)
        schedule = replace(
            schedule,
            tolerance=tolerance,
            patience_epochs=epochs,
            keep_best=initial is None,
            follow_kinks=False,  # the next λ starts from here; only ends are worth the time
            batch_seed=self.estimator.batch_seed + len(self.lambdas),
            finish_steps=max(finish_steps, schedule.finish_steps),
        )
        rates = self.estimator.learning_rate, self.estimator.weight_decay
        specs = [
            NetworkSpec(
                member.seed,
                *(value * share for share in self.shares),
                *rates,
                resample=member.resample,
            )
            for member, value in zip(members, values, strict=True)
        ]
        trained = train_networks(self.data, self.architecture, specs, schedule, initial)
        for member, spec, value, network in zip(members, specs, values, trained, strict=True):
            if network.failure is not None:
                self.failed.add(member)
                warnings.warn(
                    f"the network of seed {spec.seed}"
                    f"{'' if spec.resample is None else f' on resample {spec.resample}'} "
                    f"{network.failure}, at λ = {value:.3g}, and leaves the path",
                    ConvergenceWarning,
                    stacklevel=5,
                )
        return specs, trained

    @property
    def penalized(self) -> np.ndarray:
        """The numbers of the variables with a penalty."""
        groups = self.fit_data.groups
        return np.unique(groups.index[groups.factor > 0])

    def start_dense(self) -> None:
        """Networks without a penalty, at their best epoch."""
        values = [0.0] * len(self.members)
        specs, trained = self._train(self.members, values, self.estimator.epochs, None)
        certify_best(self.data, self.architecture, specs, trained)
        for member, spec, network in zip(self.members, specs, trained, strict=True):
            if network.failure is None:
                self.remaining_networks[member] = self._record(0, 0.0, spec, network, last=False)
        if not self.remaining_networks:
            raise InputError(
                f"training must stay finite, but every network {trained[0].failure}; standardize "
                "X (and y in regression), or lower learning_rate"
            )

    def lambda_max(self, networks: int | None = None) -> float:
        """The largest λ_max of the first networks (None: all), each with the later layers it has
        without inputs."""
        gradients = self.empty_gradients(networks)
        return max(vanishing_lambda(each, self.fit_data.groups, self.shares) for each in gradients)

    def empty_gradients(self, networks: int | None = None) -> list[np.ndarray]:
        """∇ (h, p) of the first networks whose penalized first-layer weights are zero, and whose
        later layers were trained on from the dense start."""
        from pipeline.training import Problems

        members = list(self.remaining_networks)[:networks]
        initial = stacked([self.remaining_networks[member].weights for member in members])
        specs, trained = self._train(
            members,
            [ALL_ZERO] * len(members),
            EMPTY_EPOCHS,
            self.estimator.tol,
            initial,
            EMPTY_FINISH_STEPS,
        )
        problems = Problems(self.data, self.architecture)
        gradients = [
            first_layer_gradient(network, spec, problems)
            for spec, network in zip(specs, trained, strict=True)
            if network.failure is None
        ]
        penalized = self.fit_data.groups.factor > 0
        if not any(np.any(each[:, penalized]) for each in gradients):
            raise InputError(
                "λ_max must be above 0, but the loss does not depend on any penalized column; "
                "check that X's columns vary, and lower learning_rate if units died in training"
            )
        return gradients

    def step(self, value: float) -> None:
        """Train the networks that still keep a penalized variable at the next λ."""
        self.lambdas.append(value)
        step, points_before = len(self.lambdas), self.remaining_networks
        points = self._continued(
            [(member, step, at, value) for member, at in points_before.items()]
        )
        self.remaining_networks = {}
        for (member, low), high in zip(points_before.items(), points, strict=True):
            if high is not None and high.penalized:
                self.remaining_networks[member] = high
            if high is not None and low.value > 0.0:
                self.gaps.append(_Gap(member, step, low, high))

    def fill(self, largest: int) -> None:
        """Train at λs between two steps where a network skipped a size of at most `largest`."""
        for _ in range(HALVINGS):
            gaps = [gap for gap in self.gaps if gap.skips(largest)]
            if not gaps:
                break
            between = self._continued(
                [
                    (gap.member, gap.step, gap.low, float(np.sqrt(gap.low.value * gap.high.value)))
                    for gap in gaps
                ]
            )
            self.gaps = [
                half
                for gap, at in zip(gaps, between, strict=True)
                if at is not None
                for half in (replace(gap, high=at), replace(gap, low=at))
            ]

    def _continued(
        self, moves: list[tuple[Member, int, PathPoint, float]]
    ) -> list[PathPoint | None]:
        """Train networks (member, step, start, λ) and record them; None for one that failed."""
        members, steps, points, values = zip(*moves, strict=True)
        initial = stacked([at.weights for at in points])
        specs, trained = self._train(
            members, values, self.epochs_per_lambda, self.estimator.tol, initial=initial
        )
        return [
            self._record(step, value, spec, network, last=True) if network.failure is None else None
            for step, value, spec, network in zip(steps, values, specs, trained, strict=True)
        ]

    def _record(self, step, value, spec, network, *, last: bool) -> PathPoint:
        """Record one network at one λ: its row, and its model if it is the best of its size."""
        predictions = network.final_predictions if last else network.predictions
        layer = network.first_layer_final if last else network.first_layer
        groups = self.fit_data.groups
        kept = ~zeroed_variables(layer, groups)
        test = slice(sum(self.data.rows[:2]), None)
        row = {
            "step": step,
            "lambda": value,
            **{name: getattr(spec, name) for name in LAMBDAS},
            "seed": spec.seed,
            **({} if spec.resample is None else {"resample": spec.resample}),
            "kept": int(kept.sum()),
            "variables": tuple(groups.names[kept].tolist()),
            "score": self._score(self._judging(spec.resample), predictions),
            "objective": network.objective,
            "kkt_residual": network.kkt_residual,
            "epochs": network.final_epoch if last else network.best_epoch,
        }
        if self.fit_data.test is not None:
            row["test_score"] = self._score(test, predictions)
        self.rows.append(row)
        goodness = row["score"] if self.maximize else -row["score"]
        if row["kept"] not in self.models or goodness > self.models[row["kept"]][0]:
            model = fitted_network(
                network, spec, self.fit_data, self.estimator.activation, last=last
            )
            self.models[row["kept"]] = goodness, model
        weights = network.final_weights if last else network.weights
        return PathPoint(value, weights, row["kept"], bool(kept[self.penalized].any()))

    def _judging(self, resample: int | None) -> slice | np.ndarray:
        """The validation rows of a network; of a resample, those that are not drawn."""
        n, validation, _ = self.data.rows
        if resample is None:
            return slice(n, n + validation)
        assert self.data.resamples is not None
        return np.flatnonzero(self.data.resamples.validation[resample])

    def _score(self, part: slice | np.ndarray, predictions: np.ndarray) -> float:
        target = self.data.target[part]
        if not len(target):
            return float("nan")
        return float(
            metrics.score(self.metric, target, predictions[None, :, part], self.fit_data.task)[0]
        )

    def result(self, largest: float) -> LambdaPath:
        networks = pd.DataFrame(self.rows).sort_values(
            ["step", "lambda"], kind="stable", ignore_index=True
        )
        who = ["seed"] if "resample" not in networks else ["seed", "resample"]
        ordered = networks.sort_values("score", ascending=not self.maximize, kind="stable")
        return LambdaPath(
            networks=networks,
            best=ordered.drop_duplicates("kept").sort_values("kept", ignore_index=True),
            best_by_seed=ordered.drop_duplicates(["kept", *who]).sort_values(
                ["kept", *who], ignore_index=True
            ),
            models={kept: self.models[kept][1] for kept in sorted(self.models)},
            lambdas=np.array(self.lambdas),
            lambda_max=largest,
            metric=self.metric,
            maximize=self.maximize,
            variables=self.fit_data.groups.names,
        )
