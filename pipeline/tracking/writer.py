"""A study's runs, written: one run for the study, and nested in it one run a network.

Every run has the tags ``study``, ``study_id`` and ``kind``: `study`, `network`, or `continuation`
for the run that `mlflow run` opens when the study goes on; that one only points to the study's run.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.errors import InputError
from pipeline.process import masked
from pipeline.results import NetworkResult, ReplicateKey, StudyRecord, replicate_key
from pipeline.tracking import format as run_format
from pipeline.tracking.availability import CLOSING_SECONDS, server_trouble, short_timeouts
from pipeline.tracking.delivery import Delivery
from pipeline.tracking.records import Dataset, NewRun, StoredRun
from pipeline.tracking.store import RunStore

if TYPE_CHECKING:
    import pandas as pd

STUDY, NETWORK, CONTINUATION = "study", "network", "continuation"
NOTE = "mlflow.note.content"
OWNER = "owner"
OPENED = "opened"
"""A tag of studies' runs alone, by which they are found among those of networks."""
PARENT = "mlflow.parentRunId"
TABLES = "mlflow.loggedArtifacts"
RECORD_FOLDER, RECORD_FILE = "study", "record.json"
TABLE_FOLDER, REPORT = "tables", "report"
OVER = ("FINISHED", "FAILED")


class StudyRun:
    """The open run of a study; as a context manager it never leaves a run RUNNING.

    Ctrl-C and SIGTERM end it as KILLED, any other exception as FAILED with its reason.
    """

    def __init__(
        self,
        store: RunStore,
        record: StudyRecord,
        run: StoredRun,
        continuation: StoredRun | None,
        dataset: Dataset | None,
        spool: Path | None = None,
    ) -> None:
        self._store = store
        self._record = record
        self._run = run
        self._continuation = continuation
        self._dataset = dataset
        self.delivery = Delivery(store, run.experiment_id, dataset, self._networks, spool)
        self._open = True
        self._handlers: dict[int, Any] = {}

    @property
    def run_id(self) -> str:
        """The study's run, the parent of the networks' runs."""
        return self._run.run_id

    @property
    def store(self) -> RunStore:
        """Where its runs are."""
        return self._store

    @property
    def about(self) -> StudyRecord:
        """The study's, with its place."""
        return self._record

    @property
    def experiment_id(self) -> str:
        """Of the study's run and all of its networks' runs."""
        return self._run.experiment_id

    @property
    def dataset(self) -> tuple[str, str] | None:
        """(name, digest) of the table, as the store knows it."""
        return None if self._dataset is None else (self._dataset.name, self._dataset.digest)

    def link(self, artifact: str) -> str:
        """The address of one of its artifacts within MLflow's pages."""
        return f"#/experiments/{self.experiment_id}/runs/{self.run_id}/artifacts/{artifact}"

    def recorded(self) -> list[StoredRun]:
        """The networks' runs that are complete, one a network, as they were recorded."""
        complete = complete_runs(self._networks())
        return sorted(complete.values(), key=lambda run: (run.end_ms, key_of_run(run)))

    def discard_unfinished(self) -> int:
        """Delete runs of networks that a killed process had not finished; returns how many.

        A run that ended is never deleted here, whoever made it.
        """
        self._store.remove_orphans(self.experiment_id)
        unfinished = [run for run in self._networks() if run.status not in OVER]
        self.discard(unfinished)
        return len(unfinished)

    def discard(self, runs: Iterable[StoredRun]) -> None:
        """Delete runs of networks, with their files."""
        for run in runs:
            self._store.delete_with_files(run)

    def known_networks(self, keys: Iterable[str]) -> list[StoredRun]:
        """Complete runs of networks of these keys, of whatever study, the first recorded first."""
        tags = [(tag, "") for tag in dict.fromkeys(map(lookup_tag, keys))]
        runs = self._store.search_each(self._store.experiment_ids(), tags)
        return sorted((r for r in runs if r.status in OVER), key=lambda run: run.start_ms)

    def record(self, result: NetworkResult, heat_maps: Mapping[str, bytes] | None = None) -> str:
        """One nested run for one network; returns its id.

        heat_maps: artifact name (`first_layer.png`, `first_layer_final.png`) → PNG.
        """
        return self.record_all([(result, heat_maps or {})])[0]

    def record_all(
        self, networks: Sequence[tuple[NetworkResult, Mapping[str, bytes]]]
    ) -> list[str]:
        """`record` for networks that were trained together, faster than one after another.

        The id is "" of a network that waits for a server that is away.
        """
        runs = [self._new_run(result, heat_maps) for result, heat_maps in networks]
        return self.delivery.add(runs)

    def _new_run(self, result: NetworkResult, heat_maps: Mapping[str, bytes]) -> NewRun:
        end_ms = time.time_ns() // 1_000_000
        start_ms = end_ms - round(1000 * float(result.metrics.get("train_seconds", 0.0)))
        tags = {
            "study": self._record.study,
            "study_id": self._record.study_id,
            "kind": NETWORK,
            PARENT: self.run_id,
            "trial": None if result.trial is None else str(result.trial),
            "failure": result.failure,
            "solution": result.solution,
            "variables": str(result.inputs.penalized),
            "network_key": result.key or None,
            lookup_tag(result.key): "yes" if result.key else None,
            "made_with": result.made_with or None,
            "processor": result.processor or None,
            "copied_from": result.copied_from,
            # The params that are text though they look like numbers: they are read back as text.
            "text_params": run_format.numeric_texts(result.params) or None,
        }
        return NewRun(
            name=result.name,
            status="FINISHED" if result.failure is None else "FAILED",
            start_ms=start_ms,
            end_ms=end_ms,
            params={name: run_format.param_text(value) for name, value in result.params.items()},
            metrics=run_format.points_of(result, start_ms, end_ms),
            tags={name: value for name, value in tags.items() if value is not None},
            files=run_format.files_of(result, heat_maps),
        )

    def beat(self, holder: str) -> None:
        """Say on the study's run that its holder is there."""
        self._store.update(self.run_id, tags={OWNER: holder})

    def write_files(self, run_id: str, files: Mapping[str, bytes]) -> None:
        """Artifacts of the study's run or of a network's, by their path in the run."""
        run = self._run if run_id == self.run_id else self._store.get(run_id)
        if run is not None:
            self._store.write_files(run, files)

    def finish(
        self,
        metrics: Mapping[str, float],
        description: str,
        tables: Mapping[str, pd.DataFrame] | None = None,
        artifacts_dir: Path | None = None,
        artifacts: Sequence[str] = (),
        solutions: Mapping[str, str] | None = None,
    ) -> None:
        """What the study found, onto its run, which is then FINISHED.

        metrics        name → value, of the best configuration.
        description    Markdown, shown by MLflow as the run's description; cut at a paragraph
                       where it is too long.
        tables         name → table, logged as JSON for MLflow's table view and as CSV.
        artifacts_dir, artifacts
                       the report's directory, and the files in it that are the report's.
        solutions      run id of a network → the solution it belongs to.
        """
        now_ms = time.time_ns() // 1_000_000
        files, logged = {}, []
        for name, table in (tables or {}).items():
            path = f"{TABLE_FOLDER}/{run_format.file_name(name)}"
            text = table.to_json(
                orient="split", index=False, date_format="iso", double_precision=15
            )
            files[f"{path}.json"] = text.encode()
            files[f"{path}.csv"] = table.to_csv(index=False).encode()
            logged.append({"path": f"{path}.json", "type": "table"})
        self._store.write_files(self._run, files)
        if artifacts_dir is not None:
            self._store.write_folder(self._run, Path(artifacts_dir), artifacts, REPORT)
        if solutions:
            self._store.set_tag("solution", solutions)
        self._store.update(
            self.run_id,
            metrics=[(name, value, now_ms, 0) for name, value in metrics.items()],
            tags={NOTE: note_of(description), TABLES: json.dumps(logged)},
        )
        self._close("FINISHED")

    def fail(self, reason: str) -> None:
        """End the study's run as FAILED, for this reason."""
        if self._open:
            self._store.update(self.run_id, tags={"failure": reason})
            self._close("FAILED")

    def interrupt(self) -> None:
        """End the study's run as KILLED: the same command goes on with it."""
        self._close("KILLED")

    def _networks(self) -> list[StoredRun]:
        nested = self._store.search([self._run.experiment_id], (PARENT, self.run_id))
        return [run for run in nested if run.tags.get("kind") == NETWORK]

    def _close(self, status: str) -> None:
        if self._open:
            self._open = False
            for run in filter(None, (self._continuation, self._run)):
                self._store.set_status(run.run_id, status)

    def _end_early(self, kind: type[BaseException], error: BaseException | None) -> None:
        """Write the end onto the run, but wait for no server, which is not why the study ends."""
        try:
            with short_timeouts(CLOSING_SECONDS, retries=0):
                if issubclass(kind, Exception) and error is not None:
                    self.fail(_public_reason(error))
                else:
                    self.interrupt()
        except Exception as refusal:
            if server_trouble(refusal) is None:
                raise

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
                if signal.getsignal(number) is signal.SIG_DFL:
                    self._handlers[number] = signal.signal(number, _exit_by_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            if kind is None:
                self._close("FINISHED")
            else:
                self._end_early(kind, error)
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)


