"""A study file → a validated, frozen SearchSpace: what is asked, what is fixed, what is searched.

Every mistake is an InputError of one sentence: the file (or the parameter), the key, what was
expected and what stood there. How configurations are drawn from it is in `sampling`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.errors import InputError
from pipeline.results import ANCESTRY
from pipeline.search_space import yaml12 as study_yaml
from pipeline.search_space.located import (
    PROJECT,
    is_file,
    located,
    located_genotypes,
    located_scheduler,
)
from pipeline.search_space.overrides import SECTION_OF, by_present_names, put
from pipeline.search_space.resamples import decides, read_resamples, shown
from pipeline.search_space.schema import (
    ENTROPY,
    KEPT,
    MAXIMIZED,
    OBJECTIVES,
    NetworkSettings,
    ResampleSettings,
    Split,
    StudyFile,
    TrainingSettings,
)
from pipeline.search_space.space import (
    Source,
    Space,
    check_cross,
    check_grid,
    check_lambdas,
    plain,
    read_space,
    without_genetic,
)


@dataclass(frozen=True)
class SearchSpace:
    """A study: everything its file and the parameters say, checked and resolved.

    space    key → a tuple of choices (one: a constant) or a Range. `regularizer` and `inputs`
             (tuples of families) always stand in it, and the lambdas that some regularizer uses.
    cross    the keys of which every combination is searched, `configurations` times each.
    seeds    the replicates; `seeds: 10` is 0 … 9.
    resamples  on whose rows each configuration is trained besides, from each seed; None: on the
             table alone.
    training.patience is None only where epochs are searched: then it is each configuration's own.
    task     `auto` until the table is read and `for_task` is called.
    written_objective  as in the study: a name, two of them, or None where it is left to the task.
    data_replaced: a parameter named another table than the study's own, so the study's
             `categories`, `drop`, `families`, `groups` and `unpenalized` may name columns that
             are not in it, unless they are parameters too.
    report_by    column → the bounds of its bands; none are left to its quantiles, and to levels.
    parameters   names of the keys that were given as parameters.
    """

    study: str
    path: Path
    question: str
    data: Path
    target: str
    task: str
    case: bool | int | float | str | None
    categories: tuple[str, ...]
    drop: tuple[str, ...]
    families: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]
    unpenalized: tuple[str, ...]
    sample_weight: str | None
    genotypes: str
    id: str | tuple[str, ...] | None
    person: str | None
    keep: tuple[str, ...]
    numbers: str | Mapping[str, str] | None
    missing: Sequence[int | float | str] | Mapping[str, Sequence[int | float | str]]
    dates: tuple[str, ...]
    rare_level_people: int
    principal_components: int
    minor_allele_frequency: float
    missing_rate: float
    split: Split
    written_objective: str | tuple[str, str] | None
    sampler: str
    sampler_seed: int
    configurations: int
    seeds: tuple[int, ...]
    resamples: ResampleSettings | None
    cross: tuple[str, ...]
    space: Space
    network: NetworkSettings
    training: TrainingSettings
    scheduler: str
    thresholds: tuple[float, ...] | None
    report_by: Mapping[str, tuple[float, ...]]
    baselines: bool
    data_replaced: bool
    parameters: frozenset[str]
    warnings: tuple[str, ...]

    @property
    def objective(self) -> str:
        """The metric of the validation rows that decides; the task's default unless given.

        It picks every network's best epoch and ranks configurations, whatever the sampler seeks.
        """
        default = OBJECTIVES["binary" if self.task == "auto" else self.task][0]
        return self._written_metric or default

    @property
    def _written_metric(self) -> str | None:
        written = self.written_objective
        return written[0] if isinstance(written, tuple) else None if written == ENTROPY else written

    @property
    def objectives(self) -> tuple[str, ...]:
        """The sampler's objectives of a configuration, by name."""
        if self.written_objective == ENTROPY:
            return (ENTROPY,)
        return (
            (self.objective, KEPT)
            if isinstance(self.written_objective, tuple)
            else (self.objective,)
        )

    @property
    def maximized(self) -> tuple[bool, ...]:
        """Whether larger is better, for each of `objectives`."""
        return tuple({ENTROPY: True, KEPT: False}.get(o, self.maximize) for o in self.objectives)

    @property
    def maximize(self) -> bool:
        """Whether a larger objective is better."""
        return MAXIMIZED[self.objective]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every family that some configuration uses: clinical, the user's own, genetic."""
        used = {family for families in self.space["inputs"] for family in families}
        return tuple(f for f in _known_families(self.families) if f in used)

    @property
    def _ancestry(self) -> dict[str, object]:
        """Only where it is asked for: studies without it keep their identity."""
        count = self.principal_components
        return {"principal_components": count} if count else {}

    def for_task(self, task: str) -> SearchSpace:
        """The study with its task known. Raises InputError where its objective is another's."""
        fitting = OBJECTIVES[task]
        if self._written_metric not in (None, *fitting):
            if "task" in self.parameters and "objective" not in self.parameters:
                return replace(self, task=task, written_objective=None)  # the file's is another's
            raise InputError(
                f"the objective of a {task} target must be one of {', '.join(fitting)}, but got "
                f"{self._written_metric}; change `objective` in {study_yaml.shown(self.path)}, or "
                f"its `task` if {self.target} is to be predicted as something else"
            )
        return replace(self, task=task)

    def settings(self) -> dict[str, Any]:
        """Everything resolved, as plain JSON values, for the reader and for reproduction.

        Of files the names alone: folders may name a person.
        """
        return {
            "study": self.study,
            "data": self.data.name,
            "genotypes": Path(self.genotypes).name,
            "configurations": self.configurations,
            "seeds": list(self.seeds),
            "scheduler": Path(self.scheduler).name if is_file(self.scheduler) else self.scheduler,
            **{key: value for key, value in self.identity().items() if key != "genotypes"},
            **({"resamples": shown(self.resamples)} if self.resamples else {}),
            **self._appraisal(),
        }

    def _appraisal(self) -> dict[str, Any]:
        """The keys on what is measured at the end that are not at their default: no network's
        numbers depend on them, nor which networks a study has."""
        by = {column: list(bounds) for column, bounds in self.report_by.items()}
        stated = {
            "thresholds": list(self.thresholds) if self.thresholds else None,
            "report_by": by or None,
            "baselines": None if self.baselines else False,
        }
        return {key: value for key, value in stated.items() if value is not None}

    def identity(self) -> dict[str, Any]:
        """What decides a network's result or which configurations come, as plain JSON values.

        Not in it: the study's name, question and place, `configurations`, `seeds`, how many
        resamples there are, `scheduler`, and the paths of table and fileset, whose contents have
        fingerprints instead.
        """
        kind = self.genotypes if self.genotypes in ("simulated", "none") else "plink"
        return {
            "target": self.target,
            "task": self.task,
            "categories": sorted(self.categories),
            "drop": sorted(self.drop),
            "families": {name: sorted(columns) for name, columns in self.families.items()},
            "groups": {name: sorted(columns) for name, columns in self.groups.items()},
            "unpenalized": sorted(self.unpenalized),
            "sample_weight": self.sample_weight,
            "genotypes": kind,
            "id": list(self.id) if isinstance(self.id, tuple) else self.id,
            "minor_allele_frequency": self.minor_allele_frequency,
            "missing_rate": self.missing_rate,
            **self._ancestry,
            "split": self.split.model_dump(),
            "objective": list(self.objectives) if len(self.objectives) > 1 else self.objectives[0],
            "sampler": self.sampler,
            "sampler_seed": self.sampler_seed,
            "cross": list(self.cross),
            "space": {key: plain(values) for key, values in self.space.items()},
            "network": self.network.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            **self._reading(),
            **({"resamples": decides(self.resamples)} if self.resamples else {}),
        }

    def _reading(self) -> dict[str, object]:
        """The keys on how the table is read that are not at their default."""
        values = {name: getattr(self, name) for name in _READING}
        fields = StudyFile.model_fields
        as_json = json.loads(json.dumps(values))
        return {k: v for k, v in as_json.items() if values[k] != fields[k].default}


