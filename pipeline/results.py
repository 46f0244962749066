"""Results of trained networks and of studies: all that `study` hands to `report`.

Shapes: p columns, g variables, h units of the first layer, T epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


THE_TABLE = -1
"""In place of a resample's number: the table as it is split."""

ReplicateKey = tuple[int, int, int]
"""(configuration, seed, resample or THE_TABLE): which network of a study."""


def replicate_key(params: Mapping[str, Any]) -> ReplicateKey:
    """Of a network's params, which have a `resample` where it trained on one."""
    resample = params.get("resample", THE_TABLE)
    return int(params["configuration"]), int(params["seed"]), int(resample)


def network_name(params: Mapping[str, Any]) -> str:
    """`<regularizer> c<configuration> s<seed>`, and `r<resample>` where it trained on one."""
    configuration, seed, resample = replicate_key(params)
    drawn = "" if resample == THE_TABLE else f" r{resample}"
    return f"{params['regularizer']} c{configuration} s{seed}{drawn}"


ANCESTRY = "ancestry"
"""The family of principal components of genotypes: inputs of every network, never penalized."""


@dataclass(frozen=True)
class Inputs:
    """The columns of a network's input, in order, with the variable and the family of each.

    A variable is what a person would call one: a single column, or all one-hot columns of a
    category together with its missing-indicator. A family is ``clinical``, ``genetic``, or a name
    of the user's own.
    """

    columns: tuple[str, ...]
    variables: tuple[str, ...]
    families: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.columns) == len(self.variables) == len(self.families):
            raise ValueError(
                "every column has one variable and one family, but got "
                f"{len(self.columns)} columns, {len(self.variables)} variables and "
                f"{len(self.families)} families"
            )

    @cached_property
    def variable_names(self) -> tuple[str, ...]:
        """The g distinct variables, in the order of their first column."""
        return tuple(dict.fromkeys(self.variables))

    @property
    def penalized(self) -> int:
        """How many variables there are without ancestry, on which no penalty acts: what `kept`
        counts, and `zeroed`, wherever they are counted."""
        return sum(family != ANCESTRY for family in self.family_of.values())

    @cached_property
    def family_of(self) -> dict[str, str]:
        """Variable → family."""
        return dict(zip(self.variables, self.families, strict=True))

    @cached_property
    def group_index(self) -> np.ndarray:
        """(p,) integers: the position in `variable_names` of each column's variable."""
        position = {name: i for i, name in enumerate(self.variable_names)}
        index = np.array([position[name] for name in self.variables], dtype=np.int64)
        index.flags.writeable = False  # it is handed out again and again
        return index

    def only(self, families: tuple[str, ...]) -> Inputs:
        """The columns of these families, in the same order."""
        return self.at([i for i, family in enumerate(self.families) if family in families])

    def at(self, positions: Iterable[int]) -> Inputs:
        """The columns at these positions, in their order."""
        positions = list(positions)
        every = self.columns, self.variables, self.families
        return Inputs(*(tuple(names[i] for i in positions) for names in every))

    def __add__(self, other: Inputs) -> Inputs:
        return Inputs(
            self.columns + other.columns,
            self.variables + other.variables,
            self.families + other.families,
        )


def variables_kept(columns_kept: np.ndarray, inputs: Inputs) -> np.ndarray:
    """(…, g) booleans: whether any column of each variable is kept, from (…, p) of the columns."""
    columns_kept, index = np.asarray(columns_kept, dtype=bool), inputs.group_index
    order = np.argsort(index, kind="stable")
    if not len(order):
        return columns_kept
    first = np.flatnonzero(np.diff(index[order], prepend=-1))
    return np.logical_or.reduceat(columns_kept[..., order], first, axis=-1)


def kept_variables(first_layer: np.ndarray, inputs: Inputs) -> dict[str, bool]:
    """Variable → whether any of its first-layer weights differs from exactly 0.0.

    first_layer is (p, h). There is no threshold: a variable is zeroed if and only if every weight
    of every one of its columns is 0.0.
    """
    column_kept = np.any(np.asarray(first_layer) != 0.0, axis=1)
    return dict(zip(inputs.variable_names, variables_kept(column_kept, inputs).tolist()))


def variable_norms(first_layer: np.ndarray | None, inputs: Inputs) -> dict[str, float]:
    """Variable → ‖W_g‖_F of its columns' (p, h) first-layer weights; empty without weights."""
    if first_layer is None:
        return {}
    squares = np.square(np.asarray(first_layer, np.float64)).sum(axis=1)
    sums = np.bincount(inputs.group_index, squares, len(inputs.variable_names))
    return dict(zip(inputs.variable_names, np.sqrt(sums).tolist(), strict=True))


