"""Nothing private leaves: no path, no password, no file that is not the report's; and nothing that
comes from a shared store leads out of the folder of reports."""

from __future__ import annotations

import json
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_runs import of_kind, run_here, study_run, trials, working_in

from pipeline.errors import InputError
from pipeline.process.files import name_within
from pipeline.report import report_folder
from pipeline.results import StudyRecord
from pipeline.study.storage import storage_url
from pipeline.tracking import RunStore

STUDY = """
# Does anything private leave?
target: ill
inputs: [clinical]
genotypes: none
configurations: 1
seeds: 2
space:
  regularizer: [l1]
  lambda_l1: [0.01]
network: {hidden_layer_sizes: [2]}
training: {epochs: 2}
"""
RECORD = StudyRecord("a study", "0123456789ab", "?", "ill", "val_auroc", True, "none", {}, {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study on a table that lies in a folder with a telling name, told where by a parameter."""
    folder = tmp_path_factory.mktemp("private")
    home = folder / "home of anna"
    home.mkdir()
    rng = np.random.default_rng(0)
    pd.DataFrame({"age": rng.integers(30, 70, 80), "ill": np.arange(80) % 2}).to_csv(
        home / "people.csv", index=False
    )
    (home / "ask.yaml").write_text(STUDY)
    (folder / "reports/ask").mkdir(parents=True)
    (folder / "reports/ask/a letter.txt").write_text("confidential")
    run_here(
        folder,
        str(home / "ask.yaml"),
        data=str(home / "people.csv"),
        storage=f"sqlite:///{folder}/trials.db",
    )
    return folder


def test_the_record_has_names_of_files_and_no_folder(folder: Path) -> None:
    run = study_run(folder)
    record = json.loads((run.artifacts / "study/record.json").read_text())
    assert record["settings"]["data"] == "people.csv"
    assert (
        record["command"] == "mlflow run . --env-manager local -P study=ask.yaml -P data=people.csv"
    )
    for path in [p for p in run.artifacts.parents[1].rglob("*") if p.is_file()]:
        assert b"home of anna" not in path.read_bytes(), path
    for database in ("mlflow.db", "trials.db"):
        assert b"home of anna" not in (folder / database).read_bytes()


def test_only_files_of_the_report_are_kept_with_the_run(folder: Path) -> None:
    kept = {path.name for path in (study_run(folder).artifacts / "report").iterdir()}
    here = {path.name for path in (folder / "reports/ask").iterdir()}
    assert here - kept == {"a letter.txt"}
    assert {"report.html", "results.csv"} <= kept


def test_the_cache_is_for_its_owner_alone(folder: Path) -> None:
    assert stat.S_IMODE((folder / ".lariat").stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name",
    ["../up", "/etc/x", "..", ".", "", "a/../../b", "..\\up", ".hidden", "nul\0", "x" * 4000],
)
def test_a_studys_name_never_leads_out_of_the_folder_of_reports(tmp_path: Path, name: str) -> None:
    folder = report_folder(tmp_path, [replace(RECORD, study=name)])
    assert folder.parent == tmp_path
    assert not folder.name.startswith(".")
    folder.mkdir()
    assert folder.resolve().parent == tmp_path.resolve()


def test_ordinary_names_of_studies_are_names_of_folders() -> None:
    for name in ("group_lasso", "my study", "λ-suche", "v1.2+v1.3"):
        assert name_within(name) == name


def test_another_study_of_the_same_name_has_its_report_beside(tmp_path: Path) -> None:
    first = report_folder(tmp_path, [RECORD])
    first.mkdir()
    (first / "report.html").write_text(f"<dd>{RECORD.study_id}</dd>")
    assert report_folder(tmp_path, [RECORD]) == first == tmp_path / "a study"
    other = replace(RECORD, study_id="ba9876543210")
    assert report_folder(tmp_path, [other]) == tmp_path / "a study-ba9876"


def test_storage_comes_from_the_parameter_the_environment_or_is_a_file_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LARIAT_STORAGE", raising=False)
    assert storage_url(None) == "sqlite:///optuna.db"
    monkeypatch.setenv("LARIAT_STORAGE", "postgresql://u:p@h/d")
    assert storage_url(None) == "postgresql://u:p@h/d"
    assert storage_url("sqlite:///other.db") == "sqlite:///other.db"


def test_trials_go_where_the_environment_says(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LARIAT_STORAGE", "sqlite:///optuna.db")
    home = folder / "home of anna"
    run_here(tmp_path, str(home / "ask.yaml"), data=str(home / "people.csv"), seeds=1)
    assert len(trials(tmp_path)) == len(of_kind(tmp_path, "network")) == 1


def test_a_password_among_mlflows_parameters_is_refused_and_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "postgresql://me:se-cret@127.0.0.1/none"
    with working_in(tmp_path):
        store = RunStore()
        run = store.start(store.experiment_id("lariat"), "opened by mlflow run", {})
        store.update(run.run_id, params={"storage": secret, "seeds": "2"})
        monkeypatch.setenv("MLFLOW_RUN_ID", run.run_id)
        with pytest.raises(InputError, match="LARIAT_STORAGE") as refusal:
            storage_url(secret)
        assert store.get(run.run_id).params == {"storage": "***", "seeds": "2"}
    assert "se-cret" not in str(refusal.value)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("VACUUM")
    assert b"se-cret" not in (tmp_path / "mlflow.db").read_bytes()


def test_a_refused_storage_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        run_here(
            tmp_path,
            "l1",
            genotypes="none",
            storage="postgresql://me:se-cret@127.0.0.1:9/none",
        )
    assert "se-cret" not in str(refusal.value)
    assert "postgresql://me:***@127.0.0.1:9/none" in str(refusal.value)


def test_names_of_eighty_people_are_in_no_store_report_or_log(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"Person{i:02}{chr(97 + i % 26)}ova" for i in range(80)]
    answers = np.where(rng.random(80) < 0.5, "often", "never").astype(object)
    answers[:3] = ["Onlyoneansweredthis", "Onlytwoansweredthat", "Onlytwoansweredthat"]
    table = {"age": rng.integers(30, 70, 80), "name": names, "answer": answers}
    table |= {"nickname": [name[::-1] for name in names], "ill": np.arange(80) % 2}
    pd.DataFrame(table).to_csv(tmp_path / "people.csv", index=False)
    (tmp_path / "ask.yaml").write_text(STUDY)
    out = run_here(tmp_path, "ask.yaml", data="people.csv")
    needles = [*names, *table["nickname"], "Onlyoneansweredthis", "Onlytwoansweredthat"]
    inside = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "people.csv"]
    assert len(inside) > 20
    for content in [out.encode(), *(path.read_bytes() for path in inside)]:
        assert not [needle for needle in needles if needle.encode() in content]
