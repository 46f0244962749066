"""In a store of many studies no query of ours walks through all runs: databases say how they would
answer each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from postgres_server import PASSWORD, USER, postgres, programs
from study_runs import run_here, working_in
from tiny_study import write_study

from pipeline.tracking import store as run_store
from pipeline.tracking.reader import load_study
from pipeline.tracking.store import RunStore

MANY = {"runs", "tags", "params", "metrics", "latest_metrics"}
"""Tables with rows of every run."""

READING = ("SELECT", "WITH")


@contextmanager
def read_from(database: str) -> Iterator[dict[str, object]]:
    """Statements that SQLAlchemy sends there inside, and their parameters: those that read."""
    sent: dict[str, object] = {}

    def hear(connection, cursor, statement, parameters, context, many) -> None:
        url = connection.engine.url
        reads = statement.lstrip().upper().startswith(READING)
        if reads and (url.database or "").endswith(database):
            sent.setdefault(statement, parameters)

    sa.event.listen(sa.engine.Engine, "before_cursor_execute", hear)
    try:
        yield sent
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", hear)


def a_day(folder: Path, address: str) -> None:
    """A study, that study with another configuration, and the newest study read."""
    study = write_study(folder)
    run_here(folder, study)
    run_here(folder, study, configurations=2)
    with working_in(folder):
        assert len(load_study(tracking_uri=address).networks) == 4


def test_sqlite_searches_by_an_index(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/mlflow.db"
    RunStore(address)  # tables are made before: migrations of MLflow read all that there is
    with read_from("mlflow.db") as sent:
        a_day(tmp_path, address)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        plans = {
            statement: [
                row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {statement}", given)
            ]
            for statement, given in sent.items()
        }
    assert any(step.startswith("SEARCH runs") for plan in plans.values() for step in plan)
    scans = [
        (step, statement)
        for statement, plan in plans.items()
        for step in plan
        if step.startswith("SCAN") and step.split()[1] in MANY
    ]
    assert scans == []


def nodes(plan: dict) -> Iterator[dict]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_postgresql_can_search_by_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables it would rather read whole; told not to, it does so where no index helps."""
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed (Debian: postgresql)")
    import psycopg

    with postgres(folder) as server:
        address = server.database("runs")
        RunStore(address)
        monkeypatch.setattr(run_store, "get_tracking_uri", lambda: address)
        with read_from("runs") as sent:
            a_day(tmp_path, address)
        where = {"host": "127.0.0.1", "port": server.port, "dbname": "runs"}
        with psycopg.connect(**where, user=USER, password=PASSWORD) as database:
            database.execute("SET enable_seqscan = off")
            explained = {
                s: database.execute(f"EXPLAIN (FORMAT JSON) {s}", given).fetchone()[0][0]["Plan"]
                for s, given in sent.items()
            }
    of_many = [
        (node, statement)
        for statement, plan in explained.items()
        for node in nodes(plan)
        if node.get("Relation Name") in MANY
    ]
    assert of_many
    assert [s for node, s in of_many if not {"Index Cond", "Recheck Cond"} & node.keys()] == []
