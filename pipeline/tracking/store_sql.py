"""A whole run in one transaction of MLflow's database, in SQLite or PostgreSQL.

MLflow's own calls take a transaction for each of create, log and end, and an object for each
point of a curve: 0.12 s a network on 2 cores, more than its training. The same rows, inserted
together, take 0.01 s, and a killed process leaves no half-recorded run. PostgreSQL takes them by
its COPY. `SqlRuns.of` looks at the
tables first and is None when they are not the ones known here: then MLflow's calls are used.
"""

from __future__ import annotations

import itertools
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline.tracking.format import LARGEST_FLOAT
from pipeline.tracking.records import NewRun, StoredRun
from pipeline.tracking.store_search import find_runs

COMPARED_VERSIONS = {"dc11669786a5"}
"""`alembic_version` of databases on which a test compares, row for row and in all tables, what is
written here with what MLflow's client writes."""

BUSY_MILLISECONDS = 20_000
"""How long another writer of a SQLite file is waited for, as MLflow does."""

POINT = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
Point = tuple[str, float, int, int, bool, str]
COLUMNS = {
    "runs": {
        "run_uuid", "experiment_id", "name", "artifact_uri", "user_id", "status", "start_time",
        "end_time", "source_type", "source_name", "entry_point_name", "source_version",
        "lifecycle_stage",
    },
    "params": {"key", "value", "run_uuid"},
    "tags": {"key", "value", "run_uuid"},
    "metrics": set(POINT),
    "latest_metrics": set(POINT),
    "datasets": {"dataset_uuid", "experiment_id", "name", "digest"},
    "inputs": {"input_uuid", "source_type", "source_id", "destination_type", "destination_id"},
    "input_tags": {"input_uuid", "name", "value"},
}  # fmt: skip


CONSTANTS = {
    "source_type": "UNKNOWN",
    "source_name": "",
    "entry_point_name": "",
    "source_version": "",
    "lifecycle_stage": "active",
}


@dataclass(frozen=True)
class SqlRun:
    """One row of the table of runs, its params and tags, and (key, value, ms, step) metrics."""

    columns: Mapping[str, Any]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int, int]]

    @property
    def run_id(self) -> str:
        """MLflow's id."""
        return str(self.columns["run_uuid"])


def run_columns(
    run: NewRun, run_id: str, experiment_id: int, artifact_uri: str, user: str
) -> dict[str, object]:
    """A run's row of the table of runs."""
    return {
        "run_uuid": run_id,
        "experiment_id": experiment_id,
        "name": run.name,
        "artifact_uri": artifact_uri,
        "user_id": user,
        "status": run.status,
        "start_time": run.start_ms,
        "end_time": run.end_ms,
    }


def known_tables(
    engine: sa.Engine, columns: Mapping[str, set[str]]
) -> Mapping[str, sa.Table] | None:
    """The tables of these names, or None where one is missing or other columns must be filled."""
    metadata = sa.MetaData()
    try:
        metadata.reflect(engine, only=list(columns))
    except sa.exc.InvalidRequestError:  # a table is missing
        return None
    known = all(_as_known(metadata.tables[name], columns[name]) for name in columns)
    return metadata.tables if known else None


class SqlRuns:
    """Inserts runs as MLflow's own store would, row for row."""

    def __init__(self, engine: sa.Engine, tables: Mapping[str, sa.Table]) -> None:
        self._engine = engine
        self._tables = tables

    @classmethod
    def of(cls, engine: sa.Engine) -> SqlRuns | None:
        """None when the database is another, of a version on which this was not compared with
        MLflow's client, or its tables are not as known here."""
        if engine.dialect.name not in WRITERS or _version(engine) not in COMPARED_VERSIONS:
            return None
        tables = known_tables(engine, COLUMNS)
        return None if tables is None else cls(engine, tables)

    def add(self, runs: Sequence[SqlRun], dataset: tuple[str, str] | None) -> None:
        """Runs that are over, with all that belongs to them.

        dataset is the (name, digest) of one already logged in the runs' experiment.
        """
        points = [_points(run.run_id, run.metrics) for run in runs]
        latest = [point for of_run in points for point in _latest(of_run)]
        with self._transaction() as write:
            write("runs", [{**CONSTANTS, **run.columns} for run in runs])
            write("params", [pair for run in runs for pair in _pairs(run.run_id, run.params)])
            write("tags", [pair for run in runs for pair in _pairs(run.run_id, run.tags)])
            write.tuples("metrics", POINT, list(itertools.chain(*points)))
            write.tuples("latest_metrics", POINT, latest)
            if dataset is not None:
                for experiment_id in dict.fromkeys(run.columns["experiment_id"] for run in runs):
                    members = [r for r in runs if r.columns["experiment_id"] == experiment_id]
                    self._link(write, [run.run_id for run in members], experiment_id, *dataset)

    def set_tag(self, key: str, values: Mapping[str, str]) -> None:
        """One tag of many runs: run id → value."""
        tags = self._tables["tags"]
        with self._transaction() as write:
            which = (tags.c.key == key) & (tags.c.run_uuid == sa.bindparam("run"))
            write("tags", [{"run": run_id} for run_id in values], tags.delete().where(which))
            write("tags", [{"key": key, "value": v, "run_uuid": run} for run, v in values.items()])

    def search(
        self, experiment_ids: Sequence[str], tags: Sequence[tuple[str, str]]
    ) -> list[StoredRun]:
        """As `find_runs`."""
        return find_runs(self._engine, self._tables, experiment_ids, tags)

    def _link(
        self, write: _Writer, run_ids: Sequence[str], experiment_id: int, name: str, digest: str
    ) -> None:
        datasets = self._tables["datasets"].c
        which = (datasets.experiment_id == experiment_id) & (datasets.name == name)
        dataset_id = write.connection.execute(
            sa.select(datasets.dataset_uuid).where(which & (datasets.digest == digest))
        ).scalar()
        if dataset_id is None:
            return
        inputs = [(uuid.uuid4().hex, run_id) for run_id in run_ids]
        edge = {"source_type": "DATASET", "source_id": dataset_id, "destination_type": "RUN"}
        write("inputs", [edge | {"input_uuid": i, "destination_id": run} for i, run in inputs])
        context = {"name": "mlflow.data.context", "value": "training"}
        write("input_tags", [context | {"input_uuid": i} for i, _ in inputs])

    @contextmanager
    def _transaction(self) -> Iterator[_Writer]:
        with self._engine.connect() as connection:
            yield WRITERS[self._engine.dialect.name](connection, self._tables)
            connection.commit()