@dataclass(frozen=True)
class NetworkResult:
    """One network: a configuration from one seed, one trial, one run.

    params       `regularizer lambda_l1 lambda_l2 lambda_group inputs seed configuration` and every
                 other searched or fixed value; `inputs` is families joined by '+'. `resample` too
                 where it trained on one.
    metrics      name → number, named as docs/architecture.md lists them.
    curves       name → (T,) values, one an epoch, epoch 1 first; names without the `epoch_` prefix
                 under which they are tracked: `train_loss val_auroc kept_clinical kept_genetic`.
    first_layer, first_layer_final
                 (p, h) weights at the best and at the last epoch.
    died         variable → the first epoch from which it stays zeroed, to the last epoch and in the
                 final state; not in it are variables that are kept in the end, or that only the
                 solvers zeroed after the last epoch.
    resamples    `best` and `last` → (B,) the objective's metric on resampled test rows, the same
                 resamples for every network (pipeline.metrics.bootstrap).
    layers       (weights (inputs, outputs), bias (outputs,)) of every layer at the best epoch,
                 float32; inputs of the first are the columns of `inputs`.
    failure      why training ended early with no usable network; then metrics and weights may be
                 empty.
    key          what decided its numbers, as two digests (pipeline.study.identity): networks of one
                 key are the same network.
    made_with    engine, code and libraries that trained it.
    processor    the kind of the machine's processor that trained it.
    solution     what it keeps at the last epoch, in words; none of a failed one.
    copied_from  the run that this one repeats, of another study or an earlier storage.
    """

    params: Mapping[str, str | int | float]
    inputs: Inputs
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    first_layer: np.ndarray | None = None
    first_layer_final: np.ndarray | None = None
    died: Mapping[str, int] = field(default_factory=dict)
    resamples: Mapping[str, np.ndarray] = field(default_factory=dict)
    layers: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    failure: str | None = None
    trial: int | None = None
    run_id: str | None = None
    key: str = ""
    made_with: str = ""
    processor: str = ""
    solution: str | None = None
    copied_from: str | None = None

    @property
    def configuration(self) -> int:
        return int(self.params["configuration"])

    @property
    def seed(self) -> int:
        return int(self.params["seed"])

    @property
    def replicate_key(self) -> ReplicateKey:
        return replicate_key(self.params)

    @property
    def name(self) -> str:
        """The name of the network's run."""
        return network_name(self.params)

    @cached_property
    def kept(self) -> Mapping[str, Mapping[str, bool]]:
        """`best` and `last`, where there are weights → `kept_variables`."""
        layers = {"best": self.first_layer, "last": self.first_layer_final}
        return {e: kept_variables(w, self.inputs) for e, w in layers.items() if w is not None}


@dataclass(frozen=True)
class StudyRecord:
    """What a reader must know of a study besides its networks.

    study_id     identifies the study: its name, and what decides which networks it has (engine,
                 data, target, split, genotypes, network, training, space).
    place        its report's folder and the name of its champion, `lariat-<place>`: the study's
                 name, and its id behind it where another study has that name.
    objective    the validation metric that ranks configurations, e.g. `val_auroc`.
    maximize     whether larger is better.
    objectives   what the sampler optimizes; empty for the objective alone.
    settings     the study file's content as resolved, for the reader and for reproduction.
    facts        what the data were: e.g. rows by split, cases, columns, `data_sha256`.
    warnings     sentences shown to the reader (dropped columns and the like).
    columns      (variable of the table, what it was read as) in the table's order.
    """

    study: str
    study_id: str
    question: str
    target: str
    objective: str
    maximize: bool
    genotypes: str
    settings: Mapping[str, object]
    facts: Mapping[str, str | int | float]
    warnings: tuple[str, ...] = ()
    command: str = ""
    objectives: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()
    run_id: str | None = None
    place: str = ""

    @property
    def simulated(self) -> bool:
        """Whether genetic results come from simulated genotypes, which every page must say."""
        return self.genotypes == "simulated"


@dataclass(frozen=True, eq=False)
class Appraisal:
    """How a study's model does on its test rows, in aggregates that name nobody: facts by name, and
    tables by name, as `pipeline.appraisal` makes them."""

    facts: Mapping[str, object]
    tables: Mapping[str, pd.DataFrame]


@dataclass(frozen=True)
class StudyResults:
    """A study's record and its networks, finished and failed.

    variants  rows of variants with their weights, as `pipeline.study.variant_search` says; none
              where every genetic dimension is zeroed, None without genotypes.
    appraisal of the best configuration's networks; None of a study that has not ended, or of one
              that an earlier version ended.
    people    of a study with resamples, tables by name that were gathered over people when it ended
              (`pipeline.people.prediction_tables`, `cross_validation`): no row is of one of them.
    """

    record: StudyRecord
    networks: tuple[NetworkResult, ...]
    variants: pd.DataFrame | None = None
    appraisal: Appraisal | None = None
    people: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def finished(self) -> tuple[NetworkResult, ...]:
        return tuple(n for n in self.networks if n.failure is None)

    @property
    def failed(self) -> tuple[NetworkResult, ...]:
        return tuple(n for n in self.networks if n.failure is not None)
