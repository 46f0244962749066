"""What is said of a model is true of it: importances, dependences and exports on planted cases."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from study_runs import working_in
from test_prediction import folder  # noqa: F401  the studies, once for this module

from pipeline.errors import InputError
from pipeline.prediction import explain
from pipeline.prediction.coded import CodedColumns
from pipeline.prediction.explanation import (
    dependences,
    importances,
    interactions,
    kept_names,
)
from pipeline.prediction.exports import inputs_table, keras_model, weights_table
from pipeline.prediction.outcomes import KnownOutcome
from pipeline.prediction.scoring import inputs_of, raw_predictions, read_people
from pipeline.results import Inputs
from pipeline.serving import Column, Feature, Schema, ServedNetwork
from pipeline.tracking import FetchedModel, fetch_model
from pipeline.tracking.origin import Origin

STUDIES = {"binary": {}, "quantity": {}, "genetic": {"genotypes": "cohort", "ids": ("IID",)}}


def planted(layers: tuple, activation: str = "relu", task: str = "regression") -> FetchedModel:
    """A network of four columns of numbers a, b, c, d, which are taken as they are."""
    names = ("a", "b", "c", "d")
    schema = Schema(
        tuple(Column(name, "number") for name in names),
        tuple(Feature(name, i, 0, 0.0, 1.0) for i, name in enumerate(names)),
    )
    network = ServedNetwork(layers, activation, task, schema, (0, 1, 2, 3), (), ("y",))
    inputs = Inputs(names, ("pair", "pair", "c", "d"), ("clinical",) * 4)
    origin = Origin("s", "1", "y", task, (), "val_r2", "none", "", inputs)
    return FetchedModel("here", network, origin, None)


LINEAR = planted(((np.array([[1.0], [1.0], [2.0], [0.0]]), np.zeros(1)),))


def rows(n: int = 300) -> np.ndarray:
    return np.random.default_rng(2).normal(size=(n, 4))


def test_of_a_linear_model_the_importance_is_the_share_of_variance_twice() -> None:
    """R² falls by 2·β²σ²/var(y) when a variable is shuffled: independent columns, exact outcome."""
    x = rows(4000)
    y = raw_predictions(LINEAR, x)[0]
    found = importances(LINEAR, x, KnownOutcome(y, np.ones(len(y), bool))).set_index("variable")
    assert list(found.index) == ["c", "pair"]  # d is zeroed
    assert found.loc["c", "importance"] == pytest.approx(2 * 4 / 6, rel=0.05)
    assert found.loc["pair", "importance"] == pytest.approx(2 * 2 / 6, rel=0.05)


def test_dependence_of_a_linear_model_is_its_slope() -> None:
    x = rows()
    found = {d.column: d for d in dependences(CodedColumns(LINEAR), x[:, :3], ["c", "pair"])}
    assert set(found) == {"a", "b", "c"}
    for column, slope in (("a", 1.0), ("c", 2.0)):
        curve = found[column].curves["y"]
        assert np.ptp(curve) == pytest.approx(slope * np.ptp(found[column].grid))


def test_effects_that_add_up_do_not_interact_and_a_product_does() -> None:
    assert interactions(LINEAR, rows(), ["pair", "c"])["h"].max() < 1e-9
    # relu(a + c) − relu(a − c) bends with both of a and c, and d is alone.
    first = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    layers = ((first, np.zeros(3)), (np.array([[1.0], [-1.0], [1.0]]), np.zeros(1)))
    found = interactions(planted(layers), rows(), ["pair", "c", "d"])
    strongest = found.iloc[0]
    assert {strongest["first"], strongest["second"]} == {"pair", "c"} and strongest["h"] > 0.3
    assert found["h"].iloc[1:].max() < 1e-9


@pytest.mark.parametrize("study", STUDIES)
def test_codes_and_keras_predict_what_the_model_predicts(folder: Path, study: str) -> None:  # noqa: F811
    with working_in(folder):
        model = fetch_model(study)
        table, frame, _ = read_people(model, "people.csv", **STUDIES[study])
    inputs = inputs_of(model, table, frame)
    expected = model.network.score(frame, as_read=True)[0].to_numpy()
    coded = CodedColumns(model)
    np.testing.assert_array_equal(coded.inputs(coded.codes(table, frame)), inputs)
    found = np.asarray(keras_model(model)(inputs))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_the_exports_are_the_network(folder: Path) -> None:  # noqa: F811
    with working_in(folder):
        model = fetch_model("binary")
    first = model.network.layers[0][0]
    table = weights_table(model)
    own = table[(table["layer"] == 1) & (table["from"] != "bias")]
    np.testing.assert_allclose(own["weight"].to_numpy().reshape(first.shape), first)
    assert len(table) == sum(w.size + np.size(b) for w, b in model.network.layers)
    said = inputs_table(model)
    assert list(said["input"]) == list(model.origin.inputs.columns)
    assert set(said.loc[said["column"] == "smoker", "is"]) == {"never", "once", "None"}


@pytest.fixture(scope="module")
def explained(folder: Path) -> Path:  # noqa: F811
    """The folder of an explanation of the study's own validation rows."""
    with working_in(folder):
        place = explain(
            "genetic", genotypes="cohort", id="IID", console=Console(file=io.StringIO())
        )
    return folder / place


def test_the_page_and_the_files_are_of_the_validation_rows(explained: Path) -> None:
    html = (explained / "explanation.html").read_text()
    text = re.sub('data:image/png;base64,[^"]*', "", html)
    assert "the 48 validation rows of people.csv" in text and "http" not in text.replace(
        "http-equiv", ""
    )
    kept = (explained / "kept_variables.txt").read_text().split()
    assert {"age", "smoker"} <= set(kept)
    assert sorted(p.name for p in explained.iterdir()) == [
        "explanation.html", "inputs.csv", "kept_variables.txt", "network.keras", "weights.csv",
    ]  # fmt: skip


def test_the_saved_keras_model_is_read_by_keras_alone(explained: Path, folder: Path) -> None:  # noqa: F811
    from tensorflow import keras

    model = keras.models.load_model(explained / "network.keras")
    with working_in(folder):
        kept = fetch_model("genetic")
    x = np.random.default_rng(0).normal(size=(5, len(kept.origin.inputs.columns)))
    logits = raw_predictions(kept, x)
    np.testing.assert_allclose(model.predict(x, verbose=0).T, 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_a_table_that_is_not_the_studys_has_no_validation_rows(folder: Path) -> None:  # noqa: F811
    pd.read_csv(folder / "people.csv").head(60).to_csv(folder / "others.csv", index=False)
    with working_in(folder), pytest.raises(InputError, match="is another; give rows=all"):
        explain("binary", "others.csv", rows="validation", console=Console(file=io.StringIO()))


def test_kept_names_are_by_strength() -> None:
    assert kept_names(LINEAR) == ["c", "pair"]
