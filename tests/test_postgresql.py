"""Trials and runs on a real PostgreSQL and a real `mlflow server`, with their faults."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import optuna
import pytest
from faulty_server import signed
from postgres_server import ENCODED, PASSWORD, Postgres, postgres, programs
from study_runs import PROJECT, environment, mlflow_server, run_here
from test_servers import STUDY
from test_servers import write_study as write_table
from test_tracking import compare_writers, under_one_name
from test_trials import compare_rows

from pipeline.errors import InputError
from pipeline.progress import StudyProgress
from pipeline.study.lock import StorageLock
from pipeline.study.trials import check_storage, make_storage
from pipeline.tracking import delivery
from pipeline.tracking import store as run_store
from pipeline.tracking.reader import load_study
from pipeline.tracking.store import RunStore

S3_SECRET = "s3-se-cret"
OUTAGE_SECONDS = float(os.environ.get("LARIAT_TEST_OUTAGE_SECONDS", "2"))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed (Debian: postgresql)")
    with postgres(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def _plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)


def opened(address: str) -> None:
    """As a study opens its storage."""
    check_storage(address)
    make_storage(address)


@pytest.fixture(scope="module")
def used(server: Postgres) -> Postgres:
    """The server with a database `trials` of Optuna's tables, and one `runs` of MLflow's."""
    opened(server.database("trials"))
    RunStore(server.database("runs"))
    return server


def plain(address: str) -> str:
    return address.replace(ENCODED, PASSWORD)


WRONG: dict[str, tuple[Callable[[Postgres, Path], str], str]] = {
    "password": (lambda s, _: s.address("trials", "wrong"), r'refuses "anna" with this password'),
    "as it is": (lambda s, _: plain(s.address("trials")), "an @ in its password is written as %40"),
    "database": (lambda s, _: s.address("none"), r'no database "none": make it with `createdb`'),
    "driver": (
        lambda s, _: s.address("trials").replace("postgresql:", "postgresql+pg8000:"),
        r"driver that is not installed \(pg8000\): `pip install -r requirements-cluster.txt`",
    ),
    "scheme": (
        lambda s, _: s.address("trials").replace("postgresql:", "postgres:"),
        "begins with postgresql://",
    ),
    "certificate": (
        lambda s, folder: s.address(
            "trials", options=f"?sslmode=verify-full&sslrootcert={signed(folder / 'other.pem')}"
        ),
        "certificate that is not trusted: name the file",
    ),
    "nobody there": (
        lambda s, _: "postgresql://anna:hidden@127.0.0.1:1/trials",
        r"does not answer \(Connection refused\)",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("use", [opened, RunStore])
def test_what_is_wrong_with_a_database_is_one_sentence_without_its_password(
    used: Postgres, tmp_path: Path, wrong: str, use: Callable[[str], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    address = WRONG[wrong][0](used, tmp_path)
    monkeypatch.setenv("LARIAT_STORAGE", address)  # where a storage with a password comes from
    with pytest.raises(InputError, match=WRONG[wrong][1]) as told:
        use(address)
    text = str(told.value)
    assert "\n" not in text
    assert not any(secret in text for secret in (PASSWORD, ENCODED, ":wrong", "hidden", "w:rd"))


def test_a_trusted_certificate_is_taken(used: Postgres) -> None:
    trusted = f"?sslmode=verify-full&sslrootcert={used.certificate}"
    opened(used.address("trials", options=trusted))


def test_the_driver_is_loaded_before_tensorflow_or_a_sentence_says_that_it_must_be(
    used: Postgres,
) -> None:
    """In a process of its own: TensorFlow's TLS functions make a driver that comes later crash."""
    program = """
import os, sys
if sys.argv[1] == "named":
    os.environ["LARIAT_STORAGE"] = sys.argv[2]
import pipeline.networks.network
from pipeline.study.trials import check_storage
from pipeline.errors import InputError
try:
    check_storage(sys.argv[2])
    print("opened")
except InputError as told:
    print(told)
"""
    address = used.address("trials", options="?sslmode=require")
    for how, said in (("named", "opened"), ("as a parameter of Python", "above `import tensorf")):
        # The parameter of a command is among its words, so the second address is not one of them.
        code = program if how == "named" else program.replace("sys.argv[2]", repr(address))
        words = [how, address] if how == "named" else [how]
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, said in done.stdout) == (0, True), done.stderr[-500:]


def test_tables_of_other_versions_and_programs_are_named_and_left_alone(used: Postgres) -> None:
    with pytest.raises(InputError, match="holds the tables of mlflow"):
        opened(used.address("runs"))
    with pytest.raises(InputError, match="holds the tables of optuna"):
        RunStore(used.address("trials"))
    tables = {database: used.dump(database) for database in ("runs", "trials")}
    for database, version, use, sentence in (
        ("trials", "v2.6.0.a", opened, "older version of Optuna: back it up, then `optuna storage"),
        ("runs", "acf3f17fdcc7", RunStore, "another version of MLflow: back it up, then `mlflow"),
        ("runs", "0123456789ab", RunStore, "another version of MLflow|newer version"),
    ):
        kept = used.sql("SELECT version_num FROM alembic_version", database=database)[0][0]
        change = "UPDATE alembic_version SET version_num = '{}'"
        used.sql(change.format(version), database=database)
        try:
            with pytest.raises(InputError, match=sentence):  # of no store that MLflow has kept
                use(used.address(database, options=f"?application_name={version}"))
        finally:
            used.sql(change.format(kept), database=database)
    assert tables == {database: used.dump(database) for database in ("runs", "trials")}


