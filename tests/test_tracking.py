"""A study written to MLflow is read back as it was, and is never counted twice."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_runs import mlflow_server

from pipeline.errors import InputError
from pipeline.results import Inputs, NetworkResult, StudyRecord
from pipeline.tracking import format as run_format
from pipeline.tracking import opening as tracking
from pipeline.tracking import reader as tracked
from pipeline.tracking import store_sql, writer
from pipeline.tracking.store import RunStore

PLANTED = "Anna Karenina 48151623"
INPUTS = Inputs(
    ("age", "education_1", "education_2", '<script>alert("1,\n2")</script>', "genetic_0"),
    ("age", "education", "education", '<script>alert("1,\n2")</script>', "genetic_0"),
    ("clinical", "clinical", "clinical", "clinical", "genetic"),
)
RECORD = StudyRecord(
    study="tiny",
    study_id="0123abcd",
    question="Does it come back?",
    target="outcome",
    objective="val_auroc",
    maximize=True,
    genotypes="simulated",
    settings={"space": {"lambda_l1": [0.1, 0.2]}, "epochs": 3, "data": None},
    facts={"train_rows": 70, "test_rows": 30, "cases": 12, "data_sha256": "ab" * 32},
    warnings=("the column 'one' is constant and was dropped",),
    command="mlflow run . -P study=tiny",
)
HEAT_MAPS = {"first_layer.png": b"\x89PNG best", "first_layer_final.png": b"\x89PNG last"}
TABLE = tracking.Fingerprint("/home/someone/heart.csv", "ab" * 32, {"age": "double"})


def network(configuration: int = 0, seed: int = 0, **changes: object) -> NetworkResult:
    rng = np.random.default_rng([configuration, seed])
    weights = rng.standard_normal((5, 4)).astype(np.float32)
    weights[1:3] = 0.0
    weights[0, 0] = np.float32(1e-38)
    key = {"seed": seed, "configuration": configuration}
    fixed = {"hidden_layer_sizes": "50", "batch_size": 128, "ratio": 2.0}
    result = NetworkResult(
        params={"regularizer": "l1", "lambda_l1": 0.1, "inputs": "clinical+genetic"} | key | fixed,
        inputs=INPUTS,
        metrics={"val_auroc": 0.1 + seed / 7, "zeroed_clinical": 1.0, "train_seconds": 1.5},
        curves={"train_loss": rng.random(3), "kept_clinical": np.array([3.0, 2.0, math.nan])},
        first_layer=weights,
        first_layer_final=-weights,
        died={"education": 2, '<script>alert("1,\n2")</script>': 3},
        resamples={"best": rng.random(7).round(5).astype(np.float32).astype(float)},
        layers=((weights, np.ones(4, np.float32)), (weights[:4], np.zeros(4, np.float32))),
        trial=10 * configuration + seed,
    )
    return replace(result, **changes)


@pytest.fixture(scope="module")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A fresh database and what making it printed; it takes seconds, so it is copied."""
    code = "from pipeline.tracking.store import RunStore; RunStore()"
    env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    env["PYTHONPATH"] = str(Path(tracking.__file__).parents[2])
    folder = tmp_path_factory.mktemp("fresh")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    return (folder / "mlflow.db").read_bytes(), done.stdout + done.stderr


