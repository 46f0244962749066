"""The finalists' networks as MLflow models predict what training recorded, from a table as read."""

import ast
import importlib
import io
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow.exceptions import MlflowException
from sklearn.metrics import r2_score, roc_auc_score
from study_runs import TABLE, of_kind, run_here, working_in

from pipeline.data.cohort import load_cohort
from pipeline.errors import InputError
from pipeline.networks.first_layer import plain_layers
from pipeline.networks.network import Architecture, Layer, Weights, forward
from pipeline.serving import NUMBER, Column, Feature, Schema, ServedNetwork, save
from pipeline.serving.model import _load_pyfunc
from pipeline.study.finalists import Finalist, champion_of
from pipeline.tracking import models

STUDY = """
# Do models predict what was recorded? Seconds.
target: {target}
categories: [education]
genotypes: none
configurations: 2
seeds: 3
space: {{regularizer: [group_lasso], lambda_group: [0.001, 0.05]}}
network: {{hidden_layer_sizes: [6, 4], activation: tanh}}
training: {{epochs: 3}}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two studies of one table, of a binary outcome and of a quantity, in one folder."""
    folder = tmp_path_factory.mktemp("models")
    for name, target in (("binary", "TenYearCHD"), ("quantity", "sysBP")):
        (folder / f"{name}.yaml").write_text(STUDY.format(target=target))
        run_here(folder, f"{name}.yaml", data=str(TABLE))
    return folder


def champion(study: str):
    import mlflow

    return mlflow.pyfunc.load_model(f"models:/lariat-{study}@champion")


def champions_run(study: str):
    from mlflow import MlflowClient

    client = MlflowClient()
    version = client.get_model_version_by_alias(f"lariat-{study}", "champion")
    return client.get_run(version.run_id)


@pytest.mark.parametrize(
    ("study", "target", "score", "metric"),
    [("binary", "TenYearCHD", roc_auc_score, "auroc"), ("quantity", "sysBP", r2_score, "r2")],
)
def test_the_champion_predicts_what_was_recorded(finished, study, target, score, metric):
    table, cohort = pd.read_csv(TABLE), load_cohort(TABLE, target, categories=["education"])
    with working_in(finished):
        found = champion(study).predict(table)
        metrics = champions_run(study).data.metrics
    assert list(found.index) == list(range(len(table))) and found.shape[1] == 1
    for part in ("train", "validation", "test"):
        rows = getattr(cohort.split, part)
        value = score(table[target].iloc[rows], found.iloc[rows, 0])
        name = f"{'val' if part == 'validation' else part}_{metric}"
        assert value == pytest.approx(metrics[name], abs=2e-6)
    if study == "binary":
        assert list(found.columns) == ["probability of TenYearCHD=1"]
        assert found.iloc[:, 0].between(0, 1).all()


def test_one_model_a_solution_of_the_best_configuration_and_the_best_is_champion(finished):
    from mlflow import MlflowClient

    with working_in(finished):
        client, run = MlflowClient(), champions_run("binary")
        logged = client.search_logged_models([run.info.experiment_id])
        own = [m for m in logged if m.tags["study"] == "binary"]
    runs = {n.run_id: n for n in of_kind(finished, "network")}
    best = {runs[m.source_run_id].params["configuration"] for m in own}
    assert best == {run.data.params["configuration"]}
    assert len({m.tags["solution"] for m in own}) == len(own)
    assert run.data.metrics["val_auroc"] == max(
        runs[m.source_run_id].metrics["val_auroc"] for m in own
    )
    for model in own:
        linked = {m.key: m for m in model.metrics}
        assert linked["test_auroc"].value == runs[model.source_run_id].metrics["test_auroc"]
        assert linked["test_auroc"].dataset_name == TABLE.name


