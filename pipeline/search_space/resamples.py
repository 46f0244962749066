"""The key `resamples` of a study: a mapping, or a word such as `subsample:100`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError

from pipeline.search_space.schema import ResampleSettings
from pipeline.search_space.space import Source

NONE = "none"
_WORD = re.compile(r"(subsample|bootstrap)(?::(\d+))?|(folds)(?::(\d+)(?:x(\d+))?)?")
_KEYS_OF = {
    "subsample": ("fraction", "count"),
    "bootstrap": ("count",),
    "folds": ("folds", "repeats"),
}
"""Kind → the keys that it has, besides the seed."""


def from_word(word: str, earlier: object = None) -> object:
    """`subsample:100`, `bootstrap:200` or `folds:5x10` as a mapping, with what `earlier` says of
    the same kind besides; anything else as it is."""
    matched = _WORD.fullmatch(word.strip())
    if matched is None:
        return word
    drawn, count, folds, parts, repeats = matched.groups()
    numbers = {"count": count, "folds": parts, "repeats": repeats}
    kind = drawn or folds
    given = {name: int(text) for name, text in numbers.items() if text is not None}
    if isinstance(earlier, str):
        earlier = from_word(earlier)
    said = earlier if isinstance(earlier, Mapping) and earlier.get("kind") == kind else {}
    return {**said, "kind": kind, **given}


def read_resamples(value: object, source: Source) -> ResampleSettings | None:
    """What stands under `resamples`, checked; None for none."""
    if isinstance(value, str):
        value = from_word(value)
    if value is None or value == NONE:
        return None
    if not isinstance(value, Mapping):
        expected = "none, a mapping such as {kind: subsample, count: 100}, or subsample:100"
        source.fail("resamples", expected, value)
    try:
        settings = ResampleSettings.model_validate(dict(value))
    except ValidationError as error:
        raise source.translated(error, ResampleSettings, "resamples") from None
    for key in settings.model_fields_set - {"kind", "seed", *_KEYS_OF[settings.kind]}:
        kinds = " or ".join(kind for kind, keys in _KEYS_OF.items() if key in keys)
        expected = f"left out where kind is {settings.kind}: it is of {kinds}"
        source.fail(f"resamples.{key}", expected, value[key])
    if settings.kind == "subsample" and settings.count % 2:
        expected = "an even number of subsamples, which come in pairs without a person in common"
        source.fail("resamples.count", expected, settings.count)
    return settings


def decides(settings: ResampleSettings | None) -> dict[str, object]:
    """What decides who is in resample i, by key; not how many there are."""
    if settings is None:
        return {}
    keys = [key for key in _KEYS_OF[settings.kind] if key not in ("count", "repeats")]
    return {key: getattr(settings, key) for key in ("kind", *keys, "seed")}


def shown(settings: ResampleSettings | None) -> dict[str, object]:
    """All that is said of resamples, for a reader."""
    if settings is None:
        return {}
    return {key: getattr(settings, key) for key in ("kind", *_KEYS_OF[settings.kind], "seed")}
