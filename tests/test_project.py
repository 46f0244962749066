"""The project's files agree with each other: one list of requirements, one of parameters."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from study_runs import PROJECT

MLPROJECT = yaml.safe_load((PROJECT / "MLproject").read_text())
ENTRY_POINTS = MLPROJECT["entry_points"]
WITH_PARAMETERS = [name for name, entry in ENTRY_POINTS.items() if "parameters" in entry]
REQUIREMENTS = (PROJECT / "requirements.txt").read_text()
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)", REQUIREMENTS, re.MULTILINE))
PIN = r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)"
CLUSTER = dict(re.findall(PIN, (PROJECT / "requirements-cluster.txt").read_text(), re.MULTILINE))
MODULES = sorted((PROJECT / "pipeline").rglob("*.py"))
# Import name → name in requirements.txt, where they differ.
DISTRIBUTION = {
    "lazy_loader": "lazy-loader",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "bed_reader": "bed-reader",
    "dask": "distributed",
    "dask_kubernetes": "dask-kubernetes",
}
OWNERS = {
    "mlflow": {"tracking"},
    "tensorflow": {"networks", "training", "command_line", "prediction"},
    "optuna": {"search_space", "study", "inspection"},
    "bokeh": {"report"},
    "matplotlib": {"report", "prediction"},
    "bed_reader": {"serving"},
    "msprime": {"genetics"},
    "distributed": {"workers"},
}
"""Library → the rooms that may import it."""


def room(path: Path) -> str:
    """`pipeline/data/table.py` → `data`; a module of the package itself has its own name."""
    return path.relative_to(PROJECT / "pipeline").parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Top-level names of every import, also of those within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_every_parameter_is_in_its_command_and_has_type_default_and_description(name: str) -> None:
    entry = ENTRY_POINTS[name]
    assert set(re.findall(r"{(\w+)}", entry["command"])) == entry["parameters"].keys()
    for parameter, declared in entry["parameters"].items():
        assert f"--{parameter} {{{parameter}}}" in entry["command"]
        assert {"type", "default", "description"} <= declared.keys()


@pytest.mark.parametrize("name", WITH_PARAMETERS)
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


def test_what_runs_and_what_tests_benchmarks_and_clusters_need_are_pinned_lists() -> None:
    conda = yaml.safe_load((PROJECT / MLPROJECT["conda_env"]).read_text())
    (pip,) = [d["pip"] for d in conda["dependencies"] if isinstance(d, dict)]
    assert pip == ["-r requirements.txt"]
    for name in (
        "requirements.txt", "requirements-test.txt", "requirements-cluster.txt",
        "benchmarks/requirements.txt",
    ):  # fmt: skip
        lines = [line.strip() for line in (PROJECT / name).read_text().splitlines()]
        packages = [x for x in lines if x and not x.startswith(("#", "-r "))]
        assert packages
        assert all(re.fullmatch(r"[\w.-]+(\[[\w,]+\])?==[\w.]+", package) for package in packages)


def test_a_library_user_gets_ranges_that_hold_the_pins() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    ranges = {r.name.lower(): r.specifier for r in map(Requirement, project["dependencies"])}
    assert {name.lower() for name in PINNED} == set(ranges)
    for name, version in PINNED.items():
        assert ranges[name.lower()].contains(version)


def test_the_cluster_extra_has_one_list_of_pins_and_ranges() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extra = map(Requirement, project["optional-dependencies"]["cluster"])
    ranges = {r.name.lower(): r.specifier for r in extra}
    assert {name.lower() for name in CLUSTER} == set(ranges)
    for name, version in CLUSTER.items():
        assert ranges[name.lower()].contains(version)
    tested = (PROJECT / "requirements-test.txt").read_text().splitlines()
    assert "-r requirements-cluster.txt" in tested


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_import_is_pinned_or_of_the_standard_library(path: Path) -> None:
    pinned = {name.lower() for name in PINNED | (CLUSTER if room(path) == "workers" else {})}
    for name in imported(path) - sys.stdlib_module_names - {"pipeline"}:
        assert DISTRIBUTION.get(name, name).lower() in pinned


@pytest.mark.parametrize("library", OWNERS)
def test_every_library_has_its_owners(library: str) -> None:
    users = {room(path) for path in MODULES if library in imported(path)}
    assert users <= OWNERS[library]
    assert users


def test_imports_point_to_a_lower_floor() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_rooms_are_entered_by_what_they_hand_on() -> None:
    """An import of another room names the room, and what its stub has; nothing stands unused."""
    handed = {
        stub.parent.name: {
            alias.name for node in ast.parse(stub.read_text()).body for alias in node.names
        }
        for stub in (PROJECT / "pipeline").glob("*/__init__.pyi")
    }
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("pip"):
                continue
            _, *place = node.module.split(".")
            if place and place[0] in handed and place[0] != room(path):
                modules = {p.stem for p in (PROJECT / "pipeline" / place[0]).glob("*.py")}
                assert len(place) == 1, f"{path}: enters {node.module} past its door"
                assert {alias.name for alias in node.names} <= handed[place[0]] | modules, path


def test_what_rooms_hand_on_is_there() -> None:
    names = [f"pipeline.{p.parent.name}" for p in (PROJECT / "pipeline").glob("*/__init__.pyi")]
    code = f"import importlib; [importlib.import_module(n) for n in {names!r}]"
    subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, check=True,
        env=os.environ | {"EAGER_IMPORT": "1"},
    )  # fmt: skip


def test_no_module_is_longer_than_400_lines() -> None:
    assert [p.name for p in MODULES if len(p.read_text().splitlines()) > 400] == []


def test_the_package_itself_has_only_what_everyone_may_use() -> None:
    """Everything else stands in a room."""
    names = {path.name for path in (PROJECT / "pipeline").glob("*.py")}
    assert names == {
        "__init__.py", "command_line.py", "errors.py", "progress.py", "provenance.py",
        "results.py", "words.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("report.page", {"tensorflow", "optuna", "mlflow"}),
        ("tracking.reader", {"tensorflow", "optuna", "matplotlib"}),
        ("search_space.study_file", {"tensorflow", "mlflow", "matplotlib"}),
        ("study.run", {"tensorflow", "keras"}),
        ("study.crew", {"tensorflow", "optuna", "mlflow", "matplotlib"}),
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


def test_targets_stand_beside_what_the_sections_of_benchmarks_measured() -> None:
    code = (
        "import measure; text = measure.RESULTS.read_text(); "
        "assert measure.with_targets(text) == text, 'run python benchmarks/measure.py'; "
        "print(text.count('<!-- figure '), text.partition('<!-- sections')[0].count('.py` |'))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT / "benchmarks", check=True, capture_output=True,
        text=True,
    ).stdout  # fmt: skip
    figures, rows = map(int, said.split())
    assert figures == rows > 20


def test_what_a_study_leaves_behind_is_ignored_by_git() -> None:
    ignored = (PROJECT / ".gitignore").read_text().split()
    assert {"mlruns/", "reports/", ".lariat/"} <= set(ignored)
    assert {"mlflow.db*", "optuna.db*"} <= set(ignored)
