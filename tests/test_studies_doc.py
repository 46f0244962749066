"""docs/studies.md is complete and says what the models say."""

import re

import pytest
from pydantic_core import PydanticUndefined

from pipeline.metrics import metrics
from pipeline.networks import LAMBDAS, LAMBDAS_OF
from pipeline.search_space.schema import (
    OBJECTIVES,
    NetworkSettings,
    ResampleSettings,
    Split,
    StudyFile,
    TrainingSettings,
)
from pipeline.search_space.space import Range
from pipeline.search_space.study_file import PROJECT, load_search_space

PAGE = (PROJECT / "docs/studies.md").read_text(encoding="utf-8")
MODELS = {
    "## The file": StudyFile,
    "## `split`": Split,
    "## `resamples`": ResampleSettings,
    "## `network`": NetworkSettings,
    "## `training`": TrainingSettings,
    "A range is a mapping of:": Range,
}
# What a reader is told in place of None, of nothing at all, or of a section's own defaults.
IN_WORDS = {
    "inputs": "all families",
    "objective": "by task",
    "thresholds": "by outcome",
    "patience": "`epochs`",
    **dict.fromkeys(("split", "network", "training"), "see there"),
}


def table_after(start: str) -> list[list[str]]:
    """The cells of the first table after a line, without its head."""
    after = PAGE[PAGE.index(f"\n{start}\n") :]
    rows = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE).group().splitlines()[2:]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def shown_default(name: str, default: object) -> str:
    if default is PydanticUndefined:
        return "required"
    if name in IN_WORDS:
        return IN_WORDS[name]
    if default is None or default in ((), {}):
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{list(default) if isinstance(default, tuple) else default}`"


@pytest.mark.parametrize("start", MODELS)
def test_every_key_is_documented_with_its_law_and_its_default(start):
    fields = MODELS[start].model_fields
    documented = {key.strip("`"): (law, default) for key, _, law, default in table_after(start)}
    assert documented == {
        info.alias or name: (info.description, shown_default(name, info.default))
        for name, info in fields.items()
    }
    assert list(documented) == [info.alias or name for name, info in fields.items()]


def test_the_keys_of_space_are_documented_with_the_regularizers_that_use_them():
    rows = {key.strip("`"): meaning for key, meaning in table_after("## `space`")}
    assert list(rows) == ["regularizer", *LAMBDAS, "inputs"]
    assert rows["regularizer"].endswith(", ".join(LAMBDAS_OF))
    for name in LAMBDAS:
        assert rows[name].endswith(
            "; of " + ", ".join(r for r, u in LAMBDAS_OF.items() if name in u)
        )


def test_the_objectives_of_each_task_are_documented_the_default_first():
    rows = {task: tuple(re.findall(r"`(\w+)`", names)) for task, names in table_after("## Tasks")}
    assert rows == OBJECTIVES
    assert {
        n.removeprefix("val_") for names in rows.values() for n in names
    } <= metrics.MAXIMIZED.keys()


def test_the_examples_of_the_page_are_valid_studies(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (example,) = (text for text in examples if text.startswith("groups"))
    searched = re.search(r"`(hidden_layer_sizes: .*?)`,\n`(learning_rate: .*?)` and `(.*?)`", PAGE)
    lines = "".join(f"  {line}\n" for line in ("regularizer: [none]", *searched.groups()))
    path = tmp_path / "study.yaml"
    path.write_text(f"target: y\n{example}space:\n{lines}")
    space = load_search_space(str(path))
    assert space.space["hidden_layer_sizes"] == ((50,), (30, 10), ())
    assert (space.groups, space.unpenalized) == (
        {"lipids": ("totChol", "glucose")},
        ("age", "male"),
    )
