"""A kept model predicts what training recorded, by every way that leads to it."""

from __future__ import annotations

import gc
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bed_reader import to_bed
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from study_runs import environment, run_here, working_in

from pipeline.data import Table, load_cohort, read_table
from pipeline.errors import InputError
from pipeline.prediction import predict
from pipeline.prediction.outcomes import KnownOutcome, known_outcome
from pipeline.prediction.scoring import people_among
from pipeline.prediction.validation import validate
from pipeline.results import Inputs
from pipeline.serving import NO_CALL, open_fileset
from pipeline.tracking import fetch_model
from pipeline.tracking.origin import Origin

PEOPLE, VARIANTS = 240, 60

STUDY = """
# Do models predict what was recorded? Seconds.
target: {target}
drop: [{other}]
data: people.csv
genotypes: {genotypes}
id: IID
configurations: 1
seeds: 2
space: {{regularizer: [l1], lambda_l1: 0.0001}}
network: {{hidden_layer_sizes: [5], activation: tanh, genetic_dimensions: 3}}
training: {{epochs: 3, batch_size: 32}}
"""


def people() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    age = rng.normal(50, 10, PEOPLE)
    return pd.DataFrame(
        {
            "IID": [f"{i:03d}" for i in range(PEOPLE)],
            "age": np.where(rng.random(PEOPLE) < 0.1, np.nan, age),
            "smoker": rng.choice(["never", "once", "None"], PEOPLE),
            "ill": np.where(age + rng.normal(0, 5, PEOPLE) > 50, "yes", "no"),
            "pressure": 90 + age + rng.normal(0, 5, PEOPLE),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three studies of one table: of a binary outcome, of a quantity, and with genotypes."""
    folder = tmp_path_factory.mktemp("prediction")
    table = people()
    table.to_csv(folder / "people.csv", index=False)
    rng = np.random.default_rng(6)
    counts = rng.binomial(2, 0.3, (PEOPLE, VARIANTS)).astype(float)
    counts[[0, 1, 50], [4, 4, 9]] = np.nan
    order = rng.permutation(PEOPLE)
    to_bed(
        folder / "cohort.bed",
        counts[order],
        properties={
            "iid": table["IID"].to_numpy()[order],
            "chromosome": ["1"] * VARIANTS,
            "sid": [f"rs{j}" for j in range(VARIANTS)],
            "bp_position": np.arange(VARIANTS) * 1000 + 1,
            "allele_1": ["A"] * VARIANTS,
            "allele_2": ["G"] * VARIANTS,
        },
    )
    for name, target, genotypes in (
        ("binary", "ill", "none"),
        ("quantity", "pressure", "none"),
        ("genetic", "ill", "cohort"),
    ):
        other = "pressure" if target == "ill" else "ill"
        text = STUDY.format(target=target, other=other, genotypes=genotypes)
        (folder / f"{name}.yaml").write_text(text)
        run_here(folder, f"{name}.yaml")
    return folder


def scores(folder: Path, model: str, output: str = "scores.csv", data: str = "people.csv", **more):
    """(the scores, what was printed)."""
    printed = io.StringIO()
    with working_in(folder):
        predict(model, data, output, console=Console(file=printed, width=200), **more)
    return pd.read_csv(folder / output), printed.getvalue()


@pytest.mark.parametrize(
    ("study", "more"),
    [("binary", {}), ("quantity", {}), ("genetic", {"genotypes": "cohort", "id": "IID"})],
)
def test_scores_of_the_studys_rows_give_the_metrics_that_training_recorded(
    folder: Path, study: str, more: dict
) -> None:
    with working_in(folder):
        model = fetch_model(study)
    other = "pressure" if model.origin.target == "ill" else "ill"
    cohort = load_cohort(folder / "people.csv", model.origin.target, drop=["IID", other])
    rows = cohort.split.test
    table = pd.read_csv(folder / "people.csv", keep_default_na=False, dtype=str).iloc[rows]
    table.to_csv(folder / "test_rows.csv", index=False)
    found, _ = scores(folder, study, f"{study}.csv", "test_rows.csv", **more)
    results = pd.read_csv(folder / f"{study}_results.csv").set_index("metric")
    assert len(found) == len(rows)
    np.testing.assert_allclose(results["value"], results["study_test"], rtol=1e-6, atol=1e-6)
    assert results["low"].isna().all() and results["high"].isna().all()  # of so few people


def test_the_copy_of_a_model_is_there_while_it_is_used_and_no_longer(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with working_in(folder):
        model = fetch_model("genetic")
        assert model.variants is not None and model.variants.is_file()
        with pytest.raises(InputError):
            fetch_model("no study of this name")
    del model
    gc.collect()
    assert not list(tmp_path.iterdir())


def newcomers(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "people.csv", dtype={"IID": str}).drop(columns=["ill", "pressure"])


def requested(table: pd.DataFrame) -> dict:
    return {"dataframe_split": json.loads(table.to_json(orient="split", index=False))}


def test_python_and_the_command_and_a_server_agree(folder: Path) -> None:
    import mlflow

    found, _ = scores(folder, "models:/lariat-binary@champion")
    table = newcomers(folder)
    with working_in(folder):
        python = mlflow.pyfunc.load_model("models:/lariat-binary@champion").predict(table)
        one = [{"age": 50, "smoker": "once"}]  # a whole number, as anyone would write it
        served, single = _served(
            "models:/lariat-binary@champion",
            [requested(table.head(40)), {"dataframe_records": one}],
        )
    np.testing.assert_allclose(found.iloc[:, 1], python.iloc[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(served, python.iloc[:40, 0], rtol=0, atol=1e-9)
    with working_in(folder):
        model = mlflow.pyfunc.load_model("models:/lariat-binary@champion")
        assert model.predict(pd.DataFrame(one)).iloc[0, 0] == pytest.approx(single[0], abs=1e-9)
    assert model.metadata.metadata["kinds"] == {"age": "number", "smoker": "category"}
    assert model.metadata.signature.params is None or not model.metadata.signature.params.params


def test_python_and_the_command_and_a_server_agree_on_genotypes(folder: Path) -> None:
    """All ways to give genotypes, as the signature names them: fileset, mappings, columns."""
    import mlflow

    found, _ = scores(folder, "genetic", "genetic.csv", genotypes="cohort", id="IID")
    expected = found.iloc[:, 1].to_numpy()
    table, counts = newcomers(folder), counts_by_id(folder)
    with_columns = pd.concat([table, counts], axis=1)
    mappings = [row.dropna().astype(int).to_dict() for _, row in counts.iterrows()]
    with_mappings = table.assign(variants=mappings)
    with working_in(folder):
        model = mlflow.pyfunc.load_model("models:/lariat-genetic@champion")
        asked = [
            requested(table.head(40)) | {"params": {"genotypes": "cohort"}},
            requested(with_columns.head(40)),
            {"dataframe_records": json.loads(with_mappings.head(40).to_json(orient="records"))},
        ]
        served = _served("models:/lariat-genetic@champion", asked)
        ways = [
            model.predict(table, params={"genotypes": "cohort"}),
            model.predict(with_columns),
            model.predict(with_mappings),
        ]
        raw = with_columns.drop(columns="rs3").assign(rs3_G=2 - with_columns["rs3"])
        raw["smoker"] = raw["smoker"].fillna("None")
        raw.to_csv("raw.csv", index=False)  # as PLINK's --recode A writes it, of the other allele
        by_columns, _ = scores(folder, "genetic", "by_columns.csv", "raw.csv", id="IID")
        shorter = model.predict(table.assign(IID=["x", *table["IID"][1:]]), {"genotypes": "cohort"})
        with pytest.raises(InputErrorOfModel, match="give the parameter genotypes"):
            model.predict(table)
        wrong = with_columns.assign(rs2="AG")
        with pytest.raises(InputErrorOfModel, match="copies of an allele from 0 to 2, but rs2"):
            model.predict(wrong)
    for way in ways:
        np.testing.assert_allclose(way.iloc[:, 0], expected, rtol=0, atol=1e-6)
    for answer in served:
        np.testing.assert_allclose(answer, expected[:40], rtol=0, atol=1e-6)
    np.testing.assert_allclose(by_columns.iloc[:, 1], expected, rtol=0, atol=1e-6)
    assert np.isnan(shorter.iloc[0, 0])  # not in the fileset, and a row for each of the table
    np.testing.assert_allclose(shorter.iloc[1:, 0], expected[1:], rtol=0, atol=1e-6)
    names = model.metadata.signature.inputs.input_names()
    assert {"age", "smoker", "IID", "variants", "rs0", "rs59"} <= set(names)
    required = {c.name for c in model.metadata.signature.inputs if c.required}
    assert required <= {"age", "smoker"}
    assert [p.name for p in model.metadata.signature.params] == ["genotypes"]
    example = model.input_example
    assert model.predict(example).notna().all().all() and "variants" in example


InputErrorOfModel = ValueError
"""A model has its own copy of InputError, which is a ValueError."""


def counts_by_id(folder: Path) -> pd.DataFrame:
    """A column a variant: copies of A of the table's people; three are not known."""
    fileset = open_fileset(folder / "cohort")
    order = pd.Index(fileset.people).get_indexer([f"{i:03d}" for i in range(PEOPLE)])
    calls = fileset.read(order, 0, VARIANTS).astype(float)
    calls[calls == NO_CALL] = np.nan
    assert np.isnan(calls).sum() == 3
    return pd.DataFrame(calls, columns=[f"rs{j}" for j in range(VARIANTS)])


def _served(model: str, requests: list[dict]) -> list[list[float]]:
    """Answers of `mlflow models serve` on loopback to JSON requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--port", str(port),
         "--env-manager", "local", "--workers", "1"],
        env=environment() | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 90
    try:
        while time.monotonic() < until and process.poll() is None:
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/ping", timeout=2).close()
                break
            time.sleep(0.3)
        answers = []
        for content in requests:
            request = urllib.request.Request(
                f"{address}/invocations",
                json.dumps(content).encode(),
                {"Content-Type": "application/json"},
            )
            answer = json.loads(urllib.request.urlopen(request, timeout=30).read())
            answers.append([next(iter(row.values())) for row in answer["predictions"]])
        return answers
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def test_a_table_without_the_outcome_is_scored_and_nothing_is_measured(folder: Path) -> None:
    few = people().drop(columns=["ill", "pressure"]).iloc[[7, 3, 11]]
    few.to_csv(folder / "few.csv", index=False)
    every, _ = scores(folder, "binary", "every.csv", id="IID")
    found, printed = scores(folder, "binary", "few_scores.csv", "few.csv", id="IID")
    assert list(found["IID"]) == [7, 3, 11]
    expected = every.set_index("IID").loc[[7, 3, 11]].iloc[:, 0]
    np.testing.assert_array_equal(found.iloc[:, 1], expected)
    assert "ill is not in few.csv" in printed
    assert not (folder / "few_scores.html").exists()


def test_genotypes_are_found_by_id_whatever_the_order(folder: Path) -> None:
    every, _ = scores(folder, "genetic", "a.csv", genotypes="cohort", id="IID")
    people().iloc[::-1].to_csv(folder / "reversed.csv", index=False)
    found, _ = scores(folder, "genetic", "b.csv", "reversed.csv", genotypes="cohort", id="IID")
    np.testing.assert_array_equal(found.iloc[::-1, 1], every.iloc[:, 1])
    with pytest.raises(InputError, match="uses genotypes, but none are given"):
        scores(folder, "genetic", "c.csv")


def test_the_page_is_one_file_and_has_nobodys_id(folder: Path) -> None:
    scores(folder, "genetic", "page.csv", genotypes="cohort", id="IID")
    html = (folder / "page.html").read_text()
    assert "http" not in html.replace("http-equiv", "") and "calibration slope" in html
    assert "the table that the study learned from" in html
    assert "IID" not in re.sub('data:image/png;base64,[^"]*', "", html)


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"data": "none"}, "must have people"),
        ({"data": "people.csv", "output": "scores.txt"}, "must be a .csv"),
        ({"data": "people.csv", "output": "people.csv"}, "another file than the data"),
        ({"data": "people.csv", "model": "nobody"}, "nobody cannot be had"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder: Path, given: dict, law: str) -> None:
    before = (folder / "people.csv").read_bytes()
    with pytest.raises(InputError, match=law):
        scores(folder, **({"model": "binary"} | given))
    assert (folder / "people.csv").read_bytes() == before


def origin(task: str, classes: tuple) -> Origin:
    names = ("a",)
    return Origin(
        "s", "1", "y", task, classes, "val_auroc", "none", "", Inputs(names, names, names)
    )


def test_calibration_is_that_of_logistic_regression() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=900)
    y = (rng.random(900) < 1 / (1 + np.exp(-(0.4 + 0.5 * z)))).astype(int)
    found = validate(origin("binary", (0, 1)), KnownOutcome(y, np.ones(900, bool)), z[None])
    fitted = LogisticRegression(C=np.inf).fit(z[:, None], y)
    p = 1 / (1 + np.exp(-z))
    assert found.calibration["calibration_slope"] == pytest.approx(fitted.coef_[0, 0], rel=1e-4)
    assert found.calibration["brier_score"] == pytest.approx(brier_score_loss(y, p))
    shifted = 1 / (1 + np.exp(-(z + found.calibration["calibration_intercept"])))
    assert shifted.mean() == pytest.approx(y.mean())
    assert found.scores.set_index("metric").loc["auroc", "value"] == pytest.approx(
        roc_auc_score(y, z)
    )
    assert found.bins["rows"].sum() == 900
    assert (np.diff(found.bins["predicted"]) > 0).all()


def test_outcomes_that_are_unknown_are_left_out_and_one_class_is_refused() -> None:
    z = np.linspace(-2, 2, 40)
    y, known = (z > 0).astype(int), np.ones(40, bool)
    y[0], known[0] = 1, False  # a wrong value that nobody knows
    found = validate(origin("binary", (0, 1)), KnownOutcome(y, known), z[None])
    assert (found.rows, found.scores["value"].iloc[0]) == (39, 1.0)
    with pytest.raises(InputError, match="two outcomes or more"):
        validate(origin("binary", (0, 1)), KnownOutcome(y * 0, known), z[None])


def test_intervals_of_new_people_are_over_people_where_these_have_several_rows() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=150)
    y = (rng.random(150) < 1 / (1 + np.exp(-z))).astype(int)
    by = origin("binary", (0, 1))
    alone = validate(by, KnownOutcome(y, np.ones(150, bool)), z[None])
    whose = np.repeat(np.arange(150), 3)
    outcome = KnownOutcome(y[whose], np.ones(450, bool))
    copied = validate(by, outcome, z[None, whose], people=whose)
    pd.testing.assert_frame_equal(copied.scores, alone.scores, rtol=1e-4)
    assert (copied.rows, copied.people, alone.people) == (450, 150, None)
    table = Table(pd.DataFrame({"who": [3, 3, np.nan, np.nan, 5], "n": range(5)}), "t", "")
    by_who = replace(by, person=("who",))
    found = people_among(table, by_who)
    assert found[0] == found[1] and len(set(found)) == 4  # who is unknown is nobody else
    assert people_among(table, by) is None and people_among(table, by_who, ["n"]) is None


def test_calibration_of_predictions_that_are_very_sure() -> None:
    z = np.repeat([-120.0, 120.0], 50)
    y = (z > 0).astype(int)
    y[:3] = 1
    found = validate(origin("binary", (0, 1)), KnownOutcome(y, np.ones(100, bool)), z[None])
    shifted = 1 / (1 + np.exp(-(z + found.calibration["calibration_intercept"])))
    assert shifted.mean() == pytest.approx(y.mean())


def test_new_outcomes_are_those_of_the_study_however_they_are_written() -> None:
    def read(values: list, classes: tuple, **more: object) -> tuple[list, list]:
        table = Table(pd.DataFrame({"y": values}), "new", "")
        found = known_outcome(table, replace(origin("binary", classes), **more))
        return found.values[found.known].tolist(), found.known.tolist()

    for written in ([0, 1, 1], ["0", "1", "1"], [False, True, True], ["FALSE", "true", "TRUE"]):
        assert read(written, (False, True))[0] == read(written, (0, 1))[0] == [0, 1, 1]
        assert read(written, (True, False))[0] == [1, 0, 0]  # a case is False
    assert read([0, -9, 1], (0, 1), missing=("-9",)) == ([0, 1], [True, False, True])
    by_text = read(["no", "unknown", "yes"], ("no", "yes"), missing=("unknown",))
    assert by_text == ([0, 1], [True, False, True])
    quantity = replace(origin("regression", ()), missing=("-9",))
    table = Table(pd.DataFrame({"y": ["1,5", "-9", "2,5"]}), "new", "")
    found = known_outcome(table, quantity)
    assert found.values[found.known].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("written", "task"),
    [
        (["TRUE", "FALSE"], "binary"),
        (["true", "false"], "binary"),
        ([f"{v},5" for v in range(90)], "regression"),
        ([f"{v} mg" for v in range(90)], "regression"),
    ],
)
def test_an_outcome_is_read_as_training_reads_it(tmp_path, written, task) -> None:
    n, rng = 180, np.random.default_rng(2)
    y = [written[i % len(written)] for i in rng.permutation(n)]
    path = tmp_path / "people.csv"
    pd.DataFrame({"a": rng.normal(size=n), "y": y}).to_csv(path, index=False)
    cohort = load_cohort(path, "y")
    assert cohort.task == task
    found = known_outcome(read_table(path), origin(task, cohort.classes))
    np.testing.assert_array_equal(found.values, cohort.outcome)
    pd.DataFrame({"a": [1, 2], "y": [y[0], "?"]}).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"in line [23]"):
        known_outcome(read_table(path), origin(task, cohort.classes))
