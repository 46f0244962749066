"""A logged model fetched from MLflow, with what its run says of it: the way back of `models`."""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import mlflow.artifacts
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from pipeline.errors import InputError
from pipeline.process import first_line
from pipeline.serving import ServedNetwork, load_served
from pipeline.tracking.models import CHAMPION
from pipeline.tracking.origin import Origin, read_origin
from pipeline.tracking.reader import load_record
from pipeline.tracking.store import RunStore


@dataclass(frozen=True, eq=False)
class FetchedModel:
    """A model and what it came from.

    network   from a table to predictions.
    variants  the file of its encoder's weights, where it needs genotypes and they are kept.
    metrics, params
              of its run, where the tracking store still has it.
    """

    address: str
    network: ServedNetwork
    origin: Origin
    variants: Path | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For a heading: `group_lasso c3 s5 of the study tumors`."""
        known = (("", "regularizer"), ("c", "configuration"), ("s", "seed"))
        words = [letter + self.params[key] for letter, key in known if key in self.params]
        return " ".join([*(words or ["a network"]), "of the study", self.origin.study])


def address_of(model: str) -> str:
    """MLflow's address of a model: a study's name alone means its champion."""
    if ":/" in model or Path(model).exists():
        return model
    name = re.sub(r"[/:%\"']", "_", model.removeprefix("lariat-"))
    return f"models:/lariat-{name}@{CHAMPION}"


def fetch_model(model: str | None = None) -> FetchedModel:
    """The model of a study's name, of an MLflow address (`models:/NAME@champion`, `models:/ID`,
    `runs:/…`) or in a folder; None for the champion of the newest study.

    Raises InputError where there is none, or it is not Lariat's.
    """
    if model is None:
        record = load_record()
        model = record.place or record.study
    address = address_of(model)
    local = Path(address).is_dir()
    store = None if local else RunStore(must_exist=True)
    with ExitStack() as copied:
        folder = Path(address)
        if not local:
            folder = Path(tempfile.mkdtemp(prefix="lariat-model-"))
            copied.callback(shutil.rmtree, folder, ignore_errors=True)
        network, origin, of_run = _read(address, folder, model)
        # Weights of variants are read when they are needed: the copy goes with the network.
        weakref.finalize(network, copied.pop_all().close)
    run = None if store is None else store.get(of_run)
    return FetchedModel(
        address=address,
        network=network,
        origin=origin,
        variants=network.variants,
        metrics={} if run is None else run.metrics,
        params={} if run is None else run.params,
    )


def _read(address: str, folder: Path, model: str) -> tuple[ServedNetwork, Origin, str]:
    """Of what is, or is copied, in a folder; and the id of the run."""
    try:
        if not Path(address).is_dir():
            folder = Path(mlflow.artifacts.download_artifacts(address, dst_path=str(folder)))
        described = Model.load(str(folder))
    except (MlflowException, OSError) as error:
        reason = first_line(error).rstrip(".")
        raise InputError(
            f"model must be a study's name, an address such as models:/lariat-STUDY@{CHAMPION}, or "
            f"a model's folder, but {model} cannot be had ({reason}); `mlflow ui` lists the models"
        ) from None
    data = described.flavors.get("python_function", {}).get("data")
    origin = None if data is None else read_origin(folder / data)
    if origin is None:
        raise InputError(
            f"model must be one that a study of Lariat logged, but {model} is not, or is of an "
            "older version; run the study anew, which logs it"
        )
    return load_served(str(folder / data)), origin, str(described.run_id)
