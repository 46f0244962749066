"""Networks as models in MLflow: logged, linked to their run and table, registered.

`fetched` is the way back.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import (
    AnyType,
    ColSpec,
    DataType,
    ParamSchema,
    ParamSpec,
    Schema,
    TensorSpec,
)
from mlflow.utils import environment

from pipeline.serving import GENOTYPES, NO_GENOTYPES
from pipeline.tracking.store import RunStore

CHAMPION = "champion"
Refused = MlflowException
"""What a store raises that keeps no models."""

ROOM = Path(__file__).parents[1] / "serving"
"""The code that a model carries: this room alone."""

MOST_COLUMNS = 1000
"""Up to so many, a model's metadata says of each what it holds."""

NEEDS = ("mlflow", "numpy", "pandas", "scipy", "pyarrow")
READS_GENOTYPES = ("bed-reader",)
_ENTRY = """\"\"\"The code of a model of Lariat, a copy of its room `pipeline/serving`.\"\"\"

from .model import _load_pyfunc as _load_pyfunc
"""


@dataclass(frozen=True)
class ModelToLog:
    """A model's folder and what MLflow shows of it.

    columns    of its input, name → what it is in words; of whatever type a table has them.
    kinds      what each column holds: `number`, `category`.
    optional   of these, the ones that may be left out: the network zeroed them.
    dimensions genetic dimensions, which are numbers.
    genotypes  columns of ids, of mappings and of variants that may be there in their place, and
               then the parameter `genotypes` too; none where the dimensions must be given.
    example    rows that no person has.
    metrics    name → value, of its run and of the table `dataset` (name, digest).
    """

    name: str
    run_id: str
    folder: Path
    columns: Mapping[str, str]
    kinds: Mapping[str, str]
    optional: Sequence[str]
    dimensions: Sequence[str]
    genotypes: Sequence[str]
    outputs: Sequence[str]
    example: pd.DataFrame
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: tuple[str, str] | None = None


_REMARK = "warn_dependency_requirement_mismatches"


@contextmanager
def _quietly() -> Iterator[None]:
    """Without MLflow's remarks on examples and on what it does next.

    To remark that a requirement is not what is installed it reads the lists of all files of all
    packages, 0.35 s of processor time in every study; those listed here are the installed ones.
    MLflow 3.17 has no switch for that, whether it is given requirements or an environment: its
    function is replaced while it logs, and where a later MLflow has none of that name nothing is.
    """
    remark = getattr(environment, _REMARK, None)
    if remark is not None:
        setattr(environment, _REMARK, lambda requirements: None)
    loggers = [logging.getLogger(name) for name in ("mlflow.models", "mlflow.pyfunc", "mlflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if remark is not None:
            setattr(environment, _REMARK, remark)


def _requirements(genotypes: bool) -> list[str]:
    """Listed here, since MLflow would take 20 seconds to infer them."""
    names = (*NEEDS, *(READS_GENOTYPES if genotypes else ()))
    return [f"{name}=={importlib.metadata.version(name)}" for name in names]


def _signature(model: ModelToLog) -> ModelSignature:
    """Columns of any type, since MLflow's own types would refuse tables that are right.

    A column of `double` refuses the int64 that pandas reads where all ages of a file are whole, and
    one of `string` refuses categories, booleans, codes read as numbers and columns of missing
    values alone. What each column is stands in the model's metadata, under `kinds` and, in words,
    under `columns`, and its input example has the types; the model itself refuses what does not
    fit, with a sentence. Where it takes genotypes, they may come by the parameter `genotypes`, a
    fileset's prefix, with the columns of ids, or as columns of variants, or as the dimensions
    themselves; so none of these is required.
    """
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(AnyType(), name, required=name not in model.optional) for name in model.columns
    ]
    inputs += [ColSpec(AnyType(), name, required=False) for name in model.genotypes]
    inputs += [
        ColSpec(DataType.double, name, required=not model.genotypes) for name in model.dimensions
    ]
    prefix = ParamSpec(GENOTYPES, DataType.string, NO_GENOTYPES)
    params = ParamSchema([prefix] if model.genotypes else [])
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.double, name) for name in model.outputs]
    # A network that zeroed everything predicts the same for everyone, and needs no column.
    return ModelSignature(Schema(inputs) if inputs else None, Schema(outputs), params)


