"""Many trials in one transaction of Optuna's tables, in SQLite or PostgreSQL.

`Study.add_trial` takes a transaction for each and some thirty statements in it: 8 ms of processor
time a network, when the network itself took 40. The same rows, inserted together, take 0.1 ms, and
all of them are there or none. `TrialRows.of` looks at the tables first and is None when they are
not the ones known here: then trials are added by Optuna's own call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa
from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from pipeline.tracking import BUSY_MILLISECONDS, known_tables

COMPARED_VERSIONS = {"v3.2.0.a"}
"""Versions of Optuna's tables on which a test compares, row for row and in all tables, what is
written here with what Optuna writes."""

DIALECTS = ("sqlite", "postgresql")
COLUMNS = {
    "studies": {"study_id", "study_name"},
    "trials": {"trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"},
    "trial_values": {"trial_value_id", "trial_id", "objective", "value", "value_type"},
    "trial_params": {"param_id", "trial_id", "param_name", "param_value", "distribution_json"},
    "trial_user_attributes": {"trial_user_attribute_id", "trial_id", "key", "value_json"},
}


class TrialRows:
    """Adds trials that are over, with finite values and no attributes but the user's."""

    def __init__(self, engine: sa.Engine, tables: Mapping[str, sa.Table]) -> None:
        self._engine, self._tables = engine, tables

    @classmethod
    def of(cls, storage: RDBStorage) -> TrialRows | None:
        """None for a database of another kind or version."""
        engine = storage.engine
        if engine.dialect.name not in DIALECTS:
            return None
        if storage.get_current_version() not in COMPARED_VERSIONS:
            return None
        tables = known_tables(engine, COLUMNS)
        if tables is None:
            return None
        same = all(set(tables[name].columns.keys()) == COLUMNS[name] for name in COLUMNS)
        return cls(engine, tables) if same else None

    def add(self, study_id: int, trials: Sequence[FrozenTrial]) -> int:
        """Add them in this order; returns the number of the first."""
        studies, rows = self._tables["studies"], self._tables["trials"]
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            # Changes nothing, but nobody else numbers trials of this study until the end.
            connection.execute(
                studies.update().where(studies.c.study_id == study_id).values(study_id=study_id)
            )
            first = connection.execute(
                sa.select(sa.func.count()).where(rows.c.study_id == study_id)
            ).scalar_one()
            ids = connection.execute(
                rows.insert().returning(rows.c.trial_id, sort_by_parameter_order=True),
                [
                    {
                        "number": first + i,
                        "study_id": study_id,
                        "state": trial.state.name,
                        "datetime_start": _utc(trial.datetime_start),
                        "datetime_complete": _utc(trial.datetime_complete),
                    }
                    for i, trial in enumerate(trials)
                ],
            ).scalars()
            of_table: dict[str, list[dict]] = {}
            for trial_id, trial in zip(ids, trials, strict=True):
                for table, belonging in _belonging(trial).items():
                    of_table.setdefault(table, []).extend(
                        {"trial_id": trial_id, **row} for row in belonging
                    )
            for table, belonging in of_table.items():
                if belonging:
                    connection.execute(self._tables[table].insert(), belonging)
        return first


def _belonging(trial: FrozenTrial) -> dict[str, list[dict]]:
    """Table → the rows that belong to a trial."""
    values = enumerate(trial.values or ())
    return {
        "trial_values": [
            {"objective": i, "value": value, "value_type": "FINITE"} for i, value in values
        ],
        "trial_params": [
            {
                "param_name": name,
                "param_value": distribution.to_internal_repr(trial.params[name]),
                "distribution_json": distribution_to_json(distribution),
            }
            for name, distribution in trial.distributions.items()
        ],
        "trial_user_attributes": [
            {"key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()
        ],
    }


def _utc(time: datetime | None) -> datetime | None:
    """A local time as the tables have it."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
