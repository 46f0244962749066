"""A study's runs, read back: what `writer` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from pipeline.errors import InputError
from pipeline.results import Inputs, NetworkResult, StudyRecord, StudyResults
from pipeline.tracking import format as run_format
from pipeline.tracking.availability import server_trouble_as_a_sentence
from pipeline.tracking.format import CURVE_PREFIX, FIRST_LAYER, WEIGHTS_FOLDER
from pipeline.tracking.people_tables import PEOPLE_FOLDER, people_tables_from_files
from pipeline.tracking.records import StoredRun
from pipeline.tracking.store import RunStore
from pipeline.tracking.writer import (
    OPENED,
    PARENT,
    RECORD_FILE,
    RECORD_FOLDER,
    STUDY,
    complete_runs,
)
from pipeline.words import MLFLOW_RUN

DOWNLOADS = 8  # at once, where artifacts come over a network
SHOWN_STUDIES = 20
"""As many a sentence lists."""


@dataclass(frozen=True)
class StudySummary:
    """One study of a store: `status` is MLflow's, `opened` when it was last begun or gone on."""

    study: str
    study_id: str
    run_id: str
    status: str
    opened: str


def list_studies(tracking_uri: str | None = None) -> tuple[StudySummary, ...]:
    """Every study of the store, the one opened last first."""
    return tuple(_summary(run) for run in _studies(RunStore(tracking_uri, must_exist=True)))


@server_trouble_as_a_sentence()
def load_study(study: str | None = None, tracking_uri: str | None = None) -> StudyResults:
    """A study with all its networks, by configuration and seed.

    study is a study's name, the beginning of its study_id, or its run's id; the newest when None,
    and the newest of a name.
    """
    store = RunStore(tracking_uri, must_exist=True)
    run = _chosen(store, study)
    nested = store.search([run.experiment_id], (PARENT, run.run_id))
    complete = complete_runs(nested)
    content = _file(store, run, RECORD_FOLDER, RECORD_FILE)
    shared_inputs: dict[Inputs, Inputs] = {}
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        # Each is made from its files in its thread, so that the files of all are never in memory.
        networks = list(
            pool.map(
                lambda network: _network(
                    network, store.read_files(network, WEIGHTS_FOLDER), shared_inputs
                ),
                complete.values(),
            )
        )
    variants = store.read_files(run, run_format.VARIANTS_FOLDER).get(run_format.VARIANTS)
    return StudyResults(
        run_format.record_from_json(content, run.run_id),
        tuple(sorted(networks, key=lambda network: network.replicate_key)),
        run_format.variants_from_csv(variants) if variants else None,
        appraisal=run_format.appraisal_from_files(
            store.read_files(run, run_format.APPRAISAL_FOLDER)
        ),
        people=people_tables_from_files(store.read_files(run, PEOPLE_FOLDER)),
    )


def _studies(store: RunStore) -> list[StoredRun]:
    runs = store.search(store.experiment_ids(), (OPENED, ""))
    return _newest_first([run for run in runs if run.tags.get("kind") == STUDY])


def _newest_first(runs: Sequence[StoredRun]) -> list[StoredRun]:
    return sorted(runs, key=lambda run: run.tags.get(OPENED, ""), reverse=True)


def _chosen(store: RunStore, wanted: str | None) -> StoredRun:
    """The newest study, or the newest of a name; without reading the others where it is there."""
    ids = store.experiment_ids()
    if wanted is None:
        found = store.search(ids, (OPENED, ""), ("kind", STUDY), largest=OPENED)
    elif not wanted or "'" in wanted:
        found = []
    else:
        found = store.search(ids, (OPENED, ""), ("study", wanted), largest=OPENED)
    return found[0] if found else _by_its_id(_studies(store), wanted or "", store.shown)


