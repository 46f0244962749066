"""What MLflow's migrations make of an empty SQLite file, as a script of SQL.

`python tests/oracles/mlflow_tables.py` writes it into `pipeline/tracking/templates/`, under the
revision that the migrations of the installed MLflow end with.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from mlflow.store.db.utils import _initialize_tables

TEMPLATES = Path(__file__).resolve().parents[2] / "pipeline/tracking/templates"


def made_by_migrations() -> tuple[str, str]:
    """(their last revision, the script)."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/mlflow.db")
        _initialize_tables(engine)
        engine.dispose()
        with closing(sqlite3.connect(f"{folder}/mlflow.db")) as database:
            ((revision,),) = database.execute("SELECT version_num FROM alembic_version")
            return str(revision), "\n".join(database.iterdump()) + "\n"


if __name__ == "__main__":
    name, script = made_by_migrations()
    for old in TEMPLATES.glob("mlflow_*.sql"):
        old.unlink()
    TEMPLATES.mkdir(exist_ok=True)
    sys.stdout.write(f"{TEMPLATES / f'mlflow_{name}.sql'}\n")
    (TEMPLATES / f"mlflow_{name}.sql").write_text(script)
