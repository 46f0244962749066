"""`mlflow run .`: the main job as the README says it, in a copy of the project."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from study_runs import PROJECT, complete_trials, environment, of_kind, runs, study_run

if importlib.util.find_spec("mlflow") is None:
    pytest.skip("mlflow is not installed", allow_module_level=True)
if shutil.which("git") is None:
    pytest.skip("`mlflow run` imports GitPython, which needs git", allow_module_level=True)

PARTS = ("MLproject", "conda.yaml", "requirements.txt", "pipeline", "scripts", "search_spaces")
SMALL = {"study": "l1", "genotypes": "none", "configurations": 1, "epochs": 3}


def mlflow_run(
    folder: Path, project: str = ".", **parameters: object
) -> subprocess.CompletedProcess:
    """With the environment of this process, whose `python` the project's commands find."""
    given = [f"-P{name}={value}" for name, value in parameters.items()]
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "run", project, "--env-manager", "local", *given],
        cwd=folder,
        env=environment()
        | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def copied(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, in which the main job ran, then ran on with one more seed."""
    folder = copied(tmp_path_factory.mktemp("clone") / "a clone", *PARTS, "data")
    for seeds in (1, 2):
        done = mlflow_run(folder, **SMALL, seeds=seeds)
        assert done.returncode == 0, done.stderr
    return folder


def test_the_projects_run_is_the_studys_with_the_networks_in_it(project: Path) -> None:
    run = study_run(project)
    assert (run.name, run.status) == ("l1", "FINISHED")
    assert run.tags["mlflow.project.entryPoint"] == "main"
    assert run.params["seeds"] == "1"  # as first given
    assert run.params["data"] == "from-study"
    networks = of_kind(project, "network")
    assert [network.parent for network in networks] == [run.run_id] * 2
    assert {network.status for network in networks} == {"FINISHED"}


def test_the_second_call_goes_on_in_the_run_of_the_first(project: Path) -> None:
    (pointer,) = of_kind(project, "continuation")
    assert (pointer.name, pointer.status) == ("l1 continued", "FINISHED")
    assert pointer.params["seeds"] == "2"
    assert study_run(project).run_id in pointer.tags["mlflow.note.content"]
    assert {run.key for run in of_kind(project, "network")} == {(0, 0), (0, 1)}
    assert complete_trials(project) == {(0, 0): 1, (0, 1): 1}
    assert len(runs(project)) == 1 + 1 + 2


def test_by_a_git_address_everything_is_where_the_person_stands(tmp_path: Path) -> None:
    repository = copied(tmp_path / "repository", *PARTS)
    identity = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost")
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "A copy"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    here = tmp_path / "here"
    here.mkdir()
    table = "\n".join(["age,ill", *(f"{30 + 7 * i % 41},{i % 2}" for i in range(80))])
    (here / "mine.csv").write_text(table)
    parameters = SMALL | {"data": "mine.csv", "target": "ill", "seeds": 1, "output": "found"}
    done = mlflow_run(here, f"file://{repository}", **parameters)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in here.iterdir()} == {
        "mine.csv", "mlflow.db", "mlruns", "optuna.db", "found", ".lariat"
    }  # fmt: skip
    assert study_run(here).artifacts.is_relative_to(here)
    assert (here / "found/l1/report.html").stat().st_size
    assert {path.name for path in repository.iterdir()} == {*PARTS, ".git"}