def _by_its_id(studies: Sequence[StoredRun], wanted: str, uri: str) -> StoredRun:
    if not studies:
        raise InputError(
            f"there is no study in {uri} yet: `{MLFLOW_RUN} -P study=group_lasso` makes one"
        )
    by_name = [run for run in studies if wanted == run.tags.get("study")]
    by_id = [
        run
        for run in studies
        if wanted and (run.tags.get("study_id", "").startswith(wanted) or run.run_id == wanted)
    ]
    if matching := by_name or by_id:
        return matching[0]
    there = [f"{run.tags.get('study')} ({run.tags.get('study_id')})" for run in studies]
    more = f" and {len(there) - SHOWN_STUDIES} older ones" if len(there) > SHOWN_STUDIES else ""
    raise InputError(
        f"no study '{wanted}' is in {uri}, which has: {', '.join(there[:SHOWN_STUDIES])}{more}"
    )


def read_network(
    store: RunStore, run: StoredRun, shared_inputs: dict[Inputs, Inputs] | None = None
) -> NetworkResult:
    """The network of a run. Raises InputError where its weights are lost.

    Networks of the same inputs share one object, from shared_inputs.
    """
    return _network(
        run, store.read_files(run, WEIGHTS_FOLDER), {} if shared_inputs is None else shared_inputs
    )


def _network(
    run: StoredRun, files: dict[str, bytes], shared_inputs: dict[Inputs, Inputs]
) -> NetworkResult:
    """A network from its run and its artifacts.

    Its first layer at the best epoch is the first of its layers where both have the same numbers.
    """
    failure = run.tags.get("failure")
    if FIRST_LAYER not in files:
        raise InputError(
            f"the network '{run.name}' has lost its artifact {WEIGHTS_FOLDER}/{FIRST_LAYER}: "
            f"it should be in {run.artifact_uri}"
        )
    inputs, first_layer, final = run_format.first_layers(files)
    inputs = shared_inputs.setdefault(inputs, inputs)
    curves, variables = files.get(run_format.CURVES), files.get(run_format.VARIABLES)
    stored = files.get(run_format.NETWORK_FILE)
    layers, resamples = run_format.network_from_npz(stored) if stored else ((), {})
    if layers and first_layer is not None and np.array_equal(first_layer, layers[0][0]):
        first_layer = layers[0][0]
    return NetworkResult(
        params=run_format.params_from_texts(run.params, run.tags.get("text_params", "")),
        inputs=inputs,
        metrics={
            name: value for name, value in run.metrics.items() if not name.startswith(CURVE_PREFIX)
        },
        curves=run_format.curves_from_csv(curves) if curves else {},
        first_layer=first_layer,
        first_layer_final=final,
        died=run_format.died_from_csv(variables) if variables else {},
        resamples=resamples,
        layers=layers,
        failure=failure,
        trial=int(run.tags["trial"]) if "trial" in run.tags else None,
        run_id=run.run_id,
        key=run.tags.get("network_key", ""),
        made_with=run.tags.get("made_with", ""),
        processor=run.tags.get("processor", ""),
        solution=run.tags.get("solution"),
        copied_from=run.tags.get("copied_from"),
    )


def _file(store: RunStore, run: StoredRun, folder: str, name: str) -> bytes:
    files = store.read_files(run, folder)
    if name not in files:
        raise InputError(
            f"the study '{run.name}' has lost its artifact {folder}/{name}: it should be in "
            f"{run.artifact_uri}"
        )
    return files[name]


def _summary(run: StoredRun) -> StudySummary:
    tags = run.tags
    return StudySummary(
        tags["study"], tags["study_id"], run.run_id, run.status, tags.get(OPENED, "")
    )


def load_record(study: str | None = None, tracking_uri: str | None = None) -> StudyRecord:
    """The record of a study alone; `study` as `load_study` takes it."""
    store = RunStore(tracking_uri, must_exist=True)
    run = _chosen(store, study)
    return run_format.record_from_json(_file(store, run, RECORD_FOLDER, RECORD_FILE), run.run_id)