def load_search_space(
    study: str,
    overrides: Mapping[str, Any] | None = None,
    directory: Path = PROJECT / "search_spaces",
) -> SearchSpace:
    """The study named `study` in `directory`, or at a path, with parameters put over it.

    overrides: parameters by name, any key of a study file or of its `network` and `training`
    (`epochs`); None and "" mean not given, text is read as in YAML, lists may be comma-separated.
    One that the study searches is then a constant. Raises InputError for anything that is wrong.
    """
    path = study_yaml.find_study(study, Path(directory))
    question, content = study_yaml.read_study(path)
    content = by_present_names(content)
    parameters = {k: v for k, v in (overrides or {}).items() if v is not None and v != ""}
    parameters = by_present_names(parameters)
    for key, value in parameters.items():
        put(content, key, value)
    source = Source(study_yaml.shown(path), frozenset(parameters))
    for key in content:
        if key in SECTION_OF and key not in StudyFile.model_fields:
            expected = f"`{key}` must stand under `{SECTION_OF[key]}:`"
            raise InputError(f"{source.file}: {expected}, but got it at the top.")
    keys = _validated(StudyFile, content, source)
    return _resolve(keys, source, path, question)


def _resolve(keys: StudyFile, source: Source, path: Path, question: str) -> SearchSpace:
    """A study's keys, each right by itself → a SearchSpace whose keys fit together."""
    _check_columns(keys, source)
    families = _known_families(keys.families)
    if keys.inputs is not None and "inputs" in keys.space:
        source.fail("inputs", "left out where `space.inputs` is given", list(keys.inputs))
    inputs = keys.inputs if keys.inputs is not None else families
    models: dict[str, type[BaseModel]] = {"network": NetworkSettings, "training": TrainingSettings}
    space = read_space(keys.space, inputs, families, models, source)
    warnings: tuple[str, ...] = ()
    if keys.genotypes == "none":
        space, warnings = without_genetic(space, source)
        if keys.principal_components:
            keys = keys.model_copy(update={"principal_components": 0})
            warnings += ("without genotypes there are no principal components",)
    cross = tuple(dict.fromkeys(keys.cross))
    check_lambdas(space, source)
    check_cross(space, cross, source)
    if keys.sampler == "grid":
        check_grid(space, source)
    training = keys.training
    if training.patience is None and "epochs" not in space:
        training = training.model_copy(update={"patience": training.epochs})
    shared = {name: getattr(keys, name) for name in _UNCHANGED}
    search_space = SearchSpace(
        **shared,
        written_objective=keys.objective,
        study=path.stem,
        path=path,
        question=question,
        data=located(keys.data, source, "data", path),
        genotypes=located_genotypes(keys.genotypes, source, path),
        scheduler=located_scheduler(keys.scheduler, source, path),
        seeds=_seeds(keys.seeds, source),
        resamples=read_resamples(keys.resamples, source),
        report_by=_report_by(keys, source),
        baselines=keys.baselines is True,
        cross=cross,
        space=space,
        training=training,
        data_replaced="data" in source.parameters,
        parameters=source.parameters,
        warnings=warnings,
    )
    if search_space.objectives == (ENTROPY,) and len(search_space.seeds) < 2:
        source.fail("seeds", f"at least 2 where the objective is {ENTROPY}", keys.seeds)
    return search_space if keys.task == "auto" else search_space.for_task(keys.task)


