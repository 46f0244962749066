"""Bad input ends in one sentence that says what is wrong and what to do, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_runs import PROJECT, command, files_of, run_here

from pipeline.errors import InputError
from pipeline.tracking import store as run_store

STUDY = """
# Is bad input refused?
data: people.csv
target: ill
inputs: [clinical]
genotypes: none
configurations: 1
seeds: 1
space:
  regularizer: [l1]
  lambda_l1: [0.01]
network: {hidden_layer_sizes: [2]}
training: {epochs: 1}
"""


def people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(30, 70, 100),
            "weight": rng.normal(70.0, 10.0, 100).round(1),
            "ill": np.arange(100) % 2,
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ask.yaml").write_text(STUDY)
    people().to_csv(tmp_path / "people.csv", index=False)
    return tmp_path


def refused(folder: Path, study: str = "ask.yaml", **given: object) -> str:
    """The sentence of the refusal; no file may be left that was not there before."""
    before = files_of(folder)
    with pytest.raises(InputError) as error:
        run_here(folder, study, **given)
    assert files_of(folder) == before
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"data": "poeple.csv"}, ["data must be a file that exists", "poeple.csv"]),
        ({"data": "ask.yaml"}, ["data must be a .csv, .csv.gz or .parquet file", "ask.yaml"]),
        ({"target": "il"}, ["target must name a column of people.csv", "did you mean ill?"]),
        ({"genotypes": "cohort/chr1"}, ["genotypes", "simulated, none", "no cohort/chr1.bed"]),
        ({"configurations": "0"}, ["configurations", "at least 1", "got 0"]),
        ({"configurations": "abc"}, ["configurations", "at least 1", "'abc'"]),
        ({"seeds": "0"}, ["seeds", "from 1 to 100000", "got 0"]),
        ({"seeds": "1,1"}, ["seeds", "different", "[1, 1]"]),
        ({"epochs": "2.5"}, ["epochs", "whole number", "2.5"]),
        ({"epoch": "3"}, ["`epoch` is not known", "`epochs`"]),
        ({"scheduler": "dask"}, ["scheduler", "dask"]),
        ({"output": "people.csv"}, ["output must be a folder", "people.csv is a file"]),
        ({"output": "people.csv/deep"}, ["output must be a folder", "people.csv is a file"]),
        ({"storage": "optuna.db"}, ["storage must be an Optuna storage URL", "'optuna.db'"]),
        ({"storage": ""}, ["storage must be an Optuna storage URL", "got ''"]),
        ({"storage": "oracle9://x"}, ["storage must be an Optuna storage URL", "oracle9"]),
        ({"storage": "sqlite:///none/optuna.db"}, ["storage must", "there is no folder none"]),
        ({"storage": "sqlite:///people.csv"}, ["storage must", "not a database"]),
    ],
    ids=lambda value: "=".join(*value.items()) if isinstance(value, dict) else "",
)
def test_a_wrong_parameter_is_named(folder: Path, given: dict, parts: list[str]) -> None:
    sentence = refused(folder, **given)
    assert all(part in sentence for part in parts), sentence


def test_an_unknown_study_is_answered_with_the_known_ones(folder: Path) -> None:
    sentence = refused(folder, "grup_lasso")
    assert "elastic_net, framingham, group_lasso" in sentence
    assert "did you mean `group_lasso`?" in sentence
    assert "'other/ask.yaml'" in refused(folder, "other/ask.yaml")


@pytest.mark.parametrize(
    ("was", "becomes", "parts"),
    [
        ("lambda_l1: [0.01]", "lambda_l1: {low: 0.1, high: 0.01}", ["lambda_l1", "low", "high"]),
        ("lambda_l1: [0.01]", "lambda_l1: {low: 0, high: 1, log: true}", ["lambda_l1", "log"]),
        ("lambda_l1: [0.01]", "lambda_l1: [-1]", ["lambda_l1", "-1"]),
        ("regularizer: [l1]", "regularizer: [ridge]", ["regularizer", "ridge"]),
        ("epochs: 1", "epochs: 0", ["epochs", "at least 1"]),
        ("seeds: 1", "seed: 1", ["seed", "seeds"]),
        ("target: ill", "target: ill\ntarget: age", ["target", "twice"]),
        ("network:", "network: [", ["must be valid YAML"]),
        ("target: ill\n", "", ["target"]),
    ],
)
def test_a_mistake_in_a_study_names_file_and_key(
    folder: Path, was: str, becomes: str, parts: list[str]
) -> None:
    (folder / "ask.yaml").write_text(STUDY.replace(was, becomes))
    sentence = refused(folder)
    assert sentence.startswith("ask.yaml: ")
    assert all(part in sentence for part in parts), sentence


def _table(**changes: object) -> pd.DataFrame:
    return people().assign(**changes)


FEW = np.array([1] * 3 + [0] * 97)
HOLES = people()["ill"].where(np.arange(100) > 4)
TEXT = people()["weight"].astype(str).where(np.arange(100) != 7, "heavy")
INFINITE = people()["weight"].where(np.arange(100) != 7, np.inf)


@pytest.mark.parametrize(
    ("table", "parts"),
    [
        (_table(ill=1), ["two classes", "ill", "one value"]),
        (_table(ill=HOLES), ["known in every row", "ill", "missing in 5 of 100 rows"]),
        (_table(ill=FEW), ["at least 2 rows of each class", "3 of 100 rows"]),
        (_table(weight=TEXT), ["column of numbers", "weight", "'heavy'", "line 9"]),
        (_table(weight=INFINITE), ["finite", "weight", "1 infinite"]),
        (_table()[["ill"]], ["at least one variable besides the target"]),
        (_table(age=1, weight=np.nan), ["at least one variable", "age", "weight"]),
        (_table().head(0), ["data must have rows", "people.csv"]),
    ],
    ids=["one class", "missing", "few cases", "text", "infinite", "alone", "constant", "no rows"],
)
def test_a_table_that_cannot_be_used_is_refused(
    folder: Path, table: pd.DataFrame, parts: list[str]
) -> None:
    table.to_csv(folder / "people.csv", index=False)
    sentence = refused(folder)
    assert all(part in sentence for part in parts), sentence


def test_an_empty_file_and_repeated_columns_are_refused(folder: Path) -> None:
    (folder / "people.csv").write_text("")
    assert "people.csv is empty" in refused(folder)
    (folder / "people.csv").write_text("age,age,ill\n1,2,0\n3,4,1\n")
    assert "age" in refused(folder)


def test_a_target_that_differs_between_all_people_is_refused(folder: Path) -> None:
    _table(ill=[f"patient {i}" for i in range(100)]).to_csv(folder / "people.csv", index=False)
    sentence = refused(folder)
    assert "distinct values, but ill of people.csv has 100" in sentence


def test_what_is_survivable_is_dropped_with_a_warning_that_names_it(folder: Path) -> None:
    _table(site=1, note=np.nan).to_csv(folder / "people.csv", index=False)
    out = run_here(folder, "ask.yaml")
    assert "warning: dropped note: missing in every training row" in out
    assert "warning: dropped site: the same in every training row" in out
    assert "networks 1 of 1" in out


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        (
            "http://127.0.0.1:9",
            ["the tracking server must answer, but http://127.0.0.1:9 does not answer"],
        ),
        ("sqlite:///people.csv", ["the tracking store", "not a database"]),
        ("sqlite:///people.csv/mlflow.db", ["the tracking store", "cannot be used"]),
        ("nonsense://here", ["the tracking store nonsense://here cannot be used"]),
    ],
)
def test_a_tracking_store_that_cannot_be_used_is_refused_before_anything_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, uri: str, parts: list[str]
) -> None:
    monkeypatch.setattr(run_store, "get_tracking_uri", lambda: uri)
    sentence = refused(folder)
    assert all(part in sentence for part in parts), sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--study", "lasso"], "error: `study` must be one of elastic_net, framingham, "),
        (["--study", "newest"], "error: `study` must be one of elastic_net, framingham, "),
        (["--sed", "3"], "error: unrecognized arguments: --sed 3; `--help` lists the options"),
        (["--study", "ask.yaml", "--target", "Ill"], "error: target must name a column of "),
    ],
)
def test_a_refusal_is_one_line_on_standard_error_and_status_2(
    folder: Path, options: list[str], sentence: str
) -> None:
    done = command(folder, "search.py", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stdout
    assert files_of(folder) == {"ask.yaml", "people.csv"}


def test_a_folder_that_is_closed_to_writing_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The administrator may write everywhere, so the system's answer is put in.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "output must be a folder that can be written to" in refused(folder)


def test_a_terminal_of_ascii_shows_every_sign() -> None:
    # The words are the interpreter's own: what it wrote before would have ended in a traceback.
    told = "from pipeline.command_line import guarded; guarded(lambda: print('λ ≤ 0.1 ± é'))"
    command = [sys.executable, "-c", told]
    given = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=False)
    assert (done.returncode, done.stdout) == (0, "lambda <= 0.1 +/- ?\n")
