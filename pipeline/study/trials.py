"""The study's trials in Optuna's storage: what is asked, told, and already known.

A trial is one configuration with one seed, one network. Trials are asked in state RUNNING before a
population trains and told afterwards; this process alone asks and tells. Trials that a killed
process left RUNNING are ended as FAIL and their networks trained again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState, create_trial

from pipeline.errors import InputError
from pipeline.inspection import entropy_bits, solution_label
from pipeline.masking import masked
from pipeline.results import NetworkResult
from pipeline.search_space import ENTROPY, KEPT, Configuration, SearchSpace, frozen_params

Cell = tuple[int, int]
"""(configuration, seed): which network."""

_FAILURE, _SOLUTION = "failure", "solution"


class Told(NamedTuple):
    """Of one network: its validation score at the best epoch; and, in studies whose objectives need
    them, its number of kept variables there, and what is left of it at the last epoch."""

    score: float
    kept: float | None = None
    solution: str | None = None


def check_storage(storage: str) -> None:
    """InputError unless the storage is a URL that can be opened; makes no file."""
    try:
        url = sa.make_url(storage)
        file = url.database if url.get_backend_name() == "sqlite" else None
        if file and file != ":memory:" and not Path(file.removeprefix("file:")).parent.is_dir():
            raise OSError(f"there is no folder {Path(file).parent}")
        if file is None or Path(file).exists():
            engine = sa.create_engine(url)
            sa.inspect(engine).get_table_names()
            engine.dispose()
    except Exception as error:  # SQLAlchemy, drivers and URLs each raise their own
        raise _refused(storage, error) from error


def _refused(storage: str, error: Exception) -> InputError:
    reason = masked(error).strip().splitlines()[0]
    return InputError(
        "storage must be an Optuna storage URL that can be opened, such as sqlite:///optuna.db, "
        f"but got {masked(storage)!r}: {reason}"
    )


class Trials:
    """Ask and tell, by (configuration, seed).

    Raises InputError where the storage cannot be opened.
    """

    def __init__(self, space: SearchSpace, study_id: str, storage: str):
        self.space = space
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            self._study = optuna.create_study(
                study_name=f"{space.study} {study_id}",
                storage=storage,
                directions=self._directions(space),
                # Configurations come from `sampling`; this study only keeps the trials.
                sampler=optuna.samplers.RandomSampler(seed=0),
                load_if_exists=True,
            )
        except Exception as error:  # SQLAlchemy, drivers and URLs each raise their own
            raise _refused(storage, error) from error
        self._scores: dict[Cell, Told | None] = {}
        self.params: dict[int, Mapping[str, object]] = {}
        trials = self._study.get_trials(deepcopy=False)
        self._count = len(trials)
        for trial in trials:
            self._remember(trial)

    @staticmethod
    def _directions(space: SearchSpace) -> list[str]:
        """Of a network's own values; how its seeds disagree is no value of one network."""
        larger = (space.maximize, False) if KEPT in space.objectives else (space.maximize,)
        return ["maximize" if each else "minimize" for each in larger]

    def _remember(self, trial: FrozenTrial) -> None:
        if not {"configuration", "seed"} <= trial.params.keys():
            return
        cell = int(trial.params["configuration"]), int(trial.params["seed"])
        if trial.state == TrialState.COMPLETE:
            kept = trial.values[1] if len(trial.values) > 1 else None
            self._scores[cell] = Told(trial.values[0], kept, trial.user_attrs.get(_SOLUTION))
        elif trial.state == TrialState.FAIL and _FAILURE in trial.user_attrs:
            self._scores.setdefault(cell, None)
        elif trial.state == TrialState.RUNNING:
            self._study.tell(trial.number, state=TrialState.FAIL)
            return
        else:
            return
        self.params[cell[0]] = trial.params

    @property
    def finished(self) -> Mapping[Cell, Told | None]:
        """Networks that are done → what was told of them, None for one that diverged."""
        return self._scores

    def forget(self, cells: Iterable[Cell]) -> None:
        """Treat these networks as not done: their results are gone from the tracking store."""
        for cell in list(cells):
            self._scores.pop(cell, None)

    def scores(self) -> dict[int, tuple[float, ...] | None]:
        """Configurations of which every seed is done → the study's objectives, over the seeds that
        finished: a mean of validation scores or of kept variables, or the solutions' entropy."""
        seen = defaultdict(dict)
        for (configuration, seed), told in self._scores.items():
            seen[configuration][seed] = told
        found = {}
        for configuration, by_seed in seen.items():
            if all(seed in by_seed for seed in self.space.seeds):
                good = [by_seed[s] for s in self.space.seeds if by_seed[s] is not None]
                values = tuple(_over_seeds(o, good) for o in self.space.objectives)
                found[configuration] = values if good else None
        return found

    def best_mean(self) -> float | None:
        """The best so far of the study's first objective."""
        means = [values[0] for values in self.scores().values() if values is not None]
        if not means:
            return None
        return max(means) if self.space.maximized[0] else min(means)

    def ask(self, configuration: Configuration, seed: int) -> int:
        """The number of a new trial, RUNNING."""
        params, distributions = frozen_params(self.space, configuration, seed)
        self._study.add_trial(
            create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
        )
        self._count += 1
        return self._count - 1

    def give_up(self) -> None:
        """End the trials that were asked and not told: their networks will be trained again."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)

    def tell(self, number: int, cell: Cell, result: NetworkResult) -> None:
        """End a trial: COMPLETE with its values, or FAIL with the reason why there are none."""
        if result.failure is not None:
            self._note(number, _FAILURE, result.failure)
            self._study.tell(number, state=TrialState.FAIL)
            self._scores[cell] = None
            return
        score, kept, solution = result.metrics.get(self.space.objective), None, None
        if ENTROPY in self.space.objectives:
            solution = solution_label(result)
            self._note(number, _SOLUTION, solution)
        if KEPT in self.space.objectives:
            total = len(result.inputs.variable_names)
            kept = total - result.metrics["zeroed_variables"]
        self._study.tell(number, score if kept is None else [score, kept])
        self._scores[cell] = Told(score, kept, solution)

    def _note(self, number: int, key: str, text: str) -> None:
        trial = self._study.get_trials(deepcopy=False)[number]
        optuna.trial.Trial(self._study, trial._trial_id).set_user_attr(key, text)


def _over_seeds(objective: str, told: Sequence[Told]) -> float:
    """A configuration's value from those of its networks."""
    if objective == ENTROPY:
        return entropy_bits([str(t.solution) for t in told])
    values = [t.kept if objective == KEPT else t.score for t in told]
    return sum(values) / len(values) if values else math.nan
