"""A study file made from a table says what the table has, and runs as it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.preprocessing import StandardScaler
from study_runs import of_kind, run_here, working_in
from test_filesets import write as write_fileset

from pipeline.drafting import new_study, strengths
from pipeline.drafting.columns import likely_case
from pipeline.drafting.questions import Questions
from pipeline.drafting.text import scalar
from pipeline.errors import InputError
from pipeline.estimators import largest_lambdas
from pipeline.search_space import load_search_space
from pipeline.search_space.yaml12 import parse_value

PEOPLE = 120


def table(people: int = PEOPLE) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    age, color = rng.normal(50, 9, people), rng.integers(3, size=people)
    return pd.DataFrame(
        {
            "record id": rng.permutation(np.arange(1000, 1000 + people)),
            "Unnamed: 0": np.arange(people),
            "age": np.where(rng.random(people) < 0.1, np.nan, age),
            "no": rng.normal(size=people),  # a word that YAML 1.1 takes for false
            "ward": rng.integers(1, 5, people),
            "town": rng.choice(["north", "south", "west"], people),
            "color_red": (color == 0) * 1,
            "color_blue": (color == 1) * 1,
            "color_green": (color == 2) * 1,
            "ill": np.where(age + rng.normal(0, 4, people) > 50, "yes", "no"),
        }
    )


class Keyboard(io.StringIO):
    """Lines, then the end of the input, as `input` tells it."""

    def readline(self, size: int = -1) -> str:
        if not (line := super().readline(size)):
            raise EOFError
        return line


def draft(folder: Path, answers: str | None = None, **given: object) -> Path:
    console = Console(file=io.StringIO(), width=200)
    questions = Questions(console, answers is not None, Keyboard(answers or ""))
    with working_in(folder):
        path = new_study(console=console, questions=questions, **given)
    return folder / path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drafts")
    table().to_csv(folder / "people.csv", index=False)
    return folder


def test_a_draft_says_which_class_is_the_case(folder: Path, quick: None) -> None:
    deaths = table().assign(ill=np.where(table()["ill"] == "yes", "alive", "dead"))
    deaths.to_csv(folder / "deaths.csv", index=False)
    path = draft(folder, data="deaths.csv", target="ill", case="alive")
    assert load_search_space(str(path)).case == "alive" and "a case is alive" in path.read_text()
    many = {f"c{i}": 1 for i in range(12)}
    table().assign(**many).to_csv(folder / "many.csv", index=False)
    text = draft(folder, data="many.csv", target="ill").read_text()
    assert "  - c11  # the same in every training row" in text and "case:" not in text


@pytest.fixture
def quick(monkeypatch) -> None:
    """λ ranges without the seconds of training."""
    ranges = {"lambda_l1": (0.01, 1.0, 0.95), "lambda_group": (0.02, 2.0, 1.9)}
    monkeypatch.setattr("pipeline.drafting.story.lambda_ranges", lambda *_: ranges)


def test_the_file_says_what_the_table_has_and_runs_as_it_is(folder: Path) -> None:
    path = draft(folder, data="people.csv", target="ill")
    assert path == folder / "people.yaml"
    space = load_search_space(str(path))
    assert set(space.drop) == {"record id", "Unnamed: 0"}
    assert space.groups == {"color": ("color_red", "color_blue", "color_green")}
    assert space.question.startswith("Which variables does a network need to predict ill?")
    assert (space.task, space.genotypes, space.data) == ("binary", "none", folder / "people.csv")
    text = path.read_text()
    assert "codes under categories: ward (4)" in " ".join(text.replace("#", "").split())
    assert "town (3 columns)" in text and "a case is yes" in text
    run_here(folder, "people.yaml", configurations=1, seeds=1, epochs=2)
    (network,) = of_kind(folder, "network")
    assert set(network.columns("first_layer.csv")["variable"]) == {
        "age", "no", "ward", "town", "color",
    }  # fmt: skip


def test_a_range_begins_just_above_the_largest_lambda() -> None:
    for largest in (0.0192, 1.0, 9.99, 3.4e-5):
        low, high = strengths.range_below(largest)
        assert largest < high <= 1.2 * largest
        assert low == pytest.approx(high / 100, rel=0.06)


def test_the_largest_lambda_of_a_linear_model_is_the_gradients_at_zero() -> None:
    """max |Xᵀ(y − ȳ)|/n, and ‖·‖/√2 of two columns: Yuan and Lin (2006)."""
    rng = np.random.default_rng(0)
    x = StandardScaler().fit_transform(rng.normal(size=(200, 4)))
    y = (x[:, 0] + rng.logistic(size=200) > 0).astype(int)
    found = largest_lambdas(
        x, y, task="binary", validation_data=(x, y), seeds=1, epochs=5,
        groups=["a", "a", "b", "c"], hidden_layer_sizes=(),
    )  # fmt: skip
    gradient = x.T @ (y - y.mean()) / len(y)
    grouped = [np.linalg.norm(gradient[:2]) / np.sqrt(2), *np.abs(gradient[2:])]
    assert found["lambda_l1"] == pytest.approx(np.abs(gradient).max(), rel=1e-3)
    assert found["lambda_group"] == pytest.approx(max(grouped), rel=1e-3)


def test_small_tables_get_steps_enough_and_large_ones_not_too_many() -> None:
    for rows in (60, 107, 341, 2544, 40_000, 500_000):
        found = strengths.schedule_of(rows)
        steps = -(-rows // found.batch_size)
        assert 60 <= found.epochs <= 200 and steps <= 400
        assert steps * found.epochs >= min(1200, 200 * -(-rows // 16))


def test_columns_that_cannot_be_read_are_left_out_all_at_once(tmp_path: Path, quick) -> None:
    # Two columns of dates and one with a word among numbers; a German yes and no.
    frame = table()
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(PEOPLE), "D")
    frame["visit"], frame["seen"] = days.strftime("%d.%m.%Y"), days.strftime("%Y-%m-%d")
    frame["crp"] = ["n.d."] * 9 + [f"{i / 7:.2f}" for i in range(PEOPLE - 9)]
    frame["ill"] = frame["ill"].map({"yes": "Ja", "no": "Nein"})
    frame.to_csv(tmp_path / "people.csv", index=False)
    said = io.StringIO()
    console = Console(file=said, width=400)
    with working_in(tmp_path):
        place = new_study(
            "people.csv", "ill", "mine.yaml", console=console, questions=Questions(console, False)
        )
    space = load_search_space(str(tmp_path / place))
    assert {"visit", "seen", "crp"} <= set(space.drop)
    assert space.case == "Ja"  # not the second in the alphabet
    assert "n.d." not in (tmp_path / place).read_text()  # what is somebody's stays in the table
    for name in ("visit", "seen", "crp"):
        assert f"left out: {name}: a column" in said.getvalue()


@pytest.mark.parametrize(
    ("labels", "case"),
    [
        (("Ja", "Nein"), "Ja"),
        (("control", "case"), "case"),
        (("dead", "survived"), "dead"),
        (("M", "F"), None),
        (("positive", "ill"), None),
    ],
)
def test_a_word_says_which_class_is_the_case(labels: tuple[str, str], case: str | None) -> None:
    assert likely_case(labels) == case


def test_a_file_that_exists_is_replaced_only_when_told(tmp_path: Path, quick) -> None:
    table().to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "people.yaml").write_text("mine")
    with pytest.raises(InputError, match=r"people\.yaml exists"):
        draft(tmp_path, data="people.csv", target="ill")
    assert (tmp_path / "people.yaml").read_text() == "mine"
    draft(tmp_path, data="people.csv", target="ill", overwrite="yes")
    assert "target: ill" in (tmp_path / "people.yaml").read_text()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["people.csv", "people.yaml"]


def test_answers_at_a_terminal_are_what_the_file_says(tmp_path: Path, quick) -> None:
    table().to_csv(tmp_path / "people.csv", index=False)
    answers = [
        "people.csv",
        "nothing",
        "ill",
        "none",
        "mine",
        "record id",
        "ward",
        "none",
        "l1, l2",
    ]
    space = load_search_space(str(draft(tmp_path, "\n".join(answers) + "\n")))
    assert space.study == "mine" and space.drop == ("record id",)
    assert space.keep == ("Unnamed: 0",)
    assert space.categories == ("ward",) and space.groups == {}
    assert space.space["regularizer"] == ("l1", "l2") and space.cross == ("regularizer",)
    assert (space.space["lambda_l1"].high, space.space["lambda_l2"].high) == (1.0, 10.0)


def test_an_input_that_ends_writes_nothing(tmp_path: Path, quick) -> None:
    table().to_csv(tmp_path / "people.csv", index=False)
    with pytest.raises(InputError, match="the input ended"):
        draft(tmp_path, "people.csv\nill\n")
    assert [p.name for p in tmp_path.iterdir()] == ["people.csv"]


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({}, "must have data"),
        ({"data": "people.csv"}, "must have a target.*ward"),
        ({"data": "people.csv", "target": "il"}, "did you mean ill"),
        ({"data": "people.csv", "target": "ill", "regularizer": "lasso"}, "must be some of"),
        ({"data": "people.csv", "target": "ill", "genotypes": "simulated"}, "prefix of a fileset"),
        ({"data": "people.csv", "target": "ill", "study": "gone/x.yaml"}, "gone is none"),
    ],
)
def test_without_a_terminal_nothing_is_asked(folder: Path, given: dict, law: str) -> None:
    with pytest.raises(InputError, match=law):
        draft(folder, **({"study": "other"} | given))


def test_a_fileset_and_its_ids_stand_in_the_study(tmp_path: Path, quick) -> None:
    people = table(50)
    people["IID"] = [f"{i:03d}" for i in range(50)]
    people.to_csv(tmp_path / "people.csv", index=False)
    write_fileset(tmp_path / "cohort")
    given = {"data": "people.csv", "target": "ill", "genotypes": "cohort", "id": "IID"}
    space = load_search_space(str(draft(tmp_path, **given)))
    assert (space.genotypes, space.id) == (str(tmp_path / "cohort"), "IID")
    assert "IID" not in space.drop


@pytest.mark.parametrize(
    "name", ["no", "1e-3", "a: b", "# x", "été", "x, y", "null", "'", '"q"', "12", "a b", "-", "~"]
)
def test_a_name_reads_back_as_it_is(name: str) -> None:
    assert parse_value(f"[{scalar(name)}]") == [name]
