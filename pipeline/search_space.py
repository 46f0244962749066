"""A study file → a validated, frozen SearchSpace: what is asked, what is fixed, what is searched.

Every mistake is an InputError of one sentence: the file (or the parameter), the key, what was
expected and what stood there. How configurations are drawn from it is `sampling`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline import study_yaml
from pipeline.errors import InputError
from pipeline.study_space import (
    LAMBDAS,
    Source,
    Space,
    check_cross,
    check_grid,
    check_lambdas,
    plain,
    read_space,
    without_genetic,
)

PROJECT = Path(__file__).resolve().parents[1]
MAXIMIZED = {"val_auroc": True, "val_average_precision": True, "val_accuracy": True}
MAXIMIZED |= {"val_log_loss": False}

Names = Annotated[tuple[str, ...], Field(strict=False)]


class _Keys(BaseModel):
    """Keys of a mapping in a study file; a field's description is what an error says it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def _key(default: object, expected: str, **limits: object) -> Any:
    return Field(default, description=expected, **limits)


def _fraction(default: float) -> Any:
    return _key(default, "a number between 0 and 1, both excluded", gt=0, lt=1)


def _count(default: int) -> Any:
    return _key(default, "a whole number of at least 1", ge=1)


def _seed(default: int) -> Any:
    return _key(default, "a whole number from 0 to 2147483647", ge=0, lt=2**31)


class Split(_Keys):
    """Fractions of all rows held out, and the seed that decides which rows."""

    validation_fraction: float = _fraction(0.2)
    test_fraction: float = _fraction(0.2)
    seed: int = _seed(0)


class NetworkSettings(_Keys):
    """The shape of a network. No hidden layer at all is penalised logistic regression.

    genetic_dimensions is the number of outputs of the genotype encoder (`genetic_0` …).
    """

    hidden_layer_sizes: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False)] = (
        _key((50,), "a list of whole numbers of at least 1, one a layer, such as [50]")
    )
    activation: Literal["relu", "tanh", "gelu"] = _key("relu", "relu, tanh or gelu")
    genetic_dimensions: int = _count(20)


class TrainingSettings(_Keys):
    """How a network is trained.

    final_learning_rate    fraction of learning_rate that is left at the last epoch; the fall is
                           linear.
    patience               epochs without a better validation score before a network stops; the
                           study's epochs unless given, so that none stops early.
    weight_decay           the factor of ½Σw² over the weights after the first layer.
    genetic_learning_rate  the genotype encoder's learning rate; it falls by the same fraction.
    genetic_weight_decay   each step shrinks the encoder's weights by this times its learning rate.
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
    batch_seed: int = _seed(0)


_NAMES = "a list of column names, such as [education]"


class _StudyFile(_Keys):
    """The keys of a study file, as they stand there."""

    data: str = _key("data/framingham.csv", "the path of a CSV or Parquet table", min_length=1)
    target: str = _key(..., "the name of the column to predict", min_length=1)
    categories: Names = _key((), _NAMES)
    drop: Names = _key((), _NAMES)
    families: dict[str, Names] = _key({}, "a mapping from a family's name to a list of its columns")
    inputs: Names | None = _key(None, "a list of families, such as [clinical, genetic]")
    genotypes: str = _key(
        "simulated",
        "simulated, none, or the prefix of a .bed/.bim/.fam fileset",
        min_length=1,
    )
    split: Split = _key(Split(), "a mapping such as {validation_fraction: 0.2, seed: 0}")
    objective: Literal["val_auroc", "val_average_precision", "val_accuracy", "val_log_loss"] = _key(
        "val_auroc", "one of " + ", ".join(MAXIMIZED)
    )
    sampler: Literal["qmc", "tpe", "random", "grid"] = _key("qmc", "qmc, tpe, random or grid")
    sampler_seed: int = _seed(0)
    configurations: int = _count(16)
    seeds: Any = 10
    cross: Names = _key((), "a list of keys of `space`, such as [regularizer, inputs]")
    space: dict[str, Any] = _key(..., "a mapping such as {regularizer: [l1], lambda_l1: [0.01]}")
    network: NetworkSettings = _key(NetworkSettings(), "a mapping such as {activation: relu}")
    training: TrainingSettings = _key(TrainingSettings(), "a mapping such as {epochs: 60}")
    scheduler: str = _key("local", "local or a scheduler's address", min_length=1)


@dataclass(frozen=True)
class SearchSpace:
    """A study: everything its file and the given parameters say, checked and resolved.

    space    key → a tuple of choices (one: a constant) or a Range. `regularizer` and `inputs`
             (tuples of families) always stand in it, and the lambdas that some regularizer uses.
    cross    the keys of which every combination is searched, `configurations` times each.
    seeds    the replicates; `seeds: 10` is 0 … 9.
    training.patience is None only where epochs are searched: then it is each configuration's own.
    data_replaced: a parameter named another table than the study's own, so the study's
             `categories`, `drop` and `families` may name columns that are not in it.
    """

    study: str
    path: Path
    question: str
    data: Path
    target: str
    categories: tuple[str, ...]
    drop: tuple[str, ...]
    families: Mapping[str, tuple[str, ...]]
    genotypes: str
    split: Split
    objective: str
    sampler: str
    sampler_seed: int
    configurations: int
    seeds: tuple[int, ...]
    cross: tuple[str, ...]
    space: Space
    network: NetworkSettings
    training: TrainingSettings
    scheduler: str
    data_replaced: bool
    warnings: tuple[str, ...]

    @property
    def maximize(self) -> bool:
        """Whether a larger objective is better."""
        return MAXIMIZED[self.objective]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every family that some configuration uses: clinical, the user's own, genetic."""
        used = {family for families in self.space["inputs"] for family in families}
        return tuple(f for f in _known_families(self.families) if f in used)

    def settings(self) -> dict[str, object]:
        """Everything resolved, as plain JSON values, for the reader and for reproduction."""
        return {
            "study": self.study,
            "data": study_yaml.shown(self.data),
            "genotypes": self.genotypes,
            "configurations": self.configurations,
            "seeds": list(self.seeds),
            "scheduler": self.scheduler,
            **{key: value for key, value in self.identity().items() if key != "genotypes"},
        }

    def identity(self) -> dict[str, object]:
        """What decides a network's result or which configurations come, as plain JSON values.

        Not in it: the study's name, question and place, `configurations`, `seeds`, `scheduler`,
        and the paths of table and fileset, whose contents need fingerprints of their own.
        """
        kind = self.genotypes if self.genotypes in ("simulated", "none") else "plink"
        return {
            "target": self.target,
            "categories": sorted(self.categories),
            "drop": sorted(self.drop),
            "families": {name: sorted(columns) for name, columns in self.families.items()},
            "genotypes": kind,
            "split": self.split.model_dump(),
            "objective": self.objective,
            "sampler": self.sampler,
            "sampler_seed": self.sampler_seed,
            "cross": list(self.cross),
            "space": {key: plain(values) for key, values in self.space.items()},
            "network": self.network.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
        }


