"""MLflow's client for a tracking store, whose tables are made where there are none."""

from __future__ import annotations

from mlflow.store.db.utils import _verify_schema
from mlflow.tracking import MlflowClient

from pipeline.errors import InputError
from pipeline.process import masked
from pipeline.tracking.databases import database_trouble, one_at_a_time, require_connection
from pipeline.tracking.local_sqlite import make_whole, refuse_foreign


def connect(uri: str) -> MlflowClient:
    """A client, with the database made where there is none, quietly.

    Raises InputError, in seconds, where it cannot be used. The tables of another version of MLflow
    stay as they are, where MLflow's own start would bring a whole team's up to its own.
    """
    try:
        make_whole(uri, _make_database)
        refuse_foreign(uri, "mlflow")
        with one_at_a_time(uri):
            require_connection(uri, "mlflow", _verify_schema)
            return MlflowClient(uri)
    except InputError:
        raise
    except Exception as error:  # Alembic, SQLAlchemy, drivers and folders each raise their own
        raise InputError(f"the tracking store {masked(uri)} {database_trouble(error)}") from error


def _make_database(uri: str) -> None:
    """MLflow's tables in a new file, which is closed again."""
    store = MlflowClient(uri)._tracking_client.store
    store.engine.dispose()
