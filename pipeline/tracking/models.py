"""Networks as models in MLflow: logged, linked to their run and table, registered.

With `run_store` the only module that imports mlflow.
"""

from __future__ import annotations

import importlib.metadata
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from mlflow.entities import LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

from pipeline.tracking.store import RunStore

CHAMPION = "champion"
Refused = MlflowException
"""What a store raises that keeps no models."""

PACKAGE = Path(__file__).parents[1]
NEEDS = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy", "pyarrow", "joblib")


@dataclass(frozen=True)
class ModelToLog:
    """A model's folder and what is said of it.

    loader     the module whose `_load_pyfunc` loads `folder`.
    any_columns, number_columns
               of its input: of whatever type a table has them, and numbers.
    example    rows that no person has.
    metrics    name → value, of its run and of the table `dataset` (name, digest).
    """

    name: str
    run_id: str
    folder: Path
    loader: str
    any_columns: Sequence[str]
    number_columns: Sequence[str]
    outputs: Sequence[str]
    example: pd.DataFrame
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    dataset: tuple[str, str] | None = None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without MLflow's remarks on examples and on what it does next."""
    loggers = [logging.getLogger(name) for name in ("mlflow.models", "mlflow.pyfunc", "mlflow")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _requirements() -> list[str]:
    """Given, since MLflow would take 20 seconds to infer them."""
    return [f"{name}=={importlib.metadata.version(name)}" for name in NEEDS]


def _signature(model: ModelToLog) -> ModelSignature:
    """A table as read has a whole number where another has it with missing values: so any type."""
    inputs = [ColSpec(AnyType(), name) for name in model.any_columns]
    inputs += [ColSpec(DataType.double, name) for name in model.number_columns]
    outputs = [ColSpec(DataType.double, name) for name in model.outputs]
    return ModelSignature(Schema(inputs), Schema(outputs))


def logged_models(store: RunStore, experiment_id: str) -> dict[str, str]:
    """Run id → id of the model that was logged for it, of an experiment."""
    found, token = {}, None
    while True:
        page = store.client.search_logged_models([experiment_id], page_token=token)
        found |= {model.source_run_id: model.model_id for model in page}
        if not (token := page.token):
            return found


def log_model(store: RunStore, experiment_id: str, model: ModelToLog) -> str:
    """A model of a run, with the code it needs; returns its id."""
    client = store.client
    logged = client.create_logged_model(
        experiment_id,
        model.name,
        model.run_id,
        tags=dict(model.tags),
        params=dict(model.params),
        model_type="pyfunc",
    )
    with tempfile.TemporaryDirectory() as folder, _quietly():
        mlflow.pyfunc.save_model(
            f"{folder}/model",
            loader_module=model.loader,
            data_path=str(model.folder),
            code_paths=[str(PACKAGE)],
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                run_id=model.run_id,
                model_id=logged.model_id,
            ),
            signature=_signature(model),
            input_example=model.example,
            pip_requirements=_requirements(),
        )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(model.run_id, [LoggedModelOutput(logged.model_id, step=0)])
    name, digest = model.dataset or (None, None)
    end_ms = client.get_run(model.run_id).info.end_time
    client.log_batch(
        model.run_id,
        [
            Metric(key, value, end_ms, 0, logged.model_id, name, digest, model.run_id)
            for key, value in model.metrics.items()
        ],
    )
    return logged.model_id


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
        known = [v for v in client.search_model_versions(f"name='{name}'") if v.run_id == run_id]
        version = known[0] if known else client.create_model_version(
            name, f"models:/{model_id}", run_id, model_id=model_id, description=about
        )  # fmt: skip
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return str(version.version)