def test_the_studys_run_lists_its_models_and_links_to_the_champion(finished):
    from mlflow import MlflowClient

    with working_in(finished):
        client = MlflowClient()
        run = next(r for r in of_kind(finished, "study") if r.tags["study"] == "binary")
        stored = client.get_run(run.run_id)
        listed = {output.model_id for output in stored.outputs.model_outputs}
        logged = client.search_logged_models([stored.info.experiment_id])
        assert listed == {m.model_id for m in logged if m.tags["study"] == "binary"} != set()
        version = client.get_model_version_by_alias("lariat-binary", "champion")
        note = stored.data.tags["mlflow.note.content"]
    said = next(line for line in note.splitlines() if line.startswith("Champion: "))
    assert f"#/models/lariat-binary/versions/{version.version}" in said
    model = version.source.removeprefix("models:/")
    assert f"/models/{model})" in said and model in listed


def test_a_second_start_logs_and_registers_nothing_again(finished):
    from mlflow import MlflowClient

    run_here(finished, "binary.yaml", data=str(TABLE))
    with working_in(finished):
        assert len(MlflowClient().search_model_versions("name='lariat-binary'")) == 1


def test_a_model_needs_neither_this_project_nor_tensorflow(finished, tmp_path):
    from mlflow import MlflowClient

    pd.read_csv(TABLE).drop(columns="TenYearCHD").head(5).to_csv(tmp_path / "new.csv", index=False)
    with working_in(finished):
        (model,) = [
            m for m in MlflowClient().search_logged_models(["1"])
            if m.source_run_id == champions_run("binary").info.run_id
        ]  # fmt: skip
        expected = champion("binary").predict(pd.read_csv(TABLE).head(5))
    (tmp_path / "pipeline.py").write_text("mine = True\n")  # a user's module of the same name
    code = (
        "import sys, mlflow, pandas as pd, pipeline\n"
        f"model = mlflow.pyfunc.load_model({model.artifact_location!r})\n"
        "print(model.predict(pd.read_csv('new.csv')).to_json(double_precision=15))\n"
        "assert not {'tensorflow', 'optuna', 'sklearn', 'joblib'} & sys.modules.keys()\n"
        "assert pipeline.mine"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    got = pd.read_json(io.StringIO(done.stdout.strip().splitlines()[-1]))
    np.testing.assert_allclose(got.to_numpy(), expected.to_numpy(), rtol=1e-12)


def test_the_input_example_is_no_persons_row(finished):
    with working_in(finished):
        example = champion("binary").input_example
    table = pd.read_csv(TABLE)[example.columns]
    for _, row in example.iterrows():
        assert not (table == row).all(axis=1).any()


def test_a_table_without_a_column_is_told_which(finished):
    missing = pytest.raises(MlflowException, match=r"missing inputs \['age'\]")
    with working_in(finished), missing:
        champion("binary").predict(pd.read_csv(TABLE).drop(columns="age"))


def test_the_engines_forward_pass_with_encodings_is_the_models(tmp_path):
    rng = np.random.default_rng(0)
    columns, encodings = rng.normal(size=(7, 2)), rng.normal(size=(1, 3, 7))
    first = rng.normal(size=(1, 4, 6))
    first[:, :, 4] = 0.0  # genetic_1 is zeroed
    later = (Layer(rng.normal(size=(1, 3, 4)), rng.normal(size=(1, 3, 1))),)
    architecture = Architecture(2, 3, (4,), outputs=3, activation="gelu")
    seen = forward(
        Weights(tf.constant(first), later),
        tf.constant(np.concatenate([columns, np.ones((7, 1))], axis=1)),
        tf.constant(encodings),
        architecture,
    ).predictions.numpy()[0]
    own = Weights(first[0], tuple(Layer(w[0], b[0]) for w, b in later))
    table = pd.DataFrame(columns, columns=["a", "b"])
    schema = Schema(
        (Column("a", NUMBER), Column("b", NUMBER)),
        (Feature("a", 0, 0, 0.0, 1.0), Feature("b", 1, 0, 0.0, 1.0)),
    )
    network = ServedNetwork(
        plain_layers(own, architecture.first_layer), "gelu", "multiclass", schema, (0, 1),
        ("genetic_0", "genetic_1", "genetic_2"), ("x", "y", "z"),
    )  # fmt: skip
    assert network.needed == ("genetic_0", "genetic_2")
    save(network, tmp_path)
    known = table.assign(genetic_0=encodings[0, 0], genetic_2=encodings[0, 2])
    got = _load_pyfunc(str(tmp_path)).predict(known)
    softmax = np.exp(seen) / np.exp(seen).sum(axis=0)
    np.testing.assert_allclose(got.to_numpy(), softmax.T, rtol=1e-5)
    with pytest.raises(InputError, match="lacks genetic_2"):
        network.predict(known.drop(columns="genetic_2"))


def test_the_code_of_two_versions_of_a_model_is_in_one_process(tmp_path, monkeypatch):
    names = []
    for version in ("", "# the next version\n"):
        room = tmp_path / f"room{len(names)}"
        shutil.copytree(models.ROOM, room)
        with (room / "forward.py").open("a") as file:
            file.write(version)
        monkeypatch.setattr(models, "ROOM", room)
        (tmp_path / f"code{len(names)}").mkdir()
        package = models.code_of_a_model(tmp_path / f"code{len(names)}")
        monkeypatch.syspath_prepend(str(package.parent))
        names.append(package.name)
    codes = [importlib.import_module(name) for name in names]
    assert re.fullmatch("lariat_model_[0-9a-f]{12}", names[0]) and names[0] != names[1]
    assert codes[0]._load_pyfunc is not codes[1]._load_pyfunc
    trees = [ast.parse(p.read_text()) for p in models.ROOM.glob("*.py") if p.stem != "__init__"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    outside = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and not n.level}
    outside |= {n.names[0].name for n in nodes if isinstance(n, ast.Import)}
    outside = {name.partition(".")[0] for name in outside}
    assert outside - sys.stdlib_module_names == {"numpy", "pandas", "scipy", "bed_reader"}
    at_once = [n for tree in trees for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
    assert "bed_reader" not in {getattr(n, "module", None) for n in at_once}  # filesets alone


def test_a_study_has_a_champion_where_every_network_needs_genotypes():
    def finalist(needed, score):
        network = SimpleNamespace(metrics={"val_auroc": score})
        return Finalist(1, None, network, SimpleNamespace(needed=needed))

    summary = SimpleNamespace(record=SimpleNamespace(maximize=True, objective="val_auroc"))
    genetic, better = finalist(("genetic_0",), 0.6), finalist(("genetic_1",), 0.7)
    clinical = finalist((), 0.5)
    assert champion_of([genetic, better], summary) is better
    assert champion_of([genetic, clinical, better], summary) is clinical


def test_columns_that_were_zeroed_need_not_be_there():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3))
    weights[1] = 0.0
    schema = Schema(
        (Column("a", NUMBER), Column("b", NUMBER)),
        (Feature("a", 0, 0, 0.5, 2.0), Feature("b", 1, 0, 0.0, 1.0)),
    )
    layers = ((weights, np.zeros(3)), (rng.normal(size=(3, 1)), np.zeros(1)))
    network = ServedNetwork(layers, "relu", "binary", schema, (0, 1), (), ("p",))
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [np.nan, 5.0]})
    assert (network.columns, network.zeroed_columns) == (("a",), ("b",))
    pd.testing.assert_frame_equal(network.predict(table), network.predict(table[["a"]]))
    with pytest.raises(InputError, match="lacks a"):
        network.predict(table[["b"]])


def test_a_network_that_zeroed_everything_is_a_model_that_needs_nothing(tmp_path):
    layers = ((np.zeros((1, 3)), np.ones(3)), (np.ones((3, 1)), np.zeros(1)))
    network = ServedNetwork(layers, "relu", "binary", Schema((), ()), (), ("genetic_0",), ("p",))
    everyone = network.predict(pd.DataFrame({"a": [1.0, 2.0]}))
    np.testing.assert_allclose(everyone["p"], 1 / (1 + np.exp(-3.0)))
    nothing = SimpleNamespace(columns={}, optional=(), dimensions=(), genotypes=(), outputs=("p",))
    assert models._signature(nothing).inputs is None
