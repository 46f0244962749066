"""MLflow's store as plain values in and out.

Every call names its run: the fluent API's active run would be overridden by ``MLFLOW_RUN_ID``.
"""

from __future__ import annotations

import getpass
import logging
import os
import shutil
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from pipeline.errors import InputError
from pipeline.process import HIDDEN, masked, sweep, write_all_whole
from pipeline.tracking.artifacts import intended, read_from, remove_orphans
from pipeline.tracking.availability import require_answer
from pipeline.tracking.connecting import connect
from pipeline.tracking.format import (
    MAX_PARAM_CHARACTERS,
    MAX_TAG_CHARACTERS,
    clipped,
    keyed,
    name_of,
    unclipped,
)
from pipeline.tracking.local_sqlite import mend_addresses, sqlite_path
from pipeline.tracking.records import Dataset, NewRun, StoredRun
from pipeline.tracking.store_sql import SqlRun, SqlRuns, run_columns

# Nothing about a study leaves the machine unasked, and nothing is printed for every run.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import (
    get_artifact_repository,
)
from mlflow.tracking import MlflowClient, get_tracking_uri
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import append_to_uri_path, is_local_uri

# What these log as errors is raised too; that a database is made is news to nobody.
for _name in ("mlflow.store.db.utils", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

EXPERIMENT_KIND, MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"
PAGE_RUNS = 1_000
CALLERS = 8  # at once, of a server or a disk


class RunStore:
    """Runs of one tracking store.

    tracking_uri  MLflow's own choice when None: ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` here.
    must_exist    refuse to create a database that is not there (for reading).
    bulk          whether to write runs in one transaction where the store is SQLite.
    """

    def __init__(
        self, tracking_uri: str | None = None, *, must_exist: bool = False, bulk: bool = True
    ) -> None:
        self.uri = str(tracking_uri or get_tracking_uri())
        self.shown = masked(self.uri)
        if must_exist and (path := sqlite_path(self.uri)) and not path.exists():
            raise InputError(f"there is no tracking store at {path} yet, so no study to read")
        self._remote = self.uri.startswith(("http://", "https://"))
        self._client = connect(self.uri)
        if self._remote:
            require_answer(self._client, self.uri)
        if (file := sqlite_path(self.uri)) is not None:
            with suppress(sqlite3.Error):  # one that cannot be written to is read as it is
                mend_addresses(file)
        store = getattr(getattr(self._client, "_tracking_client", None), "store", None)
        is_sql = type(store).__name__ == "SqlAlchemyStore" and bulk
        self._sql = SqlRuns.of(store.engine) if store is not None and is_sql else None
        self._locations: dict[str, str] = {}
        self.user = _user()

    @property
    def may_be_away(self) -> bool:
        """Whether it is a server, and no file of this machine."""
        engine = getattr(self._client._tracking_client.store, "engine", None)
        return self._remote if engine is None else engine.dialect.name != "sqlite"

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, for `models`."""
        return self._client

    def require_experiment(self, experiment_id: str) -> str:
        """The id. Raises InputError unless there is such an experiment."""
        try:
            self._client.get_experiment(experiment_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise InputError(
                f"MLFLOW_EXPERIMENT_ID must be that of an experiment of {self.shown}, but got "
                f"{experiment_id!r}; unset it, or give a name by MLFLOW_EXPERIMENT_NAME"
            ) from error
        return experiment_id

    def experiment_id(self, name: str) -> str:
        """The experiment of this name, made when there is none."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            raise InputError(
                f"the MLflow experiment '{name}' is deleted in {self.shown}: restore it with "
                f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`, or "
                "choose another with MLFLOW_EXPERIMENT_NAME"
            )
        return experiment.experiment_id if experiment else self._client.create_experiment(name)

    def mark_experiment(self, experiment_id: str) -> None:
        """Have MLflow's pages show the experiment as model training, unless it is marked."""
        if EXPERIMENT_KIND not in self._client.get_experiment(experiment_id).tags:
            self._client.set_experiment_tag(experiment_id, EXPERIMENT_KIND, MODEL_TRAINING)

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of an experiment."""
        for key, value in tags.items():
            self._client.set_experiment_tag(experiment_id, key, value)

    def experiment_ids(self) -> list[str]:
        """Every experiment that is not deleted."""
        ids, token = [], None
        while True:
            page = self._client.search_experiments(max_results=PAGE_RUNS, page_token=token)
            ids += [experiment.experiment_id for experiment in page]
            if not (token := page.token):
                return ids

    def add(
        self, experiment_id: str, runs: Sequence[NewRun], dataset: Dataset | None = None
    ) -> list[str]:
        """Record whole runs and return their ids; in SQLite they are there all or none."""
        if self._sql is None:
            with ThreadPoolExecutor(CALLERS if self._remote else 1) as pool:
                return list(
                    pool.map(lambda run: self._add_by_calls(experiment_id, run, dataset), runs)
                )
        run_ids = [uuid.uuid4().hex for _ in runs]
        location = self._location(experiment_id)
        addresses = [append_to_uri_path(location, run_id, "artifacts") for run_id in run_ids]
        with intended(location, run_ids):
            with ThreadPoolExecutor(
                CALLERS
            ) as pool:  # a disk brings several at once as fast as one
                list(pool.map(self._write_files, addresses, [run.files for run in runs]))
            rows = []
            for run_id, run, artifact_uri in zip(run_ids, runs, addresses, strict=True):
                params = clipped(run.params, MAX_PARAM_CHARACTERS)
                tags = clipped(self._system_tags(run.name) | dict(run.tags), MAX_TAG_CHARACTERS)
                columns = run_columns(run, run_id, int(experiment_id), artifact_uri, self.user)
                rows.append(SqlRun(columns, params, tags, keyed(run.metrics)))
            known = None if dataset is None else (dataset.name, dataset.digest)
            self._sql.add(rows, known)
        return run_ids

    def remove_orphans(self, experiment_id: str) -> int:
        """Remove artifacts of runs that a dead process did not come to record; returns how many."""
        return remove_orphans(
            self._location(experiment_id), lambda run_id: self.get(run_id) is None
        )

    def _add_by_calls(self, experiment_id: str, run: NewRun, dataset: Dataset | None) -> str:
        tags = clipped(self._system_tags(run.name) | dict(run.tags), MAX_TAG_CHARACTERS)
        made = self._client.create_run(experiment_id, run.start_ms, tags, run.name).info
        self._write_files(made.artifact_uri, run.files)
        self.update(made.run_id, params=run.params, metrics=run.metrics)
        if dataset:
            self.log_dataset(made.run_id, dataset)
        self._client.set_terminated(made.run_id, run.status, run.end_ms)
        return made.run_id

    def start(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> StoredRun:
        """Open a run that stays RUNNING until `set_status`."""
        tags = clipped(self._system_tags(name) | dict(tags), MAX_TAG_CHARACTERS)
        return _stored(self._client.create_run(experiment_id, tags=tags, run_name=name))

    def update(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Iterable[tuple[str, float, int, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log to a run; the client divides what is above the limits of one batch."""
        self._client.log_batch(
            run_id,
            [Metric(*metric) for metric in keyed(metrics)],
            [Param(*param) for param in clipped(params or {}, MAX_PARAM_CHARACTERS).items()],
            [RunTag(*tag) for tag in clipped(tags or {}, MAX_TAG_CHARACTERS).items()],
            synchronous=True,
        )

    def log_dataset(self, run_id: str, dataset: Dataset) -> None:
        """Say which table a run learned from."""
        entity = MlflowDataset(
            dataset.name, dataset.digest, "local", dataset.source, dataset.schema, dataset.profile
        )
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run_id, [DatasetInput(entity, [context])])

    def rename(self, run_id: str, name: str) -> None:
        """Give a run another name."""
        self._client.update_run(run_id, name=name)

    def set_status(self, run_id: str, status: str) -> None:
        """RUNNING again, or over as FINISHED, FAILED or KILLED."""
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status)

    def set_tag(self, key: str, values: Mapping[str, str]) -> None:
        """One tag of many runs: run id → value."""
        if self._sql is not None:
            self._sql.set_tag(key, clipped(values, MAX_TAG_CHARACTERS, keys=False))
            return
        for run_id, value in values.items():
            self.update(run_id, tags={key: value})

    def delete_tag(self, run_id: str, key: str) -> None:
        """Remove a tag, if the run has it."""
        with suppress(MlflowException):
            self._client.delete_tag(run_id, key)

    def delete_with_files(self, run: StoredRun) -> None:
        """Hide a run as MLflow deletes, and remove its artifacts."""
        if is_local_uri(run.artifact_uri):
            shutil.rmtree(Path(local_file_uri_to_path(run.artifact_uri)).parent, ignore_errors=True)
        else:
            with suppress(Exception):  # a store that cannot delete
                self._repository(run.artifact_uri).delete_artifacts()
        self._client.delete_run(run.run_id)

    def write_files(self, run: StoredRun, files: Mapping[str, bytes]) -> None:
        """Artifacts by their path in the run, replacing what is there."""
        if is_local_uri(run.artifact_uri):
            place = Path(local_file_uri_to_path(run.artifact_uri))
            for folder in {(place / name).parent for name in files}:
                sweep(folder)
        self._write_files(run.artifact_uri, files)

    def write_folder(self, run: StoredRun, local: Path, names: Sequence[str], folder: str) -> None:
        """These files of a local directory as the run's artifact folder, replacing all of it."""
        files = {f"{folder}/{name}": (local / name).read_bytes() for name in names}
        with suppress(Exception):  # nothing there yet, or a store that cannot delete
            self._repository(run.artifact_uri).delete_artifacts(folder)
        self._write_files(run.artifact_uri, files)

    def forget_parameter(self, run_id: str, name: str) -> str:
        """Take a secret out of a run that `mlflow run` opened; says what was done, as a sentence.

        MLflow has no call that changes a parameter: in a database that this process opens its row
        is changed, on a server the run is deleted.
        """
        engine = getattr(self._client._tracking_client.store, "engine", None)
        if engine is None:
            self._client.delete_run(run_id)
            return f"Run {run_id} is deleted; `mlflow gc` on the server removes it for good."
        params = sa.Table("params", sa.MetaData(), autoload_with=engine)
        which = (params.c.run_uuid == run_id) & (params.c.key == name)
        with engine.begin() as connection:
            connection.execute(params.update().where(which).values(value=HIDDEN))
        return "It is masked in the tracking store."

    def _write_files(self, artifact_uri: str, files: Mapping[str, bytes]) -> None:
        if not files:
            return
        if is_local_uri(artifact_uri):
            write_all_whole(Path(local_file_uri_to_path(artifact_uri)), files)
            return
        with tempfile.TemporaryDirectory() as folder:  # on its way: it need not outlast anything
            for name, content in files.items():
                place = Path(folder) / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            self._repository(artifact_uri).log_artifacts(folder)

    def get(self, run_id: str) -> StoredRun | None:
        """A run, or None when this store has none of this id."""
        try:
            return _stored(self._client.get_run(run_id))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def search(
        self,
        experiment_ids: Sequence[str],
        *tags: tuple[str, str],
        largest: str | None = None,
    ) -> list[StoredRun]:
        """All runs not deleted that have these (tag, value), whatever its value where that is "";
        values must hold no quote. largest: of them only the one where this tag is largest.

        A database has an index on the names of tags and none on their values: name a tag first
        that few runs have.
        """
        if self._sql is not None and largest is None:
            return self._sql.search(experiment_ids, tags) if experiment_ids else []
        condition = " AND ".join(
            f"tags.`{tag}` = '{value}'" if value else f"tags.`{tag}` != ''" for tag, value in tags
        )
        order = "attributes.start_time ASC" if largest is None else f"tags.`{largest}` DESC"
        runs, token = [], None
        while experiment_ids:
            page = self._client.search_runs(
                list(experiment_ids),
                condition,
                max_results=PAGE_RUNS if largest is None else 1,
                order_by=[order],
                page_token=token,
            )
            runs += [_stored(run) for run in page]
            token = page.token
            if not token or largest is not None:
                break
        return runs

    def search_each(
        self, experiment_ids: Sequence[str], tags: Sequence[tuple[str, str]]
    ) -> list[StoredRun]:
        """`search` for each of these tags by itself; of a server, several at once."""
        with ThreadPoolExecutor(CALLERS if self._remote else 1) as pool:
            found = pool.map(lambda tag: self.search(experiment_ids, tag), tags)
            return [run for runs in found for run in runs]

    def read_files(self, run: StoredRun, folder: str) -> dict[str, bytes]:
        """The files of a run's artifact folder by name; empty when there is none."""
        if is_local_uri(run.artifact_uri):
            return read_from(Path(local_file_uri_to_path(run.artifact_uri)) / folder)
        with tempfile.TemporaryDirectory() as local:
            with suppress(MlflowException):
                self._repository(run.artifact_uri).download_artifacts(folder, local)
            return read_from(Path(local) / folder)

    def _location(self, experiment_id: str) -> str:
        if experiment_id not in self._locations:
            experiment = self._client.get_experiment(experiment_id)
            self._locations[experiment_id] = experiment.artifact_location
        return self._locations[experiment_id]

    def _repository(self, artifact_uri: str) -> Any:
        return get_artifact_repository(artifact_uri, tracking_uri=self.uri)

    def _system_tags(self, name: str) -> dict[str, str]:
        return {
            "mlflow.runName": name,
            "mlflow.user": self.user,
            "mlflow.source.name": Path(sys.argv[0]).name or "lariat",
            "mlflow.source.type": "LOCAL",
        }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def _stored(run: Any) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        name=run.info.run_name,
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time or 0,
        artifact_uri=run.info.artifact_uri,
        params={name_of(key): value for key, value in run.data.params.items()},
        metrics={name_of(key): unclipped(value) for key, value in run.data.metrics.items()},
        tags=dict(run.data.tags),
    )