@pytest.fixture
def project(
    tmp_path: Path, fresh_store: tuple[bytes, str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A working directory with MLflow's default store, still without a run."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        if name.startswith(("MLFLOW_TRACKING", "MLFLOW_EXPERIMENT", "MLFLOW_RUN")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(fresh_store[0])
    return tmp_path


def assert_same(got: NetworkResult, wanted: NetworkResult) -> None:
    assert got.params == wanted.params
    assert all(type(got.params[name]) is type(v) for name, v in wanted.params.items())
    assert got.inputs == wanted.inputs
    assert got.metrics == wanted.metrics
    np.testing.assert_equal(dict(got.curves), dict(wanted.curves))
    for weights in ("first_layer", "first_layer_final"):
        first, second = getattr(got, weights), getattr(wanted, weights)
        assert (first is None) == (second is None)
        assert first is None or (first.dtype, first.tobytes()) == (np.float32, second.tobytes())
    assert got.died == wanted.died
    np.testing.assert_equal(dict(got.resamples), dict(wanted.resamples))
    assert len(got.layers) == len(wanted.layers)
    np.testing.assert_equal(got.layers, wanted.layers)
    assert (got.failure, got.trial) == (wanted.failure, wanted.trial)


def statuses(store: RunStore) -> dict[str, str]:
    runs = store.search(store.experiment_ids(), ("study", "tiny"))
    return {run.name: run.status for run in runs}


def test_networks_come_back_exactly_as_they_were_recorded(project: Path) -> None:
    networks = [network(c, s) for c in (1, 0) for s in (1, 0)]
    with tracking.open_study(RECORD, dataset=TABLE) as study:
        ids = {study.record(result, HEAT_MAPS): result for result in networks}
        study.finish({"val_auroc_mean": 0.5}, "# Found", solutions=dict.fromkeys(ids, "1"))
    results = tracked.load_study()
    assert results.record == replace(RECORD, run_id=study.run_id, place="tiny")
    assert [(n.configuration, n.seed) for n in results.networks] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for result in results.networks:
        assert_same(result, ids[result.run_id])


def test_a_failed_network_is_a_failed_run_with_its_reason_and_its_inputs(project: Path) -> None:
    failed = network(
        first_layer=None, first_layer_final=None, metrics={}, curves={}, failure="loss is NaN"
    )
    with tracking.open_study(RECORD) as study:
        run_id = study.record(failed)
    run = RunStore().get(run_id)
    assert (run.status, run.tags["failure"]) == ("FAILED", "loss is NaN")
    assert_same(tracked.load_study().failed[0], failed)


@pytest.mark.parametrize(
    "value", ["1", "1.5", "1e5", "nan", "-inf", "True", "", "a,b", 7, 0.1, 1e300, True]
)
def test_a_parameter_keeps_its_type_and_value(value: object) -> None:
    params = {"it": value}
    texts = {name: run_format.param_text(v) for name, v in params.items()}
    (got,) = run_format.params_from_texts(texts, run_format.numeric_texts(params)).values()
    assert (type(got), got) == (type(value), value)


@pytest.mark.parametrize(
    "name", ["zeroed_<script>", "a/../b", "..", "a:3c:b", "é ü", "x\n\0", "🧬"]
)
def test_any_name_is_a_key_that_mlflow_takes_and_is_read_back(project: Path, name: str) -> None:
    with tracking.open_study(RECORD) as study:
        study.record(network(metrics={name: 0.25}))
    assert tracked.load_study().networks[0].metrics == {name: 0.25}


def test_a_metric_without_a_number_does_not_stop_the_recording(project: Path) -> None:
    with tracking.open_study(RECORD) as study:
        study.record(network(metrics={"a": math.inf, "b": -math.inf, "c": math.nan}))
    metrics = tracked.load_study().networks[0].metrics
    assert (metrics["a"], metrics["b"]) == (math.inf, -math.inf)
    assert math.isnan(metrics["c"])


@pytest.mark.parametrize("bulk", [True, False])
def test_curves_above_the_limits_of_a_batch_are_whole(project: Path, bulk: bool) -> None:
    curves = {f"curve_{i}": np.arange(400.0) + i for i in range(6)}
    params = network().params | {f"p{i}": i for i in range(150)} | {"long": "x" * 9_000}
    store = RunStore(bulk=bulk)
    with tracking.open_study(RECORD) as study:
        study._store = store
        run_id = study.record(network(curves=curves, params=params, failure="y" * 9_000))
    history = store._client.get_metric_history(run_id, "epoch_curve_5")
    assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == [
        (epoch, epoch + 4.0) for epoch in range(1, 401)
    ]
    assert store.get(run_id).metrics["epoch_curve_5"] == 404.0
    assert len(tracked.load_study().networks[0].params) == len(params)


def rows_of(database: Path, run_id: str) -> dict[str, Counter]:
    """Table → its rows, of all tables and columns, as `under_one_name`."""
    with sqlite3.connect(database) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in names}
        inputs = {row[0] for row in connection.execute("SELECT input_uuid FROM inputs")}
    return under_one_name(tables, run_id, inputs)


def under_one_name(
    tables: Mapping[str, Sequence], run_id: str, inputs: Iterable[str]
) -> dict[str, Counter]:
    """Table → its rows, with one name for the run and one for its inputs."""
    named = {run_id: "RUN"} | dict.fromkeys(inputs, "INPUT")
    return {
        table: Counter(
            tuple(named.get(v, v.replace(run_id, "RUN") if isinstance(v, str) else v) for v in row)
            for row in rows
        )
        for table, rows in tables.items()
    }


def test_one_transaction_writes_in_all_tables_what_mlflow_s_client_writes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(run_id: str) -> dict[str, Counter]:
        return rows_of(Path("mlflow.db"), run_id)

    compare_writers(None, look, monkeypatch)


def compare_writers(
    uri: str | None, look: Callable[[str], dict[str, Counter]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a transaction adds to the tables that `look` sees is what MLflow's client adds."""
    metrics = {"a": 1.0, "nothing": math.nan, "large": math.inf, "train_seconds": 1}
    results = [network(metrics=metrics, key="a-b"), network(failure="x" * 9_000, curves={})]
    monkeypatch.setattr(writer.time, "time_ns", lambda: 1_800_000_000_000_000_000)
    with tracking.open_study(RECORD, dataset=TABLE, tracking_uri=uri) as study:
        assert study._store._sql is not None
        for result in results:
            written = []
            for store in (study._store, RunStore(uri, bulk=False)):
                before = look("no run")
                monkeypatch.setattr(study, "_store", store)
                monkeypatch.setattr(study.delivery, "_store", store, raising=False)
                run_id = study.record(result, HEAT_MAPS)
                after = look(run_id)
                written.append({table: after[table] - before[table] for table in after})
            assert repr(sorted(written[0])) == repr(sorted(written[1]))
            for table, rows in written[0].items():
                assert sorted(map(repr, rows.elements())) == sorted(
                    map(repr, written[1][table].elements())
                ), table
            assert written[0]["runs"]
            assert written[0]["inputs"]
        compare_searches(study)


def compare_searches(study: tracking.StudyRun) -> None:
    """Runs read as rows are those that MLflow's search finds, with all that they have, in its
    order: with no number, infinite, without an end, deleted, and of two experiments."""
    store, client = study.store, RunStore(study.store.uri, bulk=False)
    other = store.experiment_id("another")
    half = store.start(other, "half", {"kind": "network", "empty": ""})
    store.update(half.run_id, params={"a b/ü": "1"}, metrics=[("m/%", math.nan, 5, 1)])
    gone = store.start(study.experiment_id, "gone", {"kind": "network"})
    store.client.delete_run(gone.run_id)
    for experiments in ([study.experiment_id], [study.experiment_id, other], [other], []):
        for tags in ([("kind", "network")], [("kind", "")], [("empty", "")],
                     [("kind", "network"), ("solution", "")], [("kind", "nothing")]):  # fmt: skip
            rows, runs = (s.search(experiments, *tags) for s in (store, client))
            assert repr(rows) == repr(runs)
    assert len(store.search([study.experiment_id, other], ("kind", "network"))) == 5


def test_a_database_of_a_version_that_was_not_compared_is_written_by_the_client(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_sql, "COMPARED_VERSIONS", {"another"})
    assert RunStore()._sql is None


def test_a_run_that_did_not_end_is_deleted_and_what_ended_is_kept(project: Path) -> None:
    with tracking.open_study(RECORD) as study:
        kept = study.record(network(0, 0))
        other = study.record(network(0, 1))
        study.record(network(0, 0))
        half = study._store.start(
            "1", "half", {"kind": "network", "mlflow.parentRunId": study.run_id, "study": "tiny"}
        )
    with tracking.open_study(RECORD) as study:
        assert study.discard_unfinished() == 1
        assert [run.run_id for run in study.recorded()] == [kept, other]
    assert half.name not in statuses(RunStore())
    assert len(statuses(RunStore())) == 3
    assert [n.run_id for n in tracked.load_study().networks] == [kept, other]


def test_a_first_start_under_mlflow_run_takes_the_run_that_it_opened(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore()
    opened = store.start(store.experiment_id("mine"), "busy-bee", {})
    store.update(opened.run_id, params={"study": "search_spaces/tiny.yaml"})
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.run_id)
    with tracking.open_study(RECORD, params={"seeds": 2}) as study:
        assert study.run_id == opened.run_id
        study.record(network())
    run = store.get(opened.run_id)
    assert (run.name, run.status) == ("tiny", "FINISHED")
    assert run.params["study"] == "search_spaces/tiny.yaml"
    assert run.params["seeds"] == "2"
    assert tracked.load_study("tiny").record.run_id == opened.run_id


def test_a_study_that_goes_on_under_mlflow_run_nests_under_its_first_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError), tracking.open_study(RECORD) as first:
        first.record(network(0, 0))
        raise RuntimeError("out of memory")
    store = RunStore()
    opened = store.start(store.experiment_id("lariat"), "busy-bee", {})
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.run_id)
    with tracking.open_study(RECORD) as study:
        assert study.run_id == first.run_id
        assert store.get(first.run_id).status == "RUNNING"
        study.record(network(0, 1))
    pointer = store.get(opened.run_id)
    assert pointer.name == "tiny continued"
    assert pointer.tags["continues"] == first.run_id
    assert first.run_id in pointer.tags["mlflow.note.content"]
    assert "failure" not in store.get(first.run_id).tags
    assert set(statuses(store).values()) == {"FINISHED"}
    assert len(tracked.load_study().networks) == 2
    assert len(tracked.list_studies()) == 1


def test_another_study_does_not_take_the_run_of_the_first(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore()
    opened = store.start(store.experiment_id("lariat"), "busy-bee", {})
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.run_id)
    with tracking.open_study(RECORD) as first:
        pass
    with tracking.open_study(replace(RECORD, study="other", study_id="ffff")) as second:
        pass
    assert first.run_id == opened.run_id != second.run_id
    assert [summary.study for summary in tracked.list_studies()] == ["other", "tiny"]
    assert tracked.load_study("0123").record.study == "tiny"


@pytest.mark.parametrize(
    ("error", "status"),
    [(RuntimeError("no memory"), "FAILED"), (KeyboardInterrupt(), "KILLED")],
)
def test_no_run_stays_running_after_an_exception(
    project: Path, error: BaseException, status: str
) -> None:
    with pytest.raises(type(error)), tracking.open_study(RECORD) as study:
        raise error
    run = RunStore().get(study.run_id)
    assert run.status == status
    # The kind alone: a library's words may hold a value of a person's row.
    assert run.tags.get("failure") == ("RuntimeError" if status == "FAILED" else None)


def test_no_run_stays_running_after_sigterm(project: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop, tracking.open_study(RECORD) as study:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert stop.value.code == 128 + signal.SIGTERM
    assert RunStore().get(study.run_id).status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_the_study_found_is_on_its_run(project: Path) -> None:
    report = project / "report"
    report.mkdir()
    (report / "index.html").write_text("first")
    (report / "old.png").write_bytes(b"old")
    table = pd.DataFrame({"regularizer": ["l1"], "test_auroc": [0.7123456789012345]})
    for description in ("word\n\n" * 3_000, "Found."):
        with tracking.open_study(RECORD) as study:
            run_id = study.record(network())
            written = [path.name for path in report.iterdir()]
            found, tables = {"test_auroc_mean": 0.7}, {"results": table}
            study.finish(found, description, tables, report, written, {run_id: "2"})
        (report / "old.png").unlink(missing_ok=True)
        run = RunStore().get(study.run_id)
        assert len(run.tags["mlflow.note.content"]) < 8_000
        assert RunStore().get(run_id).tags["solution"] == "2"
    assert run.tags["mlflow.note.content"] == "Found."
    assert run.metrics == {"test_auroc_mean": 0.7}
    store = RunStore()
    assert store.read_files(run, "report") == {"index.html": b"first"}
    pd.testing.assert_frame_equal(
        store._client.load_table("1", "tables/results.json", [run.run_id]), table
    )
    assert pd.read_csv(Path("mlruns/1") / run.run_id / "artifacts/tables/results.csv").equals(table)


def test_no_row_and_no_path_of_a_table_is_in_the_store(project: Path) -> None:
    secret = project / PLANTED / "people.csv"
    fingerprint = tracking.Fingerprint(str(secret), "cd" * 32, {"age": "double", "sex": "string"})
    with tracking.open_study(RECORD, dataset=fingerprint) as study:
        run_id = study.record(network(), HEAT_MAPS)
        study.finish({}, "Found.")
    for path in [project / "mlflow.db", *(project / "mlruns").rglob("*")]:
        assert path.is_dir() or PLANTED.encode() not in path.read_bytes()
    for run in (study.run_id, run_id):
        (entry,) = RunStore()._client.get_run(run).inputs.dataset_inputs
        assert (entry.dataset.name, entry.dataset.digest) == ("people.csv", ("cd" * 32)[:36])
        assert json.loads(entry.dataset.profile) == {"train_rows": 70, "test_rows": 30, "cases": 12}


def test_a_study_that_is_not_there_is_an_input_error_and_makes_no_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="there is no study"):
        tracked.load_study()
    with tracking.open_study(RECORD):
        pass
    with pytest.raises(InputError, match=r"no study 'tin' .* has: tiny \(0123abcd\)"):
        tracked.load_study("tin")
    empty = project / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(InputError, match="no tracking store"):
        tracked.load_study()
    assert list(empty.iterdir()) == []


def test_a_server_that_does_not_answer_is_an_input_error() -> None:
    with pytest.raises(InputError, match="the tracking server must answer"):
        RunStore("http://127.0.0.1:9")


def test_a_fresh_store_is_made_without_a_word(fresh_store: tuple[bytes, str]) -> None:
    assert fresh_store[1] == ""


def test_a_tracking_server_gets_and_gives_the_same(
    project: Path, capfd: pytest.CaptureFixture
) -> None:
    with mlflow_server(project) as uri:
        results = [network(0, 0), network(0, 1, failure="loss is NaN")]
        with tracking.open_study(RECORD, dataset=TABLE, tracking_uri=uri) as study:
            recorded = study.record_all([(result, HEAT_MAPS) for result in results])
            ids = dict(zip(recorded, results, strict=True))
            study.finish({"a": 1.0}, "Found.", solutions=dict.fromkeys(ids, "1"))
        read = tracked.load_study(tracking_uri=uri)
        assert read.record.run_id == study.run_id
        assert len(read.networks) == 2
        for result in read.networks:
            assert_same(result, ids[result.run_id])
        assert capfd.readouterr() == ("", "")