def load_search_space(
    study: str,
    overrides: Mapping[str, object] | None = None,
    directory: Path = PROJECT / "search_spaces",
) -> SearchSpace:
    """The study named `study` in `directory`, or at a path, with given parameters put over it.

    overrides: parameters by name, any key of a study file or of its `network` and `training`
    (`epochs`); None and "" mean not given, text is read as in YAML, lists may be comma-separated.
    One that the study searches is then a constant. Raises InputError for anything that is wrong.
    """
    path = study_yaml.find_study(study, Path(directory))
    question, content = study_yaml.read_study(path)
    given = {k: v for k, v in (overrides or {}).items() if v is not None and v != ""}
    for key, value in given.items():
        _put(content, key, value)
    source = Source(study_yaml.shown(path), frozenset(given))
    for key in content:
        if key in _SECTION_OF and key not in _StudyFile.model_fields:
            law = f"`{key}` must stand under `{_SECTION_OF[key]}:`"
            raise InputError(f"{source.file}: {law}, but got it at the top.")
    keys = _validated(_StudyFile, content, source)
    return _resolve(keys, source, path, question)


def _resolve(keys: _StudyFile, source: Source, path: Path, question: str) -> SearchSpace:
    """A study's keys, each right by itself → a SearchSpace whose keys fit together."""
    _check_columns(keys, source)
    families = _known_families(keys.families)
    if keys.inputs is not None and "inputs" in keys.space:
        source.fail("inputs", "left out where `space.inputs` is given", list(keys.inputs))
    inputs = keys.inputs if keys.inputs is not None else families
    models = {"network": NetworkSettings, "training": TrainingSettings}
    space = read_space(keys.space, inputs, families, models, source)
    warnings: tuple[str, ...] = ()
    if keys.genotypes == "none":
        space, warnings = without_genetic(space, source)
    cross = tuple(dict.fromkeys(keys.cross))
    check_lambdas(space, source)
    check_cross(space, cross, source)
    if keys.sampler == "grid":
        check_grid(space, source)
    training = keys.training
    if training.patience is None and "epochs" not in space:
        training = training.model_copy(update={"patience": training.epochs})
    shared = {name: getattr(keys, name) for name in _UNCHANGED}
    return SearchSpace(
        **shared,
        study=path.stem,
        path=path,
        question=question,
        data=_located(keys.data, source, "data", path),
        genotypes=_located_genotypes(keys.genotypes, source, path),
        seeds=_seeds(keys.seeds, source),
        cross=cross,
        space=space,
        training=training,
        data_replaced="data" in source.given,
        warnings=warnings,
    )


