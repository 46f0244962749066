"""Studies of other tables and of the clinical columns alone: what a person with data would do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState
from sklearn.datasets import load_breast_cancer
from study_runs import Run, command, of_kind, run_here, study_run, trials

CLINICAL = """
# Which clinical variables do the sparse regularizers need? Under a minute.
target: TenYearCHD
categories: [education]
inputs: [clinical]
genotypes: none
configurations: 2
seeds: 2
cross: [regularizer]
space:
  regularizer: [l1, group_lasso]
  lambda_l1: {low: 0.001, high: 0.01, log: true}
  lambda_group: {low: 0.001, high: 0.01, log: true}
network: {hidden_layer_sizes: [50]}
training: {epochs: 30}
"""
DIVERGING = """
# Does a network that diverges end alone? Seconds.
target: TenYearCHD
categories: [education]
inputs: [clinical]
genotypes: none
sampler: grid
configurations: 2
seeds: 2
space:
  regularizer: [l2]
  lambda_l2: [0.0]
  learning_rate: [0.001, 1.0e+30]
network: {hidden_layer_sizes: [50]}
training: {epochs: 3, final_learning_rate: 1.0}
"""


def networks_by(folder: Path, *params: str) -> dict[tuple, list[Run]]:
    found: dict[tuple, list[Run]] = {}
    for network in of_kind(folder, "network"):
        found.setdefault(tuple(network.params[p] for p in params), []).append(network)
    return found


@pytest.fixture(scope="module")
def clinical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinical")
    (folder / "clinical.yaml").write_text(CLINICAL)
    run_here(folder, "clinical.yaml")
    return folder


def test_clinical_columns_alone_reach_a_test_auroc_of_0_70(clinical: Path) -> None:
    assert study_run(clinical).metrics["best_test_auroc_mean"] >= 0.70


@pytest.mark.parametrize("regularizer", ["l1", "group_lasso"])
def test_age_is_among_the_strongest_variables(clinical: Path, regularizer: str) -> None:
    configurations = networks_by(clinical, "regularizer", "configuration")
    best = max(
        (own for (name, _), own in configurations.items() if name == regularizer),
        key=lambda own: np.mean([n.metrics["val_auroc"] for n in own]),
    )
    for network in best:
        columns = network.columns("first_layer.csv")
        squares = columns.filter(like="unit_").pow(2).sum(axis=1)
        strongest = squares.groupby(columns["variable"]).sum().nlargest(3)
        assert "age" in strongest.index


def test_a_diverging_network_fails_with_its_reason_and_alone(tmp_path: Path) -> None:
    (tmp_path / "diverging.yaml").write_text(DIVERGING)
    out = run_here(tmp_path, "diverging.yaml")
    assert "networks 4 of 4" in out
    by_rate = networks_by(tmp_path, "learning_rate")
    for network in by_rate[("0.001",)]:
        assert network.status == "FINISHED"
        assert network.metrics["val_auroc"] > 0.5
    (failed,) = (own for (rate,), own in by_rate.items() if rate != "0.001")
    assert len(failed) == 2
    for network in failed:
        assert network.status == "FAILED"
        assert "diverged in epoch" in network.tags["failure"]
    states = {int(t.params["learning_rate"] == 0.001): t.state.name for t in trials(tmp_path)}
    assert states == {1: TrialState.COMPLETE.name, 0: TrialState.FAIL.name}
    reasons = {t.user_attrs.get("failure") for t in trials(tmp_path)}
    assert reasons == {None, failed[0].tags["failure"]}
    assert study_run(tmp_path).status == "FINISHED"
    assert "networks 4 of 4" not in run_here(tmp_path, "diverging.yaml")  # nor tried again


@pytest.fixture(scope="module")
def tumors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two bundled studies of the Framingham table ran on another table."""
    folder = tmp_path_factory.mktemp("tumors")
    table = load_breast_cancer(as_frame=True).frame
    table["benign"] = table.pop("target").map({0: "no", 1: "yes"})
    table.to_parquet(folder / "tumors.parquet")
    few = {"data": "tumors.parquet", "target": "benign", "configurations": 1, "seeds": 1}
    run_here(folder, "l1", genotypes="none", epochs=10, **few)
    run_here(folder, "group_lasso", epochs=3, **few)
    return folder


def test_another_table_is_given_by_its_file_and_its_target(tumors: Path) -> None:
    (network,) = networks_by(tumors, "regularizer")[("l1",)]
    assert network.params["inputs"] == "clinical"
    assert len(network.columns("first_layer.csv")) == 30
    assert "zeroed_genetic" not in network.metrics
    assert network.metrics["test_auroc"] > 0.9


def test_genotypes_are_simulated_for_the_people_of_another_table(tumors: Path) -> None:
    (network,) = networks_by(tumors, "regularizer")[("group_lasso",)]
    families = network.columns("first_layer.csv")["family"].value_counts()
    assert families.to_dict() == {"clinical": 30, "genetic": 20}
    parent = next(r for r in of_kind(tumors, "study") if r.name == "group_lasso")
    assert parent.params["genotypes"] == "simulated"
    assert "simulated" in parent.tags["mlflow.note.content"]


def test_the_report_of_nothing_else_is_that_of_the_newest_study(tumors: Path) -> None:
    done = command(tumors, "report.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("group_lasso:")
    assert done.stdout.rstrip().endswith("report: reports/group_lasso/report.html")
