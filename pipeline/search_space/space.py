"""The `space` of a study file: what each key may be, which lambdas it needs, what may be crossed.

A value in `space` is a list of choices, a range {low, high, log, step, int, points}, or a constant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import InputError
from pipeline.networks import LAMBDAS, LAMBDAS_OF, REGULARIZERS
from pipeline.search_space.yaml12 import did_you_mean

CATEGORICAL = ("regularizer", "inputs", "hidden_layer_sizes", "activation", "class_weight")
MOST_GRID_POINTS = 10_000


class Range(BaseModel):
    """All numbers from low to high; whole ones only if `integer`, every `step` if that is given.

    log     equal ratios are equally likely, instead of equal differences.
    points  how many evenly spaced values the grid sampler takes; the other samplers take any.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
    )
    low: float = Field(description="a number")
    high: float = Field(description="a number")
    log: bool = Field(False, description="true or false")
    integer: bool = Field(False, alias="int", description="true or false")
    step: float | None = Field(None, description="a number above 0", gt=0)
    points: int | None = Field(None, description="a whole number of at least 2", ge=2)


Space = Mapping[str, Any]
"""Key → a tuple of choices (one: a constant), or a Range."""


def uses(key: str, regularizer: str, inputs: Sequence[str]) -> bool:
    """Whether a network of this regularizer and these inputs depends on `key` at all."""
    if key in LAMBDAS:
        return key in LAMBDAS_OF[regularizer]
    return not key.startswith("genetic_") or "genetic" in inputs


@dataclass(frozen=True)
class Source:
    """Where a study's keys come from: its file, and the names of the parameters put over it."""

    file: str
    parameters: frozenset[str] = frozenset()

    def _place(self, key: str) -> str:
        name = key.rsplit(".", maxsplit=1)[-1]
        top = key.split(".", maxsplit=1)[0]
        if top in self.parameters or (name in self.parameters and top in ("network", "training")):
            return f"parameter `{top if top in self.parameters else name}`"
        return f"{self.file}: `{key}`"

    def fail(self, key: str, expected: str, got: object, hint: str = "") -> NoReturn:
        """Raises the InputError: place, what is expected, what stood there."""
        shown = got if isinstance(got, str) and " " in got else _shown(got)
        raise InputError(f"{self._place(key)} must be {expected}, but got {shown}{hint or '.'}")

    def translated(
        self,
        error: ValidationError,
        model: type[BaseModel],
        prefix: str = "",
        what: str = "a study",
    ):
        """The first of pydantic's complaints as an InputError; what: whose keys these are."""
        first = error.errors(include_url=False)[0]
        names, field = [], None
        for part in first["loc"]:
            fields = getattr(model, "model_fields", {})
            by_name = {info.alias or name: info for name, info in fields.items()}
            if part in by_name:
                field = by_name[part]
                model = field.annotation
            elif first["type"] not in ("extra_forbidden", "invalid_key"):
                continue
            names.append(str(part))
        key = ".".join([prefix, *names] if prefix else names)
        if first["type"] in ("extra_forbidden", "invalid_key"):
            return self._unknown(key, getattr(model, "model_fields", {}), what)
        expected = field.description if field else "a mapping"
        if first["type"] == "missing":
            return InputError(f"{self.file}: `{key}` is missing: it must be {expected}.")
        return InputError(
            f"{self._place(key)} must be {expected}, but got {_shown(first['input'])}."
        )

    def _unknown(self, key: str, fields: Mapping[str, Any], what: str) -> InputError:
        known = [info.alias or name for name, info in fields.items()]
        near = did_you_mean(key.rsplit(".", maxsplit=1)[-1], known)
        return InputError(
            f"{self.file}: `{key}` is no key of {what}: expected one of {', '.join(known)}"
            f"{near or '.'}"
        )


