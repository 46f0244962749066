"""The keys of a study file: each key's type, default and limits, and what an error says of it.

An error uses a field's description: "`key` must be <description>". `docs/studies.md` explains the
keys to a person, and a test holds it to these models.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.metrics import metrics

MAXIMIZED = {f"val_{name}": larger for name, larger in metrics.MAXIMIZED.items()}
"""Objective → whether larger is better."""

OBJECTIVES = {
    task: tuple(f"val_{name}" for name in names) for task, names in metrics.OF_TASK.items()
}
"""Task → the objectives a study may have, its default first."""

OBJECTIVES_OF_ANY_TASK = tuple(dict.fromkeys(o for of_task in OBJECTIVES.values() for o in of_task))

ENTROPY, KEPT = "solution_entropy", "kept_variables"
"""Objectives of a configuration: bits of disagreement over its seeds; variables left, mean."""

Names = Annotated[tuple[str, ...], Field(strict=False)]
Metric = Literal[OBJECTIVES_OF_ANY_TASK]  # type: ignore[valid-type]


class _Keys(BaseModel):
    """Keys of a mapping in a study file; a field's description is what an error says it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _key(default: Any, expected: str, **limits: Any) -> Any:
    return Field(default, description=expected, **limits)


def _fraction(default: float) -> Any:
    return _key(default, "a number between 0 and 1, both excluded", gt=0, lt=1)


def _count(default: int | None) -> Any:
    return _key(default, "a whole number of at least 1", ge=1)


def _seed(default: int) -> Any:
    return _key(default, "a whole number from 0 to 2147483647", ge=0, lt=2**31)


class Split(_Keys):
    """Fractions of all rows held out, and the seed that decides which rows."""

    validation_fraction: float = _fraction(0.2)
    test_fraction: float = _fraction(0.2)
    seed: int = _seed(0)


class ResampleSettings(_Keys):
    """Who else might have been in the table: on which rows each configuration is trained anew.

    fraction  share of the people of a subsample.
    count     how many subsamples, in pairs without a person in common, or bootstrap samples.
    folds     parts of a partition, each left out once.
    repeats   how many partitions.
    seed      decides who is drawn.
    """

    kind: Literal["subsample", "bootstrap", "folds"] = _key(..., "subsample, bootstrap or folds")
    fraction: float = _key(
        0.5,
        "a number above 0 and at most 0.5, so that two subsamples can have nobody in common",
        gt=0,
        le=0.5,
    )
    count: int = _key(
        100,
        "a whole number from 2 to 10000, an even one of subsamples, which come in pairs",
        ge=2,
        le=10_000,
    )
    folds: int = _key(
        5, "a whole number from 3 to 100: one is left out, one picks the best epoch", ge=3, le=100
    )
    repeats: int = _key(10, "a whole number from 1 to 1000", ge=1, le=1_000)
    seed: int = _seed(0)

    @property
    def draws(self) -> int:
        """R, how many resamples there are."""
        return self.folds * self.repeats if self.kind == "folds" else self.count

    @property
    def word(self) -> str:
        """As a parameter has it: `subsample:100`, `folds:5x10`."""
        much = f"{self.folds}x{self.repeats}" if self.kind == "folds" else f"{self.count}"
        return f"{self.kind}:{much}"


class NetworkSettings(_Keys):
    """The shape of a network. No hidden layer at all is a penalized generalized linear model.

    dropout             share of the units set to 0 after each hidden layer while training: it acts
                        on the layers after the first, never on the inputs.
    genetic_dimensions  outputs of the genotype encoder (`genetic_0` …).
    """

    hidden_layer_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] = (
        _key((50,), "a list of whole numbers of at least 1, one a layer, such as [50]")
    )
    activation: Literal["relu", "tanh", "gelu"] = _key("relu", "relu, tanh or gelu")
    dropout: float = _key(0.0, "a number of at least 0 and below 1", ge=0, lt=1)
    genetic_dimensions: int = _count(20)


ClassWeight = (
    Literal["none", "balanced"]
    | dict[bool | int | float | str, Annotated[float, Field(gt=0, lt=1e30)]]
)


class TrainingSettings(_Keys):
    """How a network is trained.

    final_learning_rate    fraction of learning_rate that is left at the last epoch; the fall is
                           linear.
    patience               epochs without a better validation score before a network stops; the
                           study's epochs unless given, so that none stops early.
    weight_decay           the factor of ½Σw² over the weights after the first layer.
    genetic_learning_rate  the genotype encoder's learning rate; it falls by the same fraction.
    genetic_weight_decay   each step shrinks the encoder's weights by this times its learning rate.
    class_weight           weight of a training row by its class: none, balanced or label → weight.
    batch_seed             decides the order of the batches, and nothing else does.
    """

    epochs: int = _count(60)
    batch_size: int = _count(128)
    learning_rate: float = _key(0.001, "a number above 0", gt=0)
    final_learning_rate: float = _key(
        0.05, "a fraction of learning_rate above 0 and at most 1", gt=0, le=1
    )
    patience: int | None = _count(None)
    weight_decay: float = _key(0.0, "a number of at least 0", ge=0)
    genetic_learning_rate: float = _key(0.01, "a number above 0", gt=0)
    genetic_weight_decay: float = _key(0.3, "a number of at least 0", ge=0)
    class_weight: ClassWeight = _key(
        "none", "none, balanced, or a mapping from labels to numbers above 0, such as {0: 1, 1: 5}"
    )
    batch_seed: int = _seed(0)


