"""The project's files agree with each other: one list of requirements, one of parameters."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from study_runs import PROJECT

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
ENTRY_POINTS = MLPROJECT["entry_points"]
REQUIREMENTS = (PROJECT / "requirements.txt").read_text()
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS, re.MULTILINE))
MODULES = sorted((PROJECT / "pipeline").glob("*.py"))
# Import name → name in requirements.txt, where they differ.
DISTRIBUTION = {
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "bed_reader": "bed-reader",
}
OWNERS = {
    "mlflow": {"run_store", "model_store"},
    "optuna": {"sampling", "trials", "search", "cells", "importance"},
    "bokeh": {"interactive", "report_pictures"},
    "matplotlib": {"figures", "heatmap", "variant_figures"},
    "bed_reader": {"plink"},
    "msprime": {"simulation"},
}
NO_TENSORFLOW = {
    "box_minimum", "cells", "cohort", "errors", "features", "figures", "genotypes",
    "heatmap", "joining", "kinks", "metrics", "plink", "progress", "relationship", "report",
    "results", "run_format", "run_store", "run_store_sql", "sampling", "search",
    "search_space", "simulated_fileset", "simulation", "solutions", "stability",
    "study_space", "study_yaml", "summary", "summary_text", "table", "tracked", "tracking",
    "trials",
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """Top-level names of every import, also of those within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("name", ["main", "report", "simulate_genotypes"])
def test_every_parameter_is_in_its_command_and_has_type_default_and_description(name: str) -> None:
    entry = ENTRY_POINTS[name]
    assert set(re.findall(r"{(\w+)}", entry["command"])) == entry["parameters"].keys()
    for parameter, declared in entry["parameters"].items():
        assert f"--{parameter} {{{parameter}}}" in entry["command"]
        assert {"type", "default", "description"} <= declared.keys()


@pytest.mark.parametrize("name", ["main", "report", "simulate_genotypes"])
def test_help_lists_every_parameter_with_its_description(name: str) -> None:
    script = re.match(r"python (scripts/\w+\.py)", ENTRY_POINTS[name]["command"]).group(1)
    done = subprocess.run(
        [sys.executable, PROJECT / script, "--help"], capture_output=True, text=True, check=True
    )
    shown = " ".join(done.stdout.split())
    for parameter, declared in ENTRY_POINTS[name]["parameters"].items():
        assert f"--{parameter} VALUE {' '.join(declared['description'].split())}" in shown


def test_the_parameters_of_the_design_are_declared() -> None:
    assert set(ENTRY_POINTS) >= {"main", "report", "test"}
    assert ENTRY_POINTS["main"]["parameters"].keys() >= {
        "study", "data", "target", "genotypes", "configurations", "seeds", "epochs", "storage",
        "scheduler", "output",
    }  # fmt: skip
    assert ENTRY_POINTS["report"]["parameters"].keys() >= {"study", "output"}


def test_conda_builds_a_new_environment_whenever_the_requirements_change() -> None:
    text = (PROJECT / MLPROJECT["conda_env"]).read_text()
    told = re.search(r"sha256: ([0-9a-f]{64})", text).group(1)
    assert told == hashlib.sha256(REQUIREMENTS.encode()).hexdigest()


def test_there_is_one_list_of_pinned_requirements() -> None:
    conda = yaml.safe_load((PROJECT / MLPROJECT["conda_env"]).read_text())
    (pip,) = [d["pip"] for d in conda["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.txt"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {
        "file": ["requirements.txt"]
    }
    lines = [line for line in REQUIREMENTS.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line.split(" #")[0].strip()) for line in lines)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_import_is_pinned_or_of_the_standard_library(path: Path) -> None:
    pinned = {name.lower() for name in PINNED}
    for name in imported(path) - sys.stdlib_module_names - {"pipeline"}:
        assert DISTRIBUTION.get(name, name).lower() in pinned


@pytest.mark.parametrize("library", OWNERS)
def test_every_library_has_its_owners(library: str) -> None:
    users = {path.stem for path in MODULES if library in imported(path)}
    assert users <= OWNERS[library]
    assert users


def test_tensorflow_is_in_the_engine_alone() -> None:
    users = {path.stem for path in MODULES if "tensorflow" in imported(path)}
    assert not users & NO_TENSORFLOW
    assert {"network", "training", "penalties"} <= users


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("report", {"tensorflow", "optuna", "mlflow"}),
        ("tracked", {"tensorflow", "optuna", "matplotlib"}),
        ("search_space", {"tensorflow", "mlflow", "matplotlib"}),
        ("command_line", {"tensorflow", "optuna", "mlflow", "matplotlib", "pandas"}),
    ],
)
def test_a_module_is_imported_without_what_it_does_not_need(
    module: str, unneeded: set[str]
) -> None:
    code = f"import sys, pipeline.{module}; print(*sorted({unneeded!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("script", sorted((PROJECT / "scripts").glob("*.py")), ids=str)
def test_scripts_run_from_any_folder(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_study_leaves_behind_is_ignored_by_git() -> None:
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert {"mlruns/", "reports/", ".lariat/"} <= set(ignored)
    assert {"mlflow.db*", "optuna.db*"} <= set(ignored)