_READING = ("case", "person", "keep", "numbers", "missing", "dates", "rare_level_people")
_UNCHANGED: tuple[str, ...] = (
    *_READING,
    "target", "task", "categories", "drop", "families", "groups", "unpenalized", "sample_weight",
    "split", "sampler", "sampler_seed", "configurations", "network", "id",
    "minor_allele_frequency", "missing_rate", "principal_components", "thresholds",
)  # fmt: skip


def _validated(model: type[BaseModel], content: object, source: Source) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise source.translated(error, model) from None


def _check_columns(keys: StudyFile, source: Source) -> None:
    """Checks between target, weight, drop, families, groups, unpenalized and split."""
    if keys.target in keys.drop:
        source.fail("drop", f"without the target {keys.target!r}", list(keys.drop))
    if keys.target in keys.unpenalized:
        source.fail("unpenalized", f"without the target {keys.target!r}", list(keys.unpenalized))
    if keys.target == keys.sample_weight:
        source.fail("sample_weight", "another column than the target", keys.target)
    for family in keys.families:
        if family in ("clinical", "genetic", ANCESTRY) or "+" in family:
            expected = "named other than clinical, genetic or ancestry, without '+'"
            source.fail("families", expected, family)
    _check_groups(keys, source)
    held_out = keys.split.validation_fraction + keys.split.test_fraction
    if held_out >= 1:
        source.fail("split", "such that validation_fraction + test_fraction < 1", held_out)


def _check_groups(keys: StudyFile, source: Source) -> None:
    """Checks of families and groups that need no table."""
    for key in ("families", "groups"):
        owner: dict[str, str] = {}
        for name, columns in getattr(keys, key).items():
            for column in columns:
                if owner.setdefault(column, name) != name:
                    got = f"{column!r} in two {key}"
                    source.fail(key, "such that each column is in one", got)
    for name, columns in keys.groups.items():
        if not name or not columns:
            source.fail("groups", "named, and of at least one column each", {name: list(columns)})
        for column in (keys.target, keys.sample_weight):
            if column in columns:
                source.fail("groups", f"without {column!r}, which is no variable", list(columns))


def _report_by(keys: StudyFile, source: Source) -> dict[str, tuple[float, ...]]:
    """Column → bounds, each increasing; none where they are not given."""
    by: dict[str, tuple[float, ...]] = dict.fromkeys(keys.report_by, ())
    by |= keys.report_by if isinstance(keys.report_by, Mapping) else {}
    if "target" in source.parameters and "report_by" not in source.parameters:
        by.pop(keys.target, None)  # the file's own is of another target
    if keys.target in by:
        source.fail("report_by", f"without the target {keys.target!r}", list(by))
    for column, bounds in by.items():
        if any(low >= high for low, high in zip(bounds, bounds[1:])):
            source.fail("report_by", f"with increasing bounds of {column}", list(bounds))
    return by


def _known_families(families: Mapping[str, Any]) -> tuple[str, ...]:
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
