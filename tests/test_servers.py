"""Servers that go away, refuse or fail in the middle of a study: no network is lost or doubled."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from faulty_server import NAME, PASSWORD, Proxy, proxied, signed
from study_runs import (
    complete_trials,
    environment,
    mlflow_server,
    of_kind,
    run_here,
    study_run,
)
from test_tracking import HEAT_MAPS, RECORD, TABLE, network

from pipeline.errors import InputError
from pipeline.progress import StudyProgress
from pipeline.study.trials import Trials
from pipeline.tracking import availability, delivery, open_study
from pipeline.tracking import store as run_store
from pipeline.tracking.delivery import Delivery
from pipeline.tracking.spool import Spool
from pipeline.tracking.store import RunStore

STUDY = """
# Is a network lost where a server goes away?
data: people.csv
target: ill
inputs: [clinical]
genotypes: none
sampler: grid
configurations: 2
seeds: 2
space:
  regularizer: [l1]
  lambda_l1: [0.003]
  batch_size: [32, 33]
network: {hidden_layer_sizes: [2]}
training: {epochs: 2}
"""
REPLICATES = {(0, 0): 1, (0, 1): 1, (1, 0): 1, (1, 1): 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("server")
    with mlflow_server(folder) as address:
        yield folder, address


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 1)
    monkeypatch.setattr(availability, "PROBE_SECONDS", 1)
    monkeypatch.setattr(delivery, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(delivery, "AGAIN_SECONDS", 0.05)


def trials_of(server_folder: Path, study_id: str) -> Counter:
    return Counter(
        run.key
        for run in of_kind(server_folder, "network")
        if run.tags["study_id"] == study_id and run.status == "FINISHED"
    )


@pytest.mark.parametrize("fault", ["error", "reset", "slow", "refuse", "forbid"])
def test_results_wait_on_the_disk_and_arrive_once(
    server: tuple[Path, str], tmp_path: Path, fault: str
) -> None:
    folder, address = server
    record = run_record(f"a study with {fault}")
    with proxied(address) as (uri, proxy):
        run = open_study(record, dataset=TABLE, tracking_uri=uri, spool=tmp_path / "spool")
        assert run.record(network(0, 0), HEAT_MAPS)
        proxy.fault = fault
        assert run.record(network(0, 1), HEAT_MAPS) == ""
        assert run.record(network(1, 0), HEAT_MAPS) == ""
        assert run.delivery.waiting == 2
        assert run.delivery.trouble
        (first, _) = run.delivery._spool.waiting()
        assert stat.S_IMODE(first.stat().st_mode) == 0o600
        with pytest.raises(InputError, match="2 networks wait in"):
            run.delivery.finish(lambda _: None)
        proxy.fault = None
        assert run.record(network(1, 1), HEAT_MAPS)
        assert run.delivery.waiting == 0
        run.delivery.finish(lambda _: None)
        assert {run.status for run in run.recorded()} == {"FINISHED"}
        run.interrupt()
    assert trials_of(folder, record.study_id) == Counter(REPLICATES)


def run_record(study: str):
    from dataclasses import replace
    from hashlib import sha256

    return replace(RECORD, study=study, study_id=sha256(study.encode()).hexdigest()[:12])


@pytest.mark.parametrize("writes", range(8))
def test_a_connection_that_breaks_after_any_write_doubles_no_network(
    server: tuple[Path, str], tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of create, five files, log and end the server did this one too, and its answer is lost."""
    _, address = server
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record = run_record(f"broken after {writes}")
    with proxied(address) as (uri, proxy):
        run = open_study(record, tracking_uri=uri, spool=tmp_path / "spool")
        proxy.fail_after_posts = writes
        assert run.record(network(0, 0)) == ""
        proxy.fault = proxy.fail_after_posts = None
        again = Delivery(run.store, run.experiment_id, None, run._networks, tmp_path / "spool")
        again.take_up()
        assert (again.waiting, again.trouble) == (0, None)
        assert [(r.status, r.params["seed"]) for r in run._networks()] == [("FINISHED", "0")]
        run.interrupt()


def write_study(folder: Path) -> None:
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"age": rng.normal(size=90), "ill": np.arange(90) % 2})
    people.to_csv(folder / "people.csv", index=False)
    (folder / "ask.yaml").write_text(STUDY)


def away_after_the_first(proxy: Proxy, patch: pytest.MonkeyPatch, fault: str) -> None:
    """The server fails from the moment on that a first population is recorded."""
    recorded = StudyProgress.recorded

    def then_fail(self: StudyProgress, *words: object) -> None:
        recorded(self, *words)
        proxy.fault = fault

    patch.setattr(StudyProgress, "recorded", then_fail)


def test_a_study_trains_on_without_its_server_and_the_next_start_delivers(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = server
    write_study(tmp_path)
    with proxied(address) as (uri, proxy):
        monkeypatch.setattr(run_store, "get_tracking_uri", lambda: uri)
        with monkeypatch.context() as patch:
            away_after_the_first(proxy, patch, "reset")
            with pytest.raises(InputError, match="2 networks wait") as told:
                run_here(tmp_path, "ask.yaml")
        assert "does not answer" in str(told.value)
        proxy.fault = None
        out = run_here(tmp_path, "ask.yaml")
    assert "going on: 4 of 4 networks are done" in out
    run = next(run for run in of_kind(folder, "study") if run.name == "ask")
    assert run.status == "FINISHED"
    assert trials_of(folder, run.tags["study_id"]) == Counter(REPLICATES)
    assert complete_trials(tmp_path) == REPLICATES
    assert not list((tmp_path / ".lariat/spool").rglob("*.zip"))


def test_trials_wait_for_their_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study(tmp_path)
    add = Trials.add

    def away(self: Trials, outcomes: object) -> dict[str, int]:
        if outcomes:
            raise sa.exc.OperationalError("INSERT", {}, ConnectionError("connection refused"))
        return add(self, outcomes)

    with monkeypatch.context() as patch:
        patch.setattr(Trials, "add", away)
        with pytest.raises(InputError, match="the Optuna storage must answer"):
            run_here(tmp_path, "ask.yaml")
    assert complete_trials(tmp_path) == {}
    assert {run.key for run in of_kind(tmp_path, "network")} == REPLICATES.keys()
    run_here(tmp_path, "ask.yaml")
    assert complete_trials(tmp_path) == REPLICATES
    assert study_run(tmp_path).status == "FINISHED"


def test_certificates_and_passwords_are_those_of_mlflows_client(
    server: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = signed(tmp_path / "certificate.pem")
    with proxied(server[1], certificate) as (uri, proxy):
        proxy.wants_password = True
        with pytest.raises(InputError, match="set MLFLOW_TRACKING_SERVER_CERT_PATH"):
            RunStore(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        with pytest.raises(InputError, match="set MLFLOW_TRACKING_USERNAME"):
            RunStore(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", NAME)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        store = RunStore(uri)
        run = store.start(store.experiment_id("behind TLS"), "a run", {})
        store.write_files(run, {"a/b.txt": b"kept"})
        assert store.read_files(store.get(run.run_id), "a") == {"b.txt": b"kept"}
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        with pytest.raises(InputError, match="asks who you are"):
            RunStore(uri)


def test_an_unknown_experiment_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "777")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="MLFLOW_EXPERIMENT_ID must be that of an experiment"):
        open_study(RECORD)


def test_a_damaged_spool_is_put_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put([])
    (tmp_path / "00000000000000000001.zip").write_bytes(b"not a zip")
    assert [spool.read(path) for path in spool.waiting()] == [[], []]
    assert len(spool.waiting()) == 1
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".damaged", ".zip"]