def _shown(value: object) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def read_space(
    raw: Mapping[str, Any],
    inputs: Sequence[str],
    families: Sequence[str],
    models: Mapping[str, type[BaseModel]],
    source: Source,
) -> Space:
    """`space` as it stands in the file → key → choices or Range, each value checked.

    inputs is what `space.inputs` is if it is not searched; models are the settings of `network`
    and `training`, any key of which may be searched but the seed of the batches.
    """
    owner = {key: model for model in models.values() for key in model.model_fields}
    del owner["batch_seed"]
    known = ("regularizer", *LAMBDAS, "inputs", *owner)
    space: dict[str, tuple | Range] = {}
    for key, value in {"regularizer": None, "inputs": [list(inputs)], **raw}.items():
        where = f"space.{key}" if key in raw or key == "regularizer" else "inputs"
        if key not in known:
            seed = " (a seed is a replicate and is never searched: see `seeds`)"
            hint = seed if "seed" in str(key) else did_you_mean(str(key), known)
            raise InputError(
                f"{source.file}: `{where}` cannot be searched: expected one of "
                f"{', '.join(known)}{hint or '.'}"
            )
        if key == "regularizer" and value is None:
            source.fail(where, f"a list of {', '.join(REGULARIZERS)}", value)
        if isinstance(value, Mapping):
            span = _range(key, value, owner.get(key), source)
            end = int(span.low) if span.integer else span.low
            space[key] = span if span.low < span.high else (end,)
        else:
            choices = value if isinstance(value, list) else [value]
            if not choices:
                source.fail(where, "a list of at least one choice", choices)
            checked = [_choice(key, c, where, owner.get(key), families, source) for c in choices]
            if len(set(checked)) < len(checked):
                source.fail(where, "a list of different choices", choices)
            space[key] = tuple(checked)
    return space


def _choice(
    key: str,
    value: Any,
    where: str,
    model: type[BaseModel] | None,
    families: Sequence[str],
    source: Source,
) -> Any:
    """One value of a key in `space`, as the network will see it."""
    if key == "regularizer":
        if value not in REGULARIZERS:
            near = did_you_mean(str(value), REGULARIZERS)
            source.fail(where, f"one of {', '.join(REGULARIZERS)}", value, near)
        return value
    if key == "inputs":
        return _families(value, where, families, source)
    if key in LAMBDAS:
        if type(value) not in (int, float) or not 0 <= value < float("inf"):
            source.fail(where, "a finite number of at least 0", value)
        return float(value)
    assert model is not None  # the keys that are left belong to one
    try:
        checked = getattr(model.model_validate({key: value}), key)
    except ValidationError:
        source.fail(where, str(model.model_fields[key].description), value)
    if isinstance(checked, Mapping):
        source.fail(where, "a choice of words, as a mapping cannot be searched", value)
    return checked


def _families(
    value: object, where: str, families: Sequence[str], source: Source
) -> tuple[str, ...]:
    """A list of families in the order clinical, the user's own, genetic."""
    example = "a list of families" if where == "inputs" else "lists of families, such as [[a], [b]]"
    if not isinstance(value, list) or not value:
        source.fail(where, example.replace("a]", "clinical]").replace("b]", "genetic]"), value)
    for family in value:
        if family not in families:
            near = did_you_mean(str(family), families)
            source.fail(where, f"families out of {', '.join(families)}", family, near)
    if len(set(value)) < len(value):
        source.fail(where, "a list of different families", value)
    return tuple(family for family in families if family in value)


def _range(key: str, value: Mapping, model: type[BaseModel] | None, source: Source) -> Range:
    """A range that is checked: low <= high, 0 < low if log, both ends allowed for the key."""
    where = f"space.{key}"
    if key in CATEGORICAL:
        source.fail(where, "a list of choices, not a range", dict(value))
    try:
        checked = Range.model_validate(value)
    except ValidationError as error:
        raise source.translated(error, Range, where) from None
    got = f"low={checked.low:g}, high={checked.high:g}"
    if checked.low > checked.high:
        source.fail(where, "a range with low <= high", got)
    if checked.log and checked.low <= 0:
        source.fail(where, "a range with 0 < low, as log: true needs", got)
    if checked.log and checked.step is not None:
        source.fail(where, "a range with log: true or with a step", "both of them")
    ends = [value["low"], value["high"]]
    for end in ends:
        _choice(key, end, where, model, (), source)
    if type(_choice(key, ends[0], where, model, (), source)) is int:
        checked = checked.model_copy(update={"integer": True})
    if checked.integer:
        for name in ("low", "high", "step"):
            number = getattr(checked, name)
            if number is not None and number != int(number):
                source.fail(f"{where}.{name}", "a whole number", number)
    return checked


