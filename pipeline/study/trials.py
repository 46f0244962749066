"""The study's networks in Optuna's storage: one ended trial a recorded network.

Trials are made from the recorded runs: one is added once its network's run is there, whole or not
at all, and trials that the storage lacks are added at the next start. No trial is ever RUNNING, and
none is counted twice. Numbers are the storage's.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.errors import InputError
from pipeline.process import first_line, masked
from pipeline.results import ReplicateKey, replicate_key
from pipeline.search_space import ENTROPY, KEPT, SearchSpace
from pipeline.search_space import distributions as distributions_of
from pipeline.study.scores import Outcome
from pipeline.study.trial_rows import TrialRows
from pipeline.tracking import (
    database_trouble,
    make_whole,
    one_at_a_time,
    refuse_foreign,
    require_connection,
)

RESAMPLE = "resample"
_FAILURE, _SOLUTION, _RUN = "failure", "solution", "run_id"
_GIVEN_UP = "given_up"
"""Of a failed trial: no worker lived to train its network."""
Direction = Literal["minimize", "maximize"]


def check_storage(storage: str) -> None:
    """InputError unless the storage is a URL that can be opened; makes no file."""
    try:
        url = sa.make_url(storage)
        file = url.database if url.get_backend_name() == "sqlite" else None
        if file and file != ":memory:" and not Path(file.removeprefix("file:")).parent.is_dir():
            raise OSError(f"there is no folder {Path(file).parent}")
        require_connection(storage, "optuna")
        if file is None or Path(file).exists():
            engine = sa.create_engine(url)
            sa.inspect(engine).get_table_names()
            engine.dispose()
    except Exception as error:  # SQLAlchemy, drivers and URLs each raise their own
        raise refused_storage(storage, error) from error


def make_storage(storage: str) -> None:
    """The database of a storage that is a file, where there is none: whole or not at all."""
    try:
        make_whole(storage, _make_tables)
        refuse_foreign(storage, "optuna")
        with one_at_a_time(storage):
            require_connection(storage, "optuna")
            open_storage(storage).engine.dispose()
    except InputError:
        raise
    except Exception as error:
        raise refused_storage(storage, error) from error


def open_storage(storage: str) -> optuna.storages.RDBStorage:
    """Optuna's storage of a URL; connections that a server has closed since are replaced."""
    is_file = sa.make_url(storage).get_backend_name() == "sqlite"
    return optuna.storages.RDBStorage(
        storage, engine_kwargs=None if is_file else {"pool_pre_ping": True}
    )


def _make_tables(storage: str) -> None:
    """Optuna's tables in a new database, which is closed again."""
    database = open_storage(storage)
    database.remove_session()
    database.engine.dispose()


def refused_storage(storage: str, error: Exception) -> InputError:
    """What is wrong with a storage, in a sentence."""
    what = "storage must be an Optuna storage URL that can be opened, such as sqlite:///optuna.db"
    if type(error) is sa.exc.ArgumentError:  # it is no URL
        return InputError(f"{what}, but got {masked(storage)!r}: {masked(first_line(error))}")
    return InputError(f"{what}, but {masked(storage)} {database_trouble(error)}")


class Trials:
    """The trials of a study, by configuration, seed and resample.

    Raises InputError where the storage cannot be opened.
    """

    def __init__(self, space: SearchSpace, study_id: str, storage: str):
        self.space = space
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        name = f"{space.study} {study_id}"
        try:
            opened = open_storage(storage)
            self._study = optuna.create_study(
                study_name=name,
                storage=opened,
                directions=_directions(space),
                # Configurations come from `sampling`; this study only keeps the trials.
                sampler=optuna.samplers.RandomSampler(seed=0),
                load_if_exists=True,
            )
            self._study_id = opened.get_study_id_from_name(name)
            self._rows = TrialRows.of(opened)
        except Exception as error:  # SQLAlchemy, drivers and URLs each raise their own
            raise refused_storage(storage, error) from error
        self.numbers: dict[ReplicateKey, int] = {}
        self.next_number = 0
        self._adding = False
        self._leaving = threading.Event()
        self._read_numbers(of_earlier_starts=True)

    def _read_numbers(self, of_earlier_starts: bool = False) -> None:
        # Networks that an earlier start gave up get a new trial.
        # Trials are over when they are added, so that those seen before are as they were.
        for trial in self._study.get_trials(deepcopy=False)[self.next_number :]:
            self.next_number = max(self.next_number, trial.number + 1)
            if of_earlier_starts and _GIVEN_UP in trial.user_attrs:
                continue
            if (key := _replicate_key(trial)) is not None:
                self.numbers.setdefault(key, trial.number)
        self._adding = False

    def add(self, outcomes: Sequence[Outcome]) -> dict[str, int]:
        """Trials of recorded networks that have none; run id → number of the network's trial."""
        if self._adding:  # an earlier call failed: some of its trials may be there
            self._read_numbers()
        missing = [outcome for outcome in outcomes if outcome.replicate_key not in self.numbers]
        self._adding = bool(missing)
        if self._rows is None:
            for outcome in missing:
                if self._leaving.is_set():
                    break
                self._study.add_trial(self._trial(outcome))
            if missing:
                self._read_numbers()
        elif missing and not self._leaving.is_set():
            first = self._rows.add(self._study_id, [self._trial(o) for o in missing])
            for number, outcome in enumerate(missing, first):
                self.numbers.setdefault(outcome.replicate_key, number)
            self.next_number = first + len(missing)
            self._adding = False
        return {
            o.run_id: self.numbers[key]
            for o in outcomes
            if (key := o.replicate_key) in self.numbers
        }

    def leave(self) -> None:
        """From now on `add` adds nothing, also where it is at it in another thread."""
        self._leaving.set()

    def _trial(self, outcome: Outcome) -> FrozenTrial:
        distributions = {
            name: distribution
            for name, distribution in distributions_of(self.space).items()
            if name in outcome.params or name != RESAMPLE  # the table's own networks have none
        }
        attributes = {_RUN: outcome.run_id}
        values = None
        if outcome.score is None or not math.isfinite(outcome.score.score):
            attributes[_FAILURE] = outcome.failure or "no score"
            if outcome.is_given_up:
                attributes[_GIVEN_UP] = "yes"
        else:
            values = [outcome.score.score]
            if KEPT in self.space.objectives:
                values.append(outcome.score.kept)
            if ENTROPY in self.space.objectives:
                attributes[_SOLUTION] = outcome.score.solution
        return create_trial(
            state=TrialState.FAIL if values is None else TrialState.COMPLETE,
            values=values,
            params={name: outcome.params[name] for name in distributions},
            distributions=distributions,
            user_attrs=attributes,
        )


def _directions(space: SearchSpace) -> list[Direction]:
    """Of the values of a network; how far seeds disagree is no value of one network."""
    larger = (space.maximize, False) if KEPT in space.objectives else (space.maximize,)
    return ["maximize" if each else "minimize" for each in larger]


def _replicate_key(trial: FrozenTrial) -> ReplicateKey | None:
    """Of a trial that ended with its network: COMPLETE, or FAIL with the network's reason."""
    failed = trial.state == TrialState.FAIL and _FAILURE in trial.user_attrs
    if not (failed or trial.state == TrialState.COMPLETE):
        return None
    if not {"configuration", "seed"} <= trial.params.keys():
        return None
    return replicate_key(trial.params)
