"""Which Optuna storage a study's trials are kept in."""

from __future__ import annotations

import os

from pipeline.errors import InputError
from pipeline.process import has_password
from pipeline.tracking import RunStore

VARIABLE = "LARIAT_STORAGE"
DEFAULT = "sqlite:///optuna.db"


def storage_url(parameter: str | None) -> str:
    """The parameter, else what LARIAT_STORAGE says, else a file here.

    Raises InputError for a parameter of `mlflow run` with a password in it: `mlflow run` has
    written it into the tracking store, where it is masked, or else the run is deleted.
    """
    if parameter is None:
        return os.environ.get(VARIABLE) or DEFAULT
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id and has_password(parameter):
        what_was_done = RunStore().forget_parameter(run_id, "storage")
        raise InputError(
            f"a storage URL with a password must come from the environment variable {VARIABLE}, "
            "because `mlflow run` writes its parameters into the tracking store and shows them to "
            f"everyone on this machine, but got it as a parameter; set {VARIABLE} and leave "
            f"storage out. {what_was_done}"
        )
    return parameter
