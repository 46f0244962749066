"""A store with 100,000 runs: what starts, reports and pages cost in it.

`python benchmarks/many_runs.py [RUNS]` fills a store in SQLite and one in PostgreSQL, of which an
`mlflow server` is put in front: the runs of a study of two networks, copied by SQL statements into
studies of 1,000 networks each, of 20 tables of people. Then commands run as a person would run
them, and two are run while another study trains.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from measure import write  # noqa: E402

NETWORKS, TABLES = 1_000, 20
"""Networks of a study; tables of people in the store."""

# Networks: run i is a copy of the template, of study i / NETWORKS.
COPIES = {
    "runs": "SELECT {run}, {columns} FROM runs, numbers WHERE run_uuid = '{template}'",
    "tags": "SELECT {key}, {tag}, {run} FROM tags, numbers WHERE run_uuid = '{template}'",
    "params": "SELECT key, {param}, {run} FROM params, numbers WHERE run_uuid = '{template}'",
    "latest_metrics": "SELECT {points}, {run} FROM latest_metrics, numbers "
    "WHERE run_uuid = '{template}'",
    "metrics": "SELECT {points}, {run} FROM latest_metrics, numbers WHERE run_uuid = '{template}'",
}
RUN_COLUMNS = (
    "name", "source_type", "source_name", "entry_point_name", "user_id", "status", "start_time",
    "end_time", "source_version", "lifecycle_stage", "artifact_uri", "experiment_id",
)  # fmt: skip
POINT = ("key", "value", "timestamp", "step", "is_nan")


def statements(template: str, people: str, kind: str, count: int, integers: str) -> list[str]:
    """SQL that makes `count` copies of the template's rows. people: of its network_key; integers:
    SELECT of the integers from 0 as `i`."""
    text = "TEXT"
    study = f"(i / {NETWORKS})" if kind == "network" else "i"
    run = f"md5('{kind}' || CAST(i AS {text}))"
    parent = f"md5('study' || CAST({study} AS {text}))"
    whose = (
        f"CASE {study} % {TABLES} WHEN 0 THEN '{people}' "
        f"ELSE substr(md5('people' || CAST({study} % {TABLES} AS {text})), 1, 16) END"
    )
    configuration = f"{whose} || '-' || substr(md5(CAST(i / 10 AS {text})), 1, 12)"
    named = f"'mlflow.lariat.' || {configuration}"
    key = f"CASE WHEN key LIKE 'mlflow.lariat.%' THEN {named} ELSE key END"
    tag = (
        f"CASE key WHEN 'study' THEN 'copy' || CAST({study} AS {text}) "
        f"WHEN 'place' THEN 'copy' || CAST({study} AS {text}) "
        f"WHEN 'study_id' THEN substr({parent}, 1, 12) "
        f"WHEN 'mlflow.parentRunId' THEN {parent} "
        f"WHEN 'network_key' THEN {configuration} || '-' || substr({run}, 1, 24) "
        "ELSE value END"
    )
    param = (
        f"CASE key WHEN 'configuration' THEN CAST((i % {NETWORKS}) / 10 AS {text}) "
        f"WHEN 'seed' THEN CAST(i % 10 AS {text}) ELSE value END"
    )
    words = {
        "run": run, "key": key, "tag": tag, "param": param, "template": template,
        "columns": ", ".join(RUN_COLUMNS), "points": ", ".join(POINT),
    }  # fmt: skip
    into = {
        "runs": ("run_uuid", *RUN_COLUMNS),
        "tags": ("key", "value", "run_uuid"),
        "params": ("key", "value", "run_uuid"),
        "latest_metrics": (*POINT, "run_uuid"),
        "metrics": (*POINT, "run_uuid"),
    }
    numbers = f"WITH RECURSIVE numbers(i) AS ({integers.format(count=count)}) "
    return [
        f"INSERT INTO {table} ({', '.join(into[table])}) {numbers} {copy.format(**words)}"
        for table, copy in COPIES.items()
    ]


def fill(uri: str, runs: int) -> None:
    """Copies of the study in the store: RUNS networks, and a study's run for each 1,000 of them."""
    import sqlalchemy as sa

    engine = sa.create_engine(uri)
    sqlite = engine.dialect.name == "sqlite"
    integers = (
        "SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < {count}"
        if sqlite
        else "SELECT generate_series(0, {count} - 1)"
    )
    if sqlite:
        md5 = lambda value: hashlib.md5(str(value).encode()).hexdigest()  # noqa: E731
        sa.event.listen(
            engine, "connect", lambda raw, _: raw.create_function("md5", 1, md5, deterministic=True)
        )
    with engine.begin() as connection:
        if sqlite:
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
        people = connection.exec_driver_sql(
            "SELECT value FROM tags WHERE key = 'network_key' LIMIT 1"
        ).scalar()[:16]
        for kind, count in (("study", runs // NETWORKS), ("network", runs)):
            template = connection.exec_driver_sql(
                f"SELECT run_uuid FROM tags WHERE key = 'kind' AND value = '{kind}'"
            ).scalar()
            for statement in statements(template, people, kind, count, integers):
                connection.exec_driver_sql(
                    statement.replace("%", "%%") if not sqlite else statement
                )
    if not sqlite:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def command(
    folder: Path, environment: dict[str, str], *words: object
) -> tuple[float, float, float]:
    """(seconds, processor seconds, peak MiB) of a script of the project."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{words}: {out}")
    used = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, used, usage.ru_maxrss / 1024


@contextmanager
def training(folder: Path, environment: dict[str, str], study: str) -> Iterator[None]:
    """Inside, that study runs."""
    log = (folder / "beside.log").open("w")
    process = subprocess.Popen(
        [sys.executable, HERE.parent / "scripts/search.py", "--study", study],
        cwd=folder, env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        time.sleep(12)
        yield
        if process.poll():
            raise SystemExit(f"the study beside failed: {(folder / 'beside.log').read_text()}")
    finally:
        process.terminate()
        process.wait()


def measured(folder: Path, address: str, runs: int) -> Iterator[tuple[str, float, float, float]]:
    """(what, seconds, processor seconds, MiB) of what people do there with this store."""
    environment = os.environ | {"MLFLOW_TRACKING_URI": address}
    search, report = HERE.parent / "scripts/search.py", HERE.parent / "scripts/report.py"

    def told(what: str, *words: object) -> tuple[str, float, float, float]:
        return what, *command(folder, environment, *words)

    yield told("the first study once more", search, "--study", "tiny.yaml")
    yield told("a new study of 2 networks", search, "--study", "other.yaml")
    yield told("report of the newest study", report)
    middle = f"copy{runs // NETWORKS // 2}"
    yield told(f"report of a study of {NETWORKS}", report, "--study", middle)
    yield from pages(address)
    with training(folder, environment, "long.yaml"):
        yield told("report of the newest, while a study runs", report, "--study", "other")
        yield told("a second study, while one runs", search, "--study", "third.yaml")


def pages(address: str) -> Iterator[tuple[str, float, float, float]]:
    """What MLflow's pages ask: a first page of all runs, and of one study's."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("lariat").experiment_id
    parent = hashlib.md5(b"study1").hexdigest()
    for what, condition in (
        ("MLflow's first page", ""),
        ("MLflow's page of one study", f"tags.`mlflow.parentRunId` = '{parent}'"),
    ):
        started, used = time.perf_counter(), time.process_time()
        page = client.search_runs([experiment], condition, max_results=100)
        assert len(page) == 100
        yield what, time.perf_counter() - started, time.process_time() - used, 0.0


def prepared(folder: Path, uri: str, runs: int) -> None:
    """A folder with study files, and the store filled."""
    from tiny_study import write_study

    write_study(folder)
    write_study(folder, "other", lambdas="[0.03]")
    write_study(folder, "third", lambdas="[0.04]")
    write_study(
        folder, "long", epochs=2, configurations=400, lambdas=[0.001 * i for i in range(1, 401)]
    )
    command(
        folder, os.environ | {"MLFLOW_TRACKING_URI": uri},
        HERE.parent / "scripts/search.py", "--study", "tiny.yaml",
    )  # fmt: skip
    started = time.perf_counter()
    fill(uri, runs)
    print(f"filled in {time.perf_counter() - started:.0f} s", flush=True)


def stores(runs: int) -> Iterator[tuple[str, str, float, float, float]]:
    """(store, what, seconds, processor seconds, MiB)."""
    with tempfile.TemporaryDirectory() as place:
        uri = f"sqlite:///{place}/mlflow.db"
        prepared(Path(place), uri, runs)
        for row in measured(Path(place), uri, runs):
            yield "SQLite", *row
    from postgres_server import postgres, programs
    from study_runs import mlflow_server

    with tempfile.TemporaryDirectory() as place, postgres(programs()) as server:
        uri = server.database("runs")
        prepared(Path(place), uri, runs)
        with mlflow_server(Path(place), None, {"MLFLOW_BACKEND_STORE_URI": uri}) as address:
            for row in measured(Path(place), address, runs):
                yield "PostgreSQL and server", *row


def main(runs: int) -> None:
    rows = []
    for row in stores(runs):
        print(row, flush=True)
        rows.append(row)
    table = pd.DataFrame(rows, columns=["store", "what", "seconds", "processor s", "peak MiB"])
    wide = table.pivot(index="what", columns="store").reindex(dict.fromkeys(table["what"]))
    wide.columns = [f"{store}, {name}" for name, store in wide.columns]
    words = (
        f"{runs:,} networks' runs in {runs // NETWORKS} studies of {TABLES} tables of people, each "
        "with the metrics of a network and without its curves. Seconds are of whole commands, "
        "imports and all; processor seconds are those of the command, without a server's."
    )
    write(f"A store with {runs:,} runs", "many_runs.py", words, wide.round(1).reset_index())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