def without_genetic(space: Space, source: Source) -> tuple[Space, tuple[str, ...]]:
    """The space without the genetic family, for `genotypes: none`, and a warning if choices go.

    [clinical, genetic] becomes [clinical]; a choice of [genetic] alone is left out.
    """
    kept = [tuple(f for f in inputs if f != "genetic") for inputs in space["inputs"]]
    remaining = tuple(dict.fromkeys(inputs for inputs in kept if inputs))
    if not remaining:
        expected = "simulated or a fileset where the inputs are genetic alone"
        source.fail("genotypes", expected, "none")
    warnings: tuple[str, ...] = ()
    if len(remaining) < len(kept):
        left_out = ", ".join(
            " + ".join(inputs) for inputs in space["inputs"] if "genetic" in inputs
        )
        warnings = (f"without genotypes the study leaves out the inputs {left_out}",)
    return {**space, "inputs": remaining}, warnings


def check_lambdas(space: Space, source: Source) -> None:
    """Every lambda that a regularizer uses is given, and no other."""
    for regularizer in space["regularizer"]:
        for name in LAMBDAS_OF[regularizer]:
            if name not in space:
                raise InputError(
                    f"{source.file}: `space.{name}` is missing: {regularizer} needs it as a range, "
                    f"a list of choices or a constant."
                )
    used = {name for r in space["regularizer"] for name in LAMBDAS_OF[r]}
    for name in LAMBDAS:
        if name in space and name not in used:
            takers = " or ".join(r for r in REGULARIZERS if name in LAMBDAS_OF[r])
            regularizers = ", ".join(space["regularizer"])
            source.fail(
                f"space.{name}",
                f"left out unless {takers} is searched",
                f"it with {regularizers}",
            )


def check_cross(space: Space, cross: Sequence[str], source: Source) -> None:
    """What is crossed is a list of choices, and nothing it depends on is left to the sampler."""
    for key in cross:
        if key not in space:
            source.fail(
                "cross",
                f"keys out of {', '.join(space)}",
                key,
                did_you_mean(key, space),
            )
        if isinstance(space[key], Range):
            source.fail("cross", "keys of `space` with a list of choices", f"the range `{key}`")
        decider = "inputs" if key.startswith("genetic_") else key
        if key in LAMBDAS:
            decider = "regularizer"
        if decider not in cross and len(space[decider]) > 1:
            source.fail(
                "cross",
                f"with `{decider}` where `{key}` is, which depends on it",
                list(cross),
            )


def check_grid(space: Space, source: Source) -> None:
    """Every range has the number of its points, and the grid is of a sensible size."""
    points = 1
    for key, values in space.items():
        if not isinstance(values, Range):
            points *= len(values)
        elif values.points is not None:
            points *= values.points
        elif values.step is not None or (values.integer and not values.log):
            points *= int((values.high - values.low) / (values.step or 1)) + 1
        else:
            source.fail(
                f"space.{key}",
                "given `points`, as sampler: grid needs",
                "a range without them",
            )
    if points > MOST_GRID_POINTS:
        source.fail("space", f"a grid of at most {MOST_GRID_POINTS} points", points)


def plain(values: tuple | Range) -> object:
    """Choices or a range as plain JSON values."""
    if isinstance(values, Range):
        return values.model_dump(exclude_defaults=True)
    return [list(value) if isinstance(value, tuple) else value for value in values]