def test_one_transaction_writes_what_optuna_writes(server: Postgres) -> None:
    compare_rows(server.database("ours"), server.database("optunas"))


def test_one_transaction_writes_what_mlflow_s_client_writes(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = server.database("compared")
    monkeypatch.chdir(tmp_path)  # where artifacts go

    def look(run_id: str) -> dict[str, Counter]:
        tables = server.tables("compared")
        return under_one_name(tables, run_id, [row[0] for row in tables["inputs"]])

    RunStore(address)
    compare_writers(address, look, monkeypatch)


def test_of_parents_that_start_at_once_one_has_the_study_and_each_finds_whole_tables(
    server: Postgres,
) -> None:
    storage, runs = server.database("lock"), server.database("first")
    together, ended = threading.Barrier(4), threading.Barrier(4)

    def parent(_: int) -> str:
        together.wait(60)
        make_storage(storage)
        RunStore(runs)
        together.wait(60)
        try:
            with StorageLock("s 1", storage) as lock:
                lock.check()
                ended.wait(60)
                return "has it"
        except InputError as refused:
            ended.wait(60)
            return "refused" if "one process at a time" in str(refused) else str(refused)

    with ThreadPoolExecutor(4) as parents:
        assert Counter(parents.map(parent, range(4))) == {"has it": 1, "refused": 3}
    assert optuna.get_all_study_names(storage) == []


@contextmanager
def s3_bucket() -> Iterator[dict[str, str]]:
    """A bucket `lariat` of an S3 store on loopback, as environment variables."""
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    variables = {
        "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "moto",
        "AWS_SECRET_ACCESS_KEY": S3_SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        boto3.client(
            "s3", endpoint_url=variables["MLFLOW_S3_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="moto", aws_secret_access_key=S3_SECRET,
        ).create_bucket(Bucket="lariat")  # fmt: skip
        yield variables
    finally:
        moto.stop()


@contextmanager
def stopped_in_between(
    postgresql: Postgres, tracking: ExitStack, again: Callable[[], object], seconds: float
) -> Iterator[None]:
    """PostgreSQL is stopped after a study's first population and the tracking server after its
    second; each is started again so many seconds later."""
    recorded, times = StudyProgress.recorded, []

    def then_stop(self: StudyProgress, *words: object) -> None:
        recorded(self, *words)
        times.append(threading.Timer(seconds, again if times else postgresql.start))
        if len(times) == 1:
            postgresql.stop()
        elif len(times) == 2:
            tracking.close()
        else:
            return
        times[-1].start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudyProgress, "recorded", then_stop)
        yield
        for timer in times[:2]:
            timer.join()
        assert len(times) == 3


def test_a_study_goes_on_while_its_servers_are_stopped_and_started_again(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, runs = server.database("trials of a study"), server.database("runs of a study")
    write_table(tmp_path)
    study = STUDY.replace("configurations: 2", "configurations: 3").replace("33]", "33, 34]")
    (tmp_path / "ask.yaml").write_text(study)
    monkeypatch.setenv("LARIAT_STORAGE", storage)
    monkeypatch.setattr(delivery, "DELIVERY_SECONDS", 5)
    monkeypatch.setattr(delivery, "AGAIN_SECONDS", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with s3_bucket() as bucket, ExitStack() as tracking, ExitStack() as later:
        more = bucket | {
            "MLFLOW_BACKEND_STORE_URI": runs,
            "MLFLOW_ARTIFACTS_DESTINATION": "s3://lariat/artifacts",
        }
        address = tracking.enter_context(mlflow_server(tmp_path, port, more))
        monkeypatch.setattr(run_store, "get_tracking_uri", lambda: address)
        again = lambda: later.enter_context(mlflow_server(tmp_path, port, more))  # noqa: E731
        with stopped_in_between(server, tracking, again, OUTAGE_SECONDS):
            out = run_here(tmp_path, "ask.yaml")
        networks = load_study("ask", address).networks
    replicates = {(configuration, seed): 1 for configuration in range(3) for seed in range(2)}
    assert Counter((n.configuration, n.seed) for n in networks) == replicates
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).trials
    assert Counter((t.params["configuration"], t.params["seed"]) for t in trials) == replicates
    assert {t.number: t.user_attrs["run_id"] for t in trials} == {
        n.trial: n.run_id for n in networks
    }
    kept = [out.encode(), server.dump("trials of a study"), server.dump("runs of a study")]
    kept += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for text in (each if isinstance(each, bytes) else each.encode() for each in kept):
        assert not any(s.encode() in text for s in (PASSWORD, ENCODED, S3_SECRET))