def _metadata(model: ModelToLog) -> dict[str, object]:
    """What columns hold, by name; of many, MLflow's YAML would take longer than the network."""
    if len(model.columns) > MOST_COLUMNS:
        counts = Counter(model.kinds.values())
        kinds = ", ".join(f"{count:,} of kind {kind}" for kind, count in sorted(counts.items()))
        return {"kinds": f"{kinds}; which, is in schema.json of the model's folder"}
    return {"columns": dict(model.columns), "kinds": dict(model.kinds)}


def code_of_a_model(folder: Path) -> Path:
    """A copy of the room in this folder, as a package that no other can be taken for.

    Its name has the first 12 digits of the SHA-256 of the room's files, so that the code of two
    versions can be in one process.
    """
    files = {path.name: path.read_bytes() for path in sorted(ROOM.glob("*.py"))}
    content = hashlib.sha256(b"".join(name.encode() + text for name, text in files.items()))
    package = folder / f"lariat_model_{content.hexdigest()[:12]}"
    package.mkdir()
    for name, text in (files | {"__init__.py": _ENTRY.encode()}).items():
        (package / name).write_bytes(text)
    return package


def logged_models(store: RunStore, experiment_id: str) -> dict[str, str]:
    """Run id → id of the whole model that was logged for it, of an experiment."""
    return _models_by_run(store, experiment_id, LoggedModelStatus.READY)


def _models_by_run(
    store: RunStore, experiment_id: str, status: LoggedModelStatus
) -> dict[str, str]:
    models: dict[str, str] = {}
    token = None
    while True:
        page = store.client.search_logged_models([experiment_id], page_token=token)
        models |= {str(m.source_run_id): m.model_id for m in page if m.status == status}
        if not (token := page.token):
            return models


def log_model(store: RunStore, experiment_id: str, model: ModelToLog) -> str:
    """A model of a run, with the code it needs; returns its id.

    It becomes READY once all of it is logged. One that a stopped process left PENDING is completed.
    """
    client = store.client
    pending = _models_by_run(store, experiment_id, LoggedModelStatus.PENDING).get(model.run_id)
    logged = (
        client.get_logged_model(pending)
        if pending
        else client.create_logged_model(
            experiment_id,
            model.name,
            model.run_id,
            tags=dict(model.tags),
            params=dict(model.params),
            model_type="pyfunc",
        )
    )
    with tempfile.TemporaryDirectory() as folder, _quietly():
        code = code_of_a_model(Path(folder))
        mlflow.pyfunc.save_model(
            f"{folder}/model",
            loader_module=code.name,
            data_path=str(model.folder),
            code_paths=[str(code)],
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                run_id=model.run_id,
                model_id=logged.model_id,
                metadata=_metadata(model),
            ),
            signature=_signature(model),
            input_example=model.example if len(model.example.columns) else None,
            pip_requirements=_requirements(bool(model.genotypes)),
        )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    show_models(store, model.run_id, [logged.model_id])
    name, digest = model.dataset or (None, None)
    end_ms = client.get_run(model.run_id).info.end_time
    client.log_batch(
        model.run_id,
        [
            Metric(key, value, end_ms, 0, logged.model_id, name, digest, model.run_id)
            for key, value in model.metrics.items()
        ],
    )
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return logged.model_id


def show_models(store: RunStore, run_id: str, model_ids: Sequence[str]) -> None:
    """List the models in this run too, whatever run made them, each once."""
    outputs = store.client.get_run(run_id).outputs
    listed = {output.model_id for output in outputs.model_outputs} if outputs else set()
    if missing := [LoggedModelOutput(m, step=0) for m in model_ids if m not in listed]:
        store.client.log_outputs(run_id, missing)


def register_champion(
    store: RunStore, name: str, model_id: str, run_id: str, about: str
) -> str | None:
    """The registered model's version that has the alias `champion` from now on.

    A network that is registered already keeps its version. None where the store has no registry.
    """
    try:
        return _registered(store.client, name, model_id, run_id, about)
    except MlflowException:
        return None


def _registered(client: MlflowClient, name: str, model_id: str, run_id: str, about: str) -> str:
    with _quietly():
        try:
            client.create_registered_model(name, description=about)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = [v for v in client.search_model_versions(f"name='{name}'") if v.run_id == run_id]
        version = versions[0] if versions else client.create_model_version(
            name, f"models:/{model_id}", run_id, model_id=model_id, description=about
        )  # fmt: skip
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)
