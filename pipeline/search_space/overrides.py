"""Parameters laid over a study file: `-P epochs=20` before the file's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import InputError
from pipeline.networks import LAMBDAS
from pipeline.search_space import yaml12 as study_yaml
from pipeline.search_space.resamples import from_word
from pipeline.search_space.schema import NetworkSettings, StudyFile, TrainingSettings

SECTION_OF = {
    **dict.fromkeys(("regularizer", *LAMBDAS), "space"),
    **dict.fromkeys(NetworkSettings.model_fields, "network"),
    **dict.fromkeys(TrainingSettings.model_fields, "training"),
}
_LISTS = ("categories", "drop", "unpenalized", "inputs", "cross", "keep", "dates", "missing",
          "report_by")  # fmt: skip
_TEXTS = (
    "data", "target", "task", "sample_weight", "id", "genotypes", "sampler", "scheduler",
    "activation", "person", "numbers", "case",
)  # fmt: skip


def by_present_names(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys by the names they have now: a study file of an earlier version still runs."""
    return {_EARLIER_NAMES.get(key, key): value for key, value in keys.items()}


_EARLIER_NAMES = {"unpenalised": "unpenalized"}


def put(content: dict, key: str, value: object) -> None:
    """Lays the parameter `key` over a study file's content, as a constant."""
    section: Any = content
    fields = StudyFile.model_fields
    for name, model in (("network", NetworkSettings), ("training", TrainingSettings)):
        if key in model.model_fields:
            section, fields = content.setdefault(name, {}), model.model_fields
    if SECTION_OF.get(key) == "space":
        raise InputError(
            f"parameters must be keys of a study file outside its `space`, but got `{key}`; write "
            "it into the `space` of a study file of your own"
        )
    if key not in fields:
        near = study_yaml.did_you_mean(key, [*StudyFile.model_fields, *SECTION_OF])
        raise InputError(f"parameter `{key}` is not known{near or '.'}")
    if not isinstance(section, dict):
        return
    section[key] = _meant(key, str(value) if isinstance(value, Path) else value, section.get(key))
    if isinstance(content.get("space"), dict) and key in content["space"]:
        del content["space"][key]
        if isinstance(content.get("cross"), list):
            content["cross"] = [crossed for crossed in content["cross"] if crossed != key]


def _meant(key: str, value: object, earlier: object) -> object:
    """A parameter's text as the value that a study file would have; `earlier` is what it has."""
    if key == "resamples" and isinstance(value, str):
        value = from_word(value, earlier)
    if key == "id" and isinstance(value, str) and "," in value:
        return [name.strip() for name in value.split(",")]
    if not isinstance(value, str) or (key in _TEXTS and not value.startswith("{")):
        return value
    one_of_a_list = key in _LISTS or key == "thresholds"
    is_list = ("," in value or one_of_a_list) and "{" not in value and "[" not in value
    if key == "inputs":
        value = value.replace("+", ",")
    if is_list and key in _LISTS:  # names as they are: `Unnamed: 0` is no mapping
        return [name.strip() for name in value.split(",")]
    return study_yaml.parse_value(f"[{value}]" if is_list else value)
