"""A tracking store that is made at once is the one that MLflow's migrations make."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.db import commands
from mlflow.store.db.utils import _get_latest_schema_revision
from mlflow.tracking import MlflowClient

from pipeline.tracking import RunStore, connecting

TIMES = re.compile(r"\b\d{13}\b")


def content(path: Path) -> list[str]:
    """Tables with their columns in order, indices, triggers and rows, without times and the
    folder's name; constraints in any order, which differs between two runs of the migrations."""
    names = ("user_version", "encoding", "page_size", "journal_mode", "auto_vacuum")
    with closing(sqlite3.connect(path)) as database:
        found = [str((name, *database.execute(f"PRAGMA {name}"))) for name in names]
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            found.append(f"{table}: {database.execute(f'PRAGMA table_xinfo({table})').fetchall()}")
        statements = [TIMES.sub("TIME", statement) for statement in database.iterdump()]
    for statement in statements:
        lines = sorted(line.strip(" \t,") for line in statement.splitlines())
        found.append("\n".join(lines).replace(str(path.parent), "FOLDER"))
    return sorted(found)


def test_a_store_made_at_once_is_what_the_migrations_make(tmp_path: Path, monkeypatch) -> None:
    found = []
    for templates in (connecting.TEMPLATES, tmp_path):  # the second has none
        folder = tmp_path / templates.name
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(connecting, "TEMPLATES", templates)
        RunStore(f"sqlite:///{folder}/mlflow.db")
        found.append(content(folder / "mlflow.db"))
    at_once, by_migrations = found
    assert at_once == by_migrations


def test_mlflow_has_nothing_to_upgrade_in_it(tmp_path: Path, monkeypatch) -> None:
    """If this fails after an update of MLflow: `python tests/oracles/mlflow_tables.py`."""
    monkeypatch.chdir(tmp_path)
    assert (connecting.TEMPLATES / f"mlflow_{_get_latest_schema_revision()}.sql").exists()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    RunStore(uri)
    before = content(tmp_path / "mlflow.db")
    done = CliRunner().invoke(commands, ["upgrade", uri])
    assert done.exit_code == 0, done.output
    assert content(tmp_path / "mlflow.db") == before
    run = MlflowClient(uri).create_run("0")
    assert MlflowClient(uri).get_run(run.info.run_id).info.status == "RUNNING"


def test_of_another_mlflow_the_store_is_made_by_its_own_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = []

    def newer(*_) -> str:
        asked.append(True)
        return "0123456789ab"

    monkeypatch.setattr(connecting, "_get_latest_schema_revision", newer)
    store = RunStore(f"sqlite:///{tmp_path}/mlflow.db")
    assert asked
    assert store.experiment_ids() == ["0"]