class _Writer:
    """Rows into tables, in the transaction of a connection."""

    def __init__(self, connection: sa.Connection, tables: Mapping[str, sa.Table]) -> None:
        self.connection = connection
        self._tables = tables
        self._begin()

    def _begin(self) -> None:
        """What a transaction begins with."""

    def __call__(self, table: str, rows: Sequence[dict], statement: Any = None) -> None:
        """rows, which have the same keys, into a table; or through a statement of their keys."""
        if rows and statement is not None:
            self.connection.execute(statement, rows)
        elif rows:
            self.tuples(table, tuple(rows[0]), [tuple(row.values()) for row in rows])

    def tuples(self, table: str, names: Sequence[str], rows: Sequence[tuple]) -> None:
        """The same of rows whose columns stand in the order of names."""
        raise NotImplementedError


class _SqliteWriter(_Writer):
    """Rows go to the driver as they are: SQLAlchemy takes longer over each than SQLite."""

    def _begin(self) -> None:
        self.connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        self.connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")

    def tuples(self, table: str, names: Sequence[str], rows: Sequence[tuple]) -> None:
        columns, values = ", ".join(f'"{n}"' for n in names), ", ".join("?" * len(names))
        if rows:
            self.connection.exec_driver_sql(
                f'INSERT INTO "{table}" ({columns}) VALUES ({values})', list(rows)
            )


class _PostgresWriter(_Writer):
    def tuples(self, table: str, names: Sequence[str], rows: Sequence[tuple]) -> None:
        raw = self.connection.connection.cursor()
        if not rows:
            return
        if not hasattr(raw, "copy"):  # of another driver
            named = [dict(zip(names, row, strict=True)) for row in rows]
            self.connection.execute(self._tables[table].insert(), named)
            return
        with raw.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


WRITERS = {"sqlite": _SqliteWriter, "postgresql": _PostgresWriter}
"""SQLAlchemy's name of a database → how rows come into it."""


def _version(engine: sa.Engine) -> str | None:
    """The database's `alembic_version`."""
    try:
        with engine.connect() as connection:
            return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    except sa.exc.SQLAlchemyError:
        return None


def _as_known(table: sa.Table, known: set[str]) -> bool:
    """Whether all known columns are there, and no other must be filled in."""
    required = {
        column.name
        for column in table.columns
        if not column.nullable and column.server_default is None
    }
    read_only = table.name == "datasets"
    return known <= set(table.columns.keys()) and (read_only or required <= known)


def _pairs(run_id: str, values: Mapping[str, str]) -> list[dict]:
    return [{"key": key, "value": value, "run_uuid": run_id} for key, value in values.items()]


def _points(run_id: str, metrics: Sequence[tuple[str, float, int, int]]) -> list[Point]:
    """Rows of POINT."""
    return [
        (key, value, time_ms, step, False, run_id)
        if -LARGEST_FLOAT <= value <= LARGEST_FLOAT
        else (key, _kept(value), time_ms, step, math.isnan(value), run_id)
        for key, value, time_ms, step in metrics
    ]


def _kept(value: float) -> float:
    """What MLflow keeps of what is no finite number."""
    return 0.0 if math.isnan(value) else math.copysign(LARGEST_FLOAT, value)


def _latest(points: Sequence[Point]) -> list[Point]:
    """Of each key of a run the point of the last step, of several the last in time, the largest."""
    latest: dict[str, Point] = {}
    for point in points:
        key, value, time_ms, step, *_ = point
        known = latest.setdefault(key, point)
        if step > known[3] or (step, time_ms, value) >= (known[3], known[2], known[1]):
            latest[key] = point
    return list(latest.values())