SCHEDULER = r"^(local|processes:[1-9]\d{0,3}|(tcp|tls)://[^\s/]+:\d+|[^\s:].*\.ya?ml)$"
MissingCodes = Annotated[tuple[int | float | str, ...], Field(strict=False)]
NumberFormat = Literal["1,234.5", "1.234,5"]
_NAMES = "a list of column names, such as [education]"
Thresholds = Annotated[
    tuple[Annotated[float, Field(gt=0, lt=1)], ...],
    Field(strict=False, min_length=1, max_length=10),
]
Bounds = Annotated[tuple[float, ...], Field(strict=False)]


class StudyFile(_Keys):
    """The keys of a study file, as they stand there."""

    data: str = _key("data/framingham.csv", "the path of a CSV or Parquet table", min_length=1)
    target: str = _key(..., "the name of the column to predict", min_length=1)
    task: Literal["auto", "binary", "multiclass", "regression"] = _key(
        "auto", "auto, binary, multiclass or regression"
    )
    case: bool | int | float | str | None = _key(
        None, "the label of the class that is a case, of a binary target"
    )
    categories: Names = _key((), _NAMES)
    drop: Names = _key((), _NAMES)
    families: dict[str, Names] = _key({}, "a mapping from a family's name to a list of its columns")
    groups: dict[str, Names] = _key(
        {}, "a mapping from a group's name to a list of its columns, such as {lipids: [hdl, ldl]}"
    )
    unpenalized: Names = _key((), "a list of variables that stay in, such as [age, male]")
    sample_weight: str | None = _key(
        None, "the name of a column of positive numbers, one weight a row", min_length=1
    )
    inputs: Names | None = _key(None, "a list of families, such as [clinical, genetic]")
    genotypes: str = _key(
        "simulated",
        "simulated, none, or the prefix of a .bed/.bim/.fam fileset",
        min_length=1,
    )
    id: (
        Annotated[str, Field(min_length=1)]
        | Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=2)]
        | None
    ) = _key(
        None,
        "the name of the column of people's ids, as in the .fam, or the names of those of its "
        "first two columns, such as [FID, IID]",
    )
    person: str | None = _key(
        None, "the name of the column that says whose row it is", min_length=1
    )
    keep: Names = _key((), _NAMES)
    numbers: NumberFormat | dict[str, NumberFormat] | None = _key(
        None, "1,234.5 or 1.234,5, or a mapping from columns to one of them"
    )
    missing: MissingCodes | dict[str, MissingCodes] = _key(
        (), "a list of texts and numbers, such as [-9, unknown], or a mapping from columns to them"
    )
    dates: Names = _key((), _NAMES)
    rare_level_people: int = _count(5)
    principal_components: int = _key(0, "a whole number from 0 to 100", ge=0, le=100)
    minor_allele_frequency: float = _key(0.01, "a number of at least 0 and below 0.5", ge=0, lt=0.5)
    missing_rate: float = _key(0.1, "a number from 0 to 1", ge=0, le=1)
    split: Split = _key(Split(), "a mapping such as {validation_fraction: 0.2, seed: 0}")
    objective: (
        Metric
        | Literal[ENTROPY]  # type: ignore[valid-type]
        | Annotated[tuple[Metric, Literal[KEPT]], Field(strict=False)]  # type: ignore[valid-type]
        | None
    ) = _key(
        None,
        f"one of {', '.join(OBJECTIVES_OF_ANY_TASK)}; {ENTROPY}; or a list of one of the former "
        f"and {KEPT}, such as [val_auroc, {KEPT}]",
    )
    sampler: Literal["qmc", "tpe", "random", "grid"] = _key("qmc", "qmc, tpe, random or grid")
    sampler_seed: int = _seed(0)
    configurations: int = _count(16)
    seeds: Any = _key(10, "how many seeds, or a list of different seeds of at least 0")
    resamples: Any = _key("none", "none, or a mapping such as {kind: subsample, count: 100}")
    cross: Names = _key((), "a list of keys of `space`, such as [regularizer, inputs]")
    space: dict[str, Any] = _key(..., "a mapping such as {regularizer: [l1], lambda_l1: [0.01]}")
    network: NetworkSettings = _key(NetworkSettings(), "a mapping such as {activation: relu}")
    training: TrainingSettings = _key(TrainingSettings(), "a mapping such as {epochs: 60}")
    thresholds: Thresholds | None = _key(
        None, "a list of one to ten numbers between 0 and 1, such as [0.1, 0.2]"
    )
    report_by: Names | dict[str, Bounds] = _key(
        (),
        "a list of columns, such as [sex, age], or a mapping from columns to the bounds of their "
        "bands, such as {sex: [], age: [45, 55]}",
    )
    baselines: bool | Literal["none"] = _key(True, "true, false or none")
    scheduler: str = _key(
        "local",
        "local, processes:N, tcp://host:port, tls://host:port or a cluster file (.yaml)",
        pattern=SCHEDULER,
    )


STUDY_KEYS = tuple(StudyFile.model_fields)
"""The keys at the top of a study file."""
