"""Every code block of README.md works, in its order, in a fresh folder after its first command.

The lines are the README's, word for word, and are read as a shell would. To be quick, `mlflow run`
is its command in this process (test_mlflow_run.py has the real one), studies are of few networks
and epochs, and the tables behind the README's names are small.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bed_reader import to_bed
from study_runs import PROJECT, TABLE, working_in

README = (PROJECT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(<!-- test -->\n)?```(\w+)\n(.*?)```", README, re.DOTALL)
ENTRY_POINTS = yaml.safe_load((PROJECT / "MLproject").read_text())["entry_points"]

INSTALLED = ("python3 -m venv", ". .venv/bin/activate", "pip install -r requirements.txt")
"""What this process has done already."""

NOT_HERE = ("mlflow ui",)
"""Starts a server that does not end."""

SMALL = {
    "main": ["--configurations", "1", "--seeds", "2", "--epochs", "2"],
    "simulate_genotypes": ["--variants", "200"],
}
"""Entry point → options that make it quick."""

PEOPLE = 120


def fill(folder: Path) -> None:
    """What a reader of the README has: the project's table and studies, their own table and
    genotypes."""
    (folder / "data").mkdir()
    pd.read_csv(TABLE).head(600).to_csv(folder / "data/framingham.csv", index=False)
    (folder / "search_spaces").mkdir()
    for path in (PROJECT / "search_spaces").glob("*.yaml"):
        (folder / "search_spaces" / path.name).write_bytes(path.read_bytes())
    rng = np.random.default_rng(0)
    age = rng.normal(50, 9, PEOPLE)
    ids = [f"P{i:03d}" for i in range(PEOPLE)]
    ill = (age + rng.normal(0, 5, PEOPLE) > 50).astype(int)
    weight = rng.normal(70, 9, PEOPLE)
    table = pd.DataFrame({"IID": ids, "age": age, "weight": weight, "outcome": ill})
    table.to_csv(folder / "my_table.csv", index=False)
    (folder / "cohort").mkdir()
    counts = rng.binomial(2, 0.3, (PEOPLE, 50)).astype(float)
    to_bed(folder / "cohort/autosomes.bed", counts, properties={"iid": ids})


def options_of(words: list[str]) -> tuple[str, list[str]]:
    """`mlflow run .` in words → (the script, its options), as MLproject has them."""
    assert words[:5] == ["mlflow", "run", ".", "--env-manager", "local"], words
    rest, entry, given = words[5:], "main", {}
    while rest:
        flag, value, *rest = rest
        if flag == "-e":
            entry = value
        else:
            assert flag == "-P"
            name, _, given[name] = value.partition("=")
    parameters = {k: str(p["default"]) for k, p in ENTRY_POINTS[entry]["parameters"].items()}
    assert given.keys() <= parameters.keys()
    command = ENTRY_POINTS[entry]["command"].format(**(parameters | given))
    _, script, *options = shlex.split(command)
    return script, [*options, *SMALL.get(entry, ())]


def run_line(line: str) -> None:
    """A line of a block, as its last command."""
    *before, command = [part.strip() for part in line.split("&&")]
    assert all(part.startswith(INSTALLED) for part in before), line
    words = shlex.split(command, comments=True)
    if command.startswith(NOT_HERE):
        return
    script, options = (words[1], words[2:]) if words[0] == "python" else options_of(words)
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *options])
        patch.setattr(sys, "path", list(sys.path))
        try:
            runpy.run_path(str(PROJECT / script), run_name="__main__")
        except SystemExit as end:
            assert not end.code, f"{line}: exit status {end.code}"
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def run_python(code: str, small: pd.DataFrame) -> None:
    """A block of Python, with a small table in place of scikit-learn's."""
    import sklearn.datasets

    with pytest.MonkeyPatch.context() as patch:
        y = (small["outcome"]).to_numpy()
        given = small[["age", "weight"]], y
        patch.setattr(sklearn.datasets, "load_breast_cancer", lambda **_: given)
        exec(compile(code, "README.md", "exec"), {})


def test_every_block_works_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.drafting import story
    from pipeline.search_space import located, study_file

    fill(tmp_path)
    for module in (located, study_file, story):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    *defaults, _ = study_file.load_search_space.__defaults__
    monkeypatch.setattr(
        study_file.load_search_space, "__defaults__", (*defaults, tmp_path / "search_spaces")
    )
    done = []
    with working_in(tmp_path):
        monkeypatch.setenv("COLUMNS", "200")
        for is_the_suite, language, code in BLOCKS:
            if is_the_suite:
                assert "scripts/check.py" in code
            elif language == "python":
                run_python(code, pd.read_csv("my_table.csv"))
            elif language == "yaml":
                (tmp_path / "block.yaml").write_text(code)
                assert study_file.load_search_space("block.yaml").question.endswith("?")
            else:
                for line in code.replace("\\\n", " ").splitlines():
                    run_line(line)
            done.append(language)
    assert done.count("bash") >= 6 and "python" in done
    assert (tmp_path / "search_spaces/my_table.yaml").is_file()
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 600
    assert (tmp_path / "scores.html").is_file()
    assert (tmp_path / "reports/group_lasso/model/explanation.html").is_file()
    assert os.path.lexists(tmp_path / "drawn.bed")
