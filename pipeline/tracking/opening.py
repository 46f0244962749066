"""A study's run, opened: the one it has, a new one, or the one that `mlflow run` opened."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath

from pipeline.results import StudyRecord
from pipeline.tracking import format as run_format
from pipeline.tracking.holder import Holder, refusal
from pipeline.tracking.records import Dataset, StoredRun
from pipeline.tracking.store import RunStore
from pipeline.tracking.writer import (
    CONTINUATION,
    NOTE,
    OPENED,
    OWNER,
    PARENT,
    RECORD_FILE,
    RECORD_FOLDER,
    STUDY,
    StudyRun,
    note_of,
)

EXPERIMENT = "lariat"
MAX_DIGEST_CHARACTERS = 36
MAX_SCHEMA_CHARACTERS = 1_000_000


@dataclass(frozen=True)
class Fingerprint:
    """What the store may have of a person's table: no value of any row.

    path     the table's file; only its name is recorded.
    sha256   of the file, in hexadecimal.
    columns  column → type.
    """

    path: str
    sha256: str
    columns: Mapping[str, str] = field(default_factory=dict)


def open_study(
    record: StudyRecord,
    *,
    dataset: Fingerprint | None = None,
    params: Mapping[str, str | int | float] | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    spool: Path | None = None,
    holder: Holder | None = None,
) -> StudyRun:
    """The study's run: the one it already has in any experiment of the store, or a new one.

    A new one's experiment is the argument's, else that of ``MLFLOW_EXPERIMENT_ID`` or
    ``MLFLOW_EXPERIMENT_NAME``, else `lariat`. Under `mlflow run` a new study's run is the run that
    `mlflow run` opened. params are shown on the study's run, where they do not collide with those
    that `mlflow run` logged. spool: the folder in which runs wait for a server that is away.
    holder: who runs the study; InputError where its run says that another process does.
    """
    store = RunStore(tracking_uri)
    joined = _joined(store, record)
    # In any experiment: `mlflow run` and the scripts have different ones by default.
    earlier = [
        run
        for run in store.search(store.experiment_ids(), (OPENED, ""), ("study_id", record.study_id))
        if run.tags.get("kind") == STUDY
    ]
    continuation = None
    if earlier:
        run = earlier[0]
        _refuse_another(run, holder)
        if joined and joined.run_id != run.run_id:
            continuation = _continue(store, record, run, joined)
    elif joined:
        run = joined
        store.rename(run.run_id, record.study)
    else:
        experiment_id = _experiment_id(store, experiment)
        known = {"kind": STUDY, "study": record.study, "study_id": record.study_id}
        known[OPENED] = _now()
        run = store.start(experiment_id, record.study, known)
    store.mark_experiment(run.experiment_id)
    record = replace(record, place=run.tags.get("place") or _free_place(store, record))
    fingerprint = None if dataset is None else _dataset(dataset, record)
    study = StudyRun(store, record, run, continuation, fingerprint, spool)
    try:
        _describe(store, record, run, params or {}, holder)
        if fingerprint:
            store.log_dataset(run.run_id, fingerprint)
    except BaseException:
        study.interrupt()
        raise
    return study


def _refuse_another(run: StoredRun, holder: Holder | None) -> None:
    other = Holder.read(run.tags.get(OWNER))
    if holder is None or other is None or run.status != "RUNNING":
        return
    if not (other.is_this() or other.is_dead()):
        raise refusal("in this tracking store", other)


def _free_place(store: RunStore, record: StudyRecord) -> str:
    """The study's name, unless another study of this name has it: then with its id."""
    named = store.search(store.experiment_ids(), (OPENED, ""), ("study", _quoteless(record.study)))
    taken = {
        run.tags.get("place", record.study)
        for run in named
        if run.tags.get("kind") == STUDY and run.tags.get("study_id") != record.study_id
    }
    return f"{record.study}-{record.study_id[:6]}" if record.study in taken else record.study


def _quoteless(name: str) -> str:
    return name.replace("'", "")


def _joined(store: RunStore, record: StudyRecord) -> StoredRun | None:
    """The run that `mlflow run` opened, unless another study has already taken it."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    run = store.get(run_id) if run_id else None
    taken = run is not None and run.tags.get("study_id", record.study_id) != record.study_id
    return None if taken else run


def _experiment_id(store: RunStore, name: str | None) -> str:
    if name is None and (known := os.environ.get("MLFLOW_EXPERIMENT_ID")):
        return store.require_experiment(known)
    return store.experiment_id(name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT)


def _continue(
    store: RunStore, record: StudyRecord, original: StoredRun, joined: StoredRun
) -> StoredRun:
    """Turn the run that `mlflow run` opened into a pointer to the study's run."""
    link = f"#/experiments/{original.experiment_id}/runs/{original.run_id}"
    store.rename(joined.run_id, f"{record.study} continued")
    store.update(
        joined.run_id,
        tags={
            "study": record.study,
            "study_id": record.study_id,
            "kind": CONTINUATION,
            "continues": original.run_id,
            PARENT: original.run_id,
            NOTE: f"This call went on with the study [{original.name}]({link}): "
            "its networks and its report are there.",
        },
    )
    return joined


def _describe(
    store: RunStore,
    record: StudyRecord,
    run: StoredRun,
    params: Mapping[str, object],
    holder: Holder | None,
) -> None:
    """Put onto the study's run what identifies the study, and mark it as going on."""
    if run.status != "RUNNING":
        store.set_status(run.run_id, "RUNNING")
    if "failure" in run.tags:
        store.delete_tag(run.run_id, "failure")
    shown = {
        "study": record.study,
        "target": record.target,
        "genotypes": record.genotypes,
        "objective": record.objective,
        **params,
    }
    tags = {
        "study": record.study,
        "study_id": record.study_id,
        "kind": STUDY,
        "genotypes": record.genotypes,
        "place": record.place,
        OPENED: _now(),
    }
    if holder is not None:
        tags[OWNER] = holder.text()
    if NOTE not in run.tags:
        tags[NOTE] = note_of(record.question)
    store.update(
        run.run_id,
        params={
            name: run_format.param_text(value)
            for name, value in shown.items()
            if name not in run.params  # MLflow refuses another value
        },
        tags=tags,
    )
    content = run_format.record_json(record)
    store.write_files(run, {f"{RECORD_FOLDER}/{RECORD_FILE}": content})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _dataset(fingerprint: Fingerprint, record: StudyRecord) -> Dataset:
    name = PurePath(fingerprint.path).name
    columns = [
        {"type": kind, "name": column, "required": True}
        for column, kind in fingerprint.columns.items()
    ]
    while len(schema := json.dumps({"mlflow_colspec": columns})) > MAX_SCHEMA_CHARACTERS:
        columns = columns[: len(columns) // 2]
    counts = {key: value for key, value in record.facts.items() if isinstance(value, (int, float))}
    return Dataset(
        name=name[-250:],
        digest=fingerprint.sha256[:MAX_DIGEST_CHARACTERS],
        source=json.dumps({"uri": name}),
        schema=schema,
        profile=json.dumps(counts),
    )