def complete_runs(networks: Sequence[StoredRun]) -> dict[ReplicateKey, StoredRun]:
    """Which network → its run; the first where there are several."""
    complete: dict[ReplicateKey, StoredRun] = {}
    for run in networks:
        if run.tags.get("kind") == NETWORK and run.status in OVER and (key := key_of_run(run)):
            complete.setdefault(key, run)
    return complete


def key_of_run(run: StoredRun) -> ReplicateKey | None:
    """Which network a run is of, or None while it has no params."""
    try:
        return replicate_key(run.params)
    except (KeyError, ValueError):
        return None


def lookup_tag(network_key: str) -> str:
    """A tag that the networks of one configuration and people have and no others, so that they
    are found by its name. MLflow's pages do not show tags that begin with `mlflow.`."""
    return f"mlflow.lariat.{network_key.rpartition('-')[0]}"


def note_of(text: str) -> str:
    """Markdown within the length of a tag, cut between two paragraphs."""
    if len(text) < run_format.MAX_TAG_CHARACTERS:
        return text
    more = "\n\n… The rest is in the report, among this run's artifacts."
    longest = run_format.MAX_TAG_CHARACTERS - 1 - len(more)
    cut = text.rfind("\n\n", 0, longest)
    return text[: cut if cut > 0 else longest] + more


def _public_reason(error: BaseException) -> str:
    """Why a study failed, for everyone: no value of a person's row, which a library's message
    may have, and no password."""
    kind = type(error).__name__
    return f"{kind}: {masked(error)}" if isinstance(error, InputError) else kind


def _exit_by_signal(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
