"""A small study of the real table, through the real entry point, leaves what the docs promise."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections import defaultdict
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from study_runs import TABLE, command, complete_trials, files_of, of_kind, study_run, trials

EDUCATION = [f"education={level}" for level in (1, 2, 3, 4, "missing")]
MEASURES = [
    f"{split}_{name}"
    for split in ("train", "val", "test")
    for name in ("auroc", "average_precision", "accuracy")
]
COUNTS = ["zeroed_variables", "zeroed_clinical", "zeroed_genetic"]
# One person's measurement and everyone's name: no store and no report may have them.
PLANTED_NUMBER, PLANTED_NAME = 187.1234375, "Quartzmain"
STUDY = """
# Do the stores have what the documents promise? Under a minute.
target: TenYearCHD
categories: [education]
inputs: [clinical, genetic]
configurations: 2
seeds: 2
cross: [regularizer]
space:
  regularizer: [none, l2, group_lasso]
  lambda_l2: {low: 0.01, high: 0.1, log: true}
  lambda_group: {low: 0.004, high: 0.03, log: true}
network: {hidden_layer_sizes: [8], genetic_dimensions: 4}
training: {epochs: 4}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study has run: 5 configurations from 2 seeds each."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "small.yaml").write_text(STUDY)
    table = pd.read_csv(TABLE)
    table["sysBP"] = table["sysBP"].astype(float)
    table.loc[1000, "sysBP"] = PLANTED_NUMBER
    table["name"] = [f"{PLANTED_NAME}-{i:04d}" for i in range(len(table))]
    table.to_csv(folder / "people.csv", index=False)
    done = command(folder, "search.py", "--study", "small.yaml", "--data", "people.csv")
    (folder / "out.txt").write_text(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_every_network_is_a_run_with_the_documented_names(finished: Path) -> None:
    parent, networks = study_run(finished), of_kind(finished, "network")
    assert {n.key for n in networks} == {(c, s) for c in range(5) for s in (0, 1)}
    assert len(networks) == 10
    for network in networks:
        regularizer = network.params["regularizer"]
        assert network.name == "{} c{} s{}".format(regularizer, *network.key)
        assert (network.status, network.parent) == ("FINISHED", parent.run_id)
        assert {"lambda_l1", "lambda_l2", "lambda_group", "inputs"} <= network.params.keys()
        assert network.params["hidden_layer_sizes"] == "[8]"
        assert network.params["epochs"] == "4"
        wanted = {f"{p}{name}" for p in ("", "final_") for name in [*MEASURES, *COUNTS]}
        wanted |= {"best_epoch", "final_epoch", "kkt_residual", "objective", "train_seconds"}
        wanted |= {"kkt_residual_absolute"}
        wanted |= {"epoch_train_loss", "epoch_val_auroc"}
        wanted |= {"epoch_kept_clinical", "epoch_kept_genetic"}
        assert wanted <= network.metrics.keys()
        assert {"study", "study_id", "trial", "solution"} <= network.tags.keys()
        assert network.tags["study_id"] == parent.tags["study_id"]
        for name in ("heatmaps/first_layer.png", "heatmaps/first_layer_final.png"):
            assert (network.artifacts / name).read_bytes().startswith(b"\x89PNG")
        assert len(network.columns("first_layer.csv")) == 24 + 4


def test_a_lambda_that_the_regularizer_does_not_use_is_zero(finished: Path) -> None:
    uses = {"none": set(), "l2": {"lambda_l2"}, "group_lasso": {"lambda_group"}}
    for network in of_kind(finished, "network"):
        lambdas = ("lambda_l1", "lambda_l2", "lambda_group")
        used = {name for name in lambdas if float(network.params[name]) != 0.0}
        assert used == uses[network.params["regularizer"]]


def test_a_trial_is_a_network_and_its_seed_a_trial_parameter(finished: Path) -> None:
    by_number = {trial.number: trial for trial in trials(finished)}
    networks = of_kind(finished, "network")
    assert sorted(by_number) == sorted(int(n.tags["trial"]) for n in networks)
    for network in networks:
        trial = by_number[int(network.tags["trial"])]
        assert trial.state == optuna.trial.TrialState.COMPLETE
        assert (trial.params["configuration"], trial.params["seed"]) == network.key
        assert trial.params["regularizer"] == network.params["regularizer"]
        assert trial.value == network.metrics["val_auroc"]
    assert set(complete_trials(finished).values()) == {1}


def test_the_best_configuration_has_the_best_mean_over_its_seeds(finished: Path) -> None:
    scores = defaultdict(list)
    for network in of_kind(finished, "network"):
        scores[network.key[0]].append(network)
    best = max(scores.values(), key=lambda seeds: np.mean([n.metrics["val_auroc"] for n in seeds]))
    metrics = study_run(finished).metrics
    for name in MEASURES:
        values = [network.metrics[name] for network in best]
        assert metrics[f"best_{name}_mean"] == pytest.approx(np.mean(values))
        assert metrics[f"best_{name}_sd"] == pytest.approx(np.std(values, ddof=1))


def test_zeroed_counts_are_those_of_the_exact_zeros_in_the_weights(finished: Path) -> None:
    for network in of_kind(finished, "network"):
        for prefix, file in (("", "first_layer.csv"), ("final_", "first_layer_final.csv")):
            columns = network.columns(file)
            units = columns.filter(like="unit_")
            assert units.shape[1] == 8
            kept = (units != 0.0).any(axis=1).groupby(columns["variable"]).any()
            family = columns.groupby("variable")["family"].first()
            for name in ("clinical", "genetic"):
                zeroed = (~kept[family == name]).sum()
                assert network.metrics[f"{prefix}zeroed_{name}"] == zeroed
            assert network.metrics[f"{prefix}zeroed_variables"] == (~kept).sum()


def test_education_is_zeroed_or_kept_as_a_whole(finished: Path) -> None:
    ends = set()
    for network in of_kind(finished, "network"):
        for file in ("first_layer.csv", "first_layer_final.csv"):
            columns = network.columns(file)
            assert set(columns.loc[EDUCATION, "variable"]) == {"education"}
            kept = (columns.loc[EDUCATION].filter(like="unit_") != 0.0).any(axis=1)
            assert kept.nunique() == 1
            ends.add((network.params["regularizer"], bool(kept.iloc[0])))
    assert ends >= {("group_lasso", False), ("group_lasso", True), ("none", True), ("l2", True)}
    assert not ends & {("none", False), ("l2", False)}


def test_l2_and_none_report_no_zeroed_variable(finished: Path) -> None:
    plain = [n for n in of_kind(finished, "network") if n.params["regularizer"] in ("l2", "none")]
    assert len(plain) == 6
    for network in plain:
        counts = [network.metrics[f"{prefix}{c}"] for prefix in ("", "final_") for c in COUNTS]
        assert counts == [0.0] * 6


def test_what_the_study_found_is_on_its_run_in_markdown(finished: Path) -> None:
    run = study_run(finished)
    assert (run.name, run.status) == ("small", "FINISHED")
    description = run.tags["mlflow.note.content"]
    assert "Do the stores have what the documents promise?" in description
    assert "simulated" in description
    assert "|" in description  # a table
    for name in ("report/report.html", "report/panels.png", "tables/results.csv"):
        assert (run.artifacts / name).stat().st_size
    table = pd.read_csv(run.artifacts / "tables/results.csv")
    assert set(table["regularizer"]) == {"none", "l2", "group_lasso"}


def test_the_report_lies_in_the_output_folder_and_says_simulated(finished: Path) -> None:
    page = (finished / "reports/small/report.html").read_text()
    assert page == (study_run(finished).artifacts / "report/report.html").read_text()
    assert "simulated" in page
    assert files_of(finished) == {
        "small.yaml", "people.csv", "out.txt", "mlflow.db", "mlruns", "optuna.db", "reports"
    }  # fmt: skip


def test_progress_is_in_plain_lines_where_there_is_no_terminal(finished: Path) -> None:
    out = (finished / "out.txt").read_text()
    assert "\x1b" not in out
    assert "networks 10 of 10 · best mean val_auroc 0." in out
    assert "time left" in out
    assert "dropped name: text that differs between most people" in out


def test_no_person_is_in_any_store_nor_in_the_report(finished: Path) -> None:
    needles = {
        PLANTED_NAME.encode(): "a name",
        str(PLANTED_NUMBER).encode(): "a number",
        struct.pack("<d", PLANTED_NUMBER): "a double",
        struct.pack("<f", PLANTED_NUMBER): "a float",
    }
    places = ["mlflow.db", "optuna.db", "mlruns", "reports", ".lariat"]
    files = [p for place in places for p in [finished / place, *(finished / place).rglob("*")]]
    for path in filter(Path.is_file, files):
        content = path.read_bytes()
        found = [what for needle, what in needles.items() if needle in content]
        assert not found, (path, found)


def test_every_run_names_its_data_by_their_fingerprint(finished: Path) -> None:
    sha256 = hashlib.sha256((finished / "people.csv").read_bytes()).hexdigest()
    with sqlite3.connect(finished / "mlflow.db") as database:
        rows = database.execute(
            "SELECT i.destination_id, d.name, d.digest, d.dataset_source FROM inputs i "
            "JOIN datasets d ON d.dataset_uuid = i.source_id"
        ).fetchall()
    named = {run_id: (name, digest) for run_id, name, digest, _ in rows}
    expected = [n.run_id for n in of_kind(finished, "network")] + [study_run(finished).run_id]
    assert named == dict.fromkeys(expected, ("people.csv", sha256[:36]))
    assert str(finished) not in "".join(row[3] for row in rows)