_UNCHANGED = (
    "target",
    "categories",
    "drop",
    "families",
    "split",
    "objective",
    "sampler",
)
_UNCHANGED += ("sampler_seed", "configurations", "network", "scheduler")


def _put(content: dict, key: str, value: object) -> None:
    """Lays the parameter `key` over a study file's content, as a constant."""
    section: Any = content
    fields = _StudyFile.model_fields
    for name, model in (("network", NetworkSettings), ("training", TrainingSettings)):
        if key in model.model_fields:
            section, fields = content.setdefault(name, {}), model.model_fields
    if key not in fields:
        near = study_yaml.did_you_mean(key, [*_StudyFile.model_fields, *_SECTION_OF])
        raise InputError(f"parameter `{key}` is not known{near or '.'}")
    if not isinstance(section, dict):
        return
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str) and key not in _TEXTS:
        is_list = "," in value or key in _LISTS
        if key == "inputs":
            value = value.replace("+", ",")
        value = study_yaml.parse_value(f"[{value}]" if is_list and "[" not in value else value)
    section[key] = value
    if isinstance(content.get("space"), dict) and key in content["space"]:
        del content["space"][key]
        if isinstance(content.get("cross"), list):
            content["cross"] = [crossed for crossed in content["cross"] if crossed != key]


_SECTION_OF = {
    **dict.fromkeys(("regularizer", *LAMBDAS), "space"),
    **dict.fromkeys(NetworkSettings.model_fields, "network"),
    **dict.fromkeys(TrainingSettings.model_fields, "training"),
}
_LISTS = ("categories", "drop", "inputs", "cross")
_TEXTS = (
    "data",
    "target",
    "genotypes",
    "objective",
    "sampler",
    "scheduler",
    "activation",
)


def _validated(model: type[BaseModel], content: object, source: Source) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise source.translated(error, model) from None


def _check_columns(keys: _StudyFile, source: Source) -> None:
    """The laws between target, drop, families and split."""
    if keys.target in keys.drop:
        source.fail("drop", f"without the target {keys.target!r}", list(keys.drop))
    owner: dict[str, str] = {}
    for family, columns in keys.families.items():
        if family in ("clinical", "genetic") or "+" in family:
            source.fail("families", "named other than clinical or genetic, without '+'", family)
        for column in columns:
            if owner.setdefault(column, family) != family:
                source.fail(
                    "families",
                    "such that each column is in one",
                    f"{column!r} in two families",
                )
    held_out = keys.split.validation_fraction + keys.split.test_fraction
    if held_out >= 1:
        source.fail("split", "such that validation_fraction + test_fraction < 1", held_out)


def _known_families(families: Mapping[str, object]) -> tuple[str, ...]:
    return ("clinical", *families, "genetic")


def _seeds(value: object, source: Source) -> tuple[int, ...]:
    """`10` → 0 … 9; a list of seeds → itself."""
    if type(value) is int and 1 <= value <= 100_000:
        return tuple(range(value))
    seeds = value if isinstance(value, list) else []
    whole = all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
    if not seeds or not whole or len(set(seeds)) < len(seeds):
        expected = "how many seeds, from 1 to 100000, or a list of different seeds of at least 0"
        source.fail("seeds", expected, value)
    return tuple(seeds)


def _located(text: str, source: Source, key: str, study: Path) -> Path:
    """A path of a study file is relative to the file or the project; a parameter's, to here."""
    path = Path(text).expanduser()
    near = Path.cwd() if key in source.given else study.resolve().parent
    for base in (near, PROJECT):
        if (base / path).exists() or (base / f"{path}.bed").exists():
            return base / path
    return (near if key in source.given else PROJECT) / path


def _located_genotypes(genotypes: str, source: Source, study: Path) -> str:
    if genotypes in ("simulated", "none"):
        return genotypes
    prefix = _located(genotypes, source, "genotypes", study)
    if not Path(f"{prefix}.bed").is_file():
        expected = str(_StudyFile.model_fields["genotypes"].description)
        near = study_yaml.did_you_mean(genotypes, ("simulated", "none"))
        source.fail("genotypes", expected, genotypes, near or f" (there is no {genotypes}.bed)")
    return str(prefix)
