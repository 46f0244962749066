"""SearchSpace → configurations, by Optuna's samplers. Touches no file and no database.

Seeds are replicates: Optuna learns of a configuration alone, its mean over seeds, or how far they
disagree; of two objectives, both.

Every combination of the crossed keys has an in-memory Optuna study of its own. All draw from the
same `sampler_seed`, so they meet the same values and can be compared pairwise. Numbers go round by
round: the first configuration of each combination in turn, then the second of each combination that
has one, and so on. A combination in which nothing remains to be sampled has one round, a finite one
as many as it has distinct configurations. So a number never depends on `configurations`.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection as Direction
from optuna.trial import TrialState, create_trial

from pipeline.networks import LAMBDAS, REGULARIZERS
from pipeline.search_space.combinations import (
    Combination,
    as_recorded,
    at_quantile,
    combinations,
    grid_axis,
    signature,
)
from pipeline.search_space.space import Range
from pipeline.search_space.study_file import NetworkSettings, SearchSpace, TrainingSettings

TPE_STARTUP_ROUNDS = 8
TPE_BATCH_ROUNDS = 4
_REDRAWS = 64
_LARGEST_SEED = 2**31 - 1
Score = float | Sequence[float] | None


Settings = TypeVar("Settings", NetworkSettings, TrainingSettings)


@dataclass(frozen=True)
class Configuration:
    """One setting of everything but the seed.

    number  position in the study, from 0; the same on resumption and for more `configurations`.
    params  `regularizer lambda_l1 lambda_l2 lambda_group inputs` and every key of network and
            training, as text or numbers: inputs `clinical+genetic`, hidden_layer_sizes `[50]`. A
            lambda that the regularizer does not use is exactly 0.0.
    """

    number: int
    params: Mapping[str, str | int | float]
    inputs: tuple[str, ...]
    network: NetworkSettings
    training: TrainingSettings


class _WithinKnownSpace:
    """Optuna's samplers infer the space from finished trials, so the first trials would come from
    independent random draws; here the space is known from the start."""

    def __init__(self, known_space: Mapping[str, BaseDistribution], **settings: object) -> None:
        super().__init__(**settings)
        self._known_space = dict(known_space)

    def infer_relative_search_space(self, study, trial) -> dict[str, BaseDistribution]:
        return dict(self._known_space)


class _QMC(_WithinKnownSpace, optuna.samplers.QMCSampler):
    pass


class _TPE(_WithinKnownSpace, optuna.samplers.TPESampler):
    pass


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Optuna's information and warnings, which do not concern the user."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)


def _distribution(key: str, values: tuple | Range) -> BaseDistribution:
    """What a sampler draws `key` from."""
    if not isinstance(values, Range):
        return CategoricalDistribution([as_recorded(key, value) for value in values])
    with _quietly():
        if values.integer:
            low, high, step = int(values.low), int(values.high), int(values.step or 1)
            return IntDistribution(low, high, log=values.log, step=step)
        return FloatDistribution(values.low, values.high, log=values.log, step=values.step)


@dataclass
class _Progress:
    """How far a combination has come.

    numbers  the configuration number of each of its rounds.
    drawn    what its score-free sequence gave so far, distinct, and the signatures of that.
    chosen   round → its values, drawn or recorded earlier.
    """

    combination: Combination
    distributions: dict[str, BaseDistribution]
    numbers: list[int] = field(default_factory=list)
    sequence: Iterator[dict[str, Any]] | None = None
    drawn: list[dict[str, Any]] = field(default_factory=list)
    signatures: set[tuple] = field(default_factory=set)
    chosen: dict[int, dict[str, Any]] = field(default_factory=dict)


class Sampling:
    """The configurations of a study, in the order of their numbers.

    recorded: configuration number → its recorded params, from an earlier session of the same study;
    they are taken as they are instead of being drawn again. For `qmc`, `random` and `grid` the
    draws repeat exactly without it. `tpe` needs it to repeat them when the scores that led to them
    have changed since, as with more seeds.

    With `tpe` the first 8 rounds of a combination are quasi-random; after them, every 4 rounds form
    a batch, drawn by TPE from the scores of all earlier rounds of the combination. A configuration
    of which every network failed counts as the worst of its combination.
    """

    def __init__(
        self,
        space: SearchSpace,
        recorded: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        self.space = space
        rounds = []
        for combination in combinations(space):
            free = combination.free.items()
            progress = _Progress(combination, {key: _distribution(key, v) for key, v in free})
            rounds.append((progress, combination.counts(space.sampler == "grid")))
        self._schedule: list[tuple[_Progress, int]] = []
        for round_ in range(space.configurations):
            for progress, count in rounds:
                if round_ < count:
                    progress.numbers.append(len(self._schedule))
                    self._schedule.append((progress, round_))
        for number, params in (recorded or {}).items():
            if 0 <= number < len(self._schedule):
                progress, round_ = self._schedule[number]
                progress.chosen[round_] = _recorded(progress.combination, number, params)

    @property
    def total(self) -> int:
        """How many configurations the study has: `configurations` a combination, or all it has."""
        return len(self._schedule)

    def next(
        self, finished: Mapping[int, Score], at_most: int | None = None
    ) -> list[Configuration]:
        """Configurations that can be trained now and are not in `finished`, by number.

        finished: configuration number → its score over its seeds, of two objectives both, or None
        if every network failed. Nothing is remembered as handed out: what is not finished comes
        again. Empty if and only if all are finished.
        """
        ready: list[Configuration] = []
        for number, (progress, round_) in enumerate(self._schedule):
            if at_most is not None and len(ready) >= at_most:
                break
            if number in finished:
                continue
            effective = self._effective(progress, round_, finished)
            if effective is not None:
                ready.append(_configuration(self.space, number, effective))
        return ready

    def _effective(
        self, progress: _Progress, round_: int, finished: Mapping[int, Score]
    ) -> dict[str, Any] | None:
        """The values of a combination's round; None if they need scores that are not there yet."""
        if round_ not in progress.chosen:
            if self.space.sampler == "tpe" and round_ >= TPE_STARTUP_ROUNDS:
                start = round_ - (round_ - TPE_STARTUP_ROUNDS) % TPE_BATCH_ROUNDS
                if any(number not in finished for number in progress.numbers[:start]):
                    return None
                progress.chosen[round_] = self._from_scores(progress, start, round_, finished)
            else:
                progress.chosen[round_] = self._from_sequence(progress, round_)
        return progress.chosen[round_]

    def _from_sequence(self, progress: _Progress, round_: int) -> dict[str, Any]:
        """The round's distinct element of the combination's sequence."""
        if progress.sequence is None:
            progress.sequence = self._sequence(progress)
        redraws = None if self.space.sampler == "grid" else _REDRAWS
        while len(progress.drawn) <= round_:
            draws = itertools.islice(progress.sequence, redraws)
            effective = _untaken(progress.combination, draws, progress.signatures)
            progress.drawn.append(effective)
            progress.signatures.add(signature(effective))
        return progress.drawn[round_]

    def _sequence(self, progress: _Progress) -> Iterator[dict[str, Any]]:
        """Endless draws that depend on no score."""
        if not progress.combination.free:
            yield from itertools.repeat({})
        seed = self.space.sampler_seed
        with _quietly():
            if self.space.sampler == "grid":
                free = progress.combination.free
                axes = {key: grid_axis(key, values) or [] for key, values in free.items()}
                sampler: BaseSampler = optuna.samplers.GridSampler(axes, seed=seed)
            elif self.space.sampler == "random":
                sampler = optuna.samplers.RandomSampler(seed=seed)
            else:
                sampler = _QMC(progress.distributions, scramble=True, seed=seed)
            study = optuna.create_study(sampler=sampler)
        yield from _asked(study, progress.distributions)

    def _from_scores(
        self,
        progress: _Progress,
        start: int,
        round_: int,
        finished: Mapping[int, Score],
    ) -> dict[str, Any]:
        """TPE's draw for a round, given the scores before its batch and the batch's earlier draws.

        A pure function of those: the study is rebuilt, and the sampler seeded by the round.
        """
        scores = [_values(finished[number]) for number in progress.numbers[:start]]
        usable = [values for values in scores if values]
        larger = self.space.maximized
        worst = [
            (min if is_better else max)((values[i] for values in usable), default=0.0)
            for i, is_better in enumerate(larger)
        ]
        seed = np.random.SeedSequence([self.space.sampler_seed, round_]).generate_state(1)[0]
        with _quietly():
            sampler = _TPE(progress.distributions, n_startup_trials=0, seed=int(seed))
            directions = [Direction.MAXIMIZE if better else Direction.MINIMIZE for better in larger]
            study = optuna.create_study(directions=directions, sampler=sampler)
        for earlier in range(round_):
            values = self._effective(progress, earlier, finished)
            assert values is not None  # a round that is asked for has its scores
            recorded: dict[str, Any] = {
                "params": self._completed(progress.combination, values, earlier),
                "distributions": progress.distributions,
            }
            if earlier >= start:
                study.add_trial(create_trial(state=TrialState.RUNNING, **recorded))
            else:
                study.add_trial(create_trial(values=scores[earlier] or worst, **recorded))
        taken = {signature(values) for values in progress.chosen.values()}
        draws = itertools.islice(_asked(study, progress.distributions), _REDRAWS)
        return _untaken(progress.combination, draws, taken)

    def _completed(
        self, combination: Combination, effective: Mapping[str, Any], round_: int
    ) -> dict[str, Any]:
        """A configuration's values with unused ones drawn anew, uniformly: they had no influence,
        and a constant in their place would look to TPE like a preference."""
        generator = np.random.default_rng([self.space.sampler_seed, round_])
        values: dict[str, Any] = {}
        for key, possible in combination.free.items():
            unused = at_quantile(possible, generator.random())
            values[key] = as_recorded(key, effective.get(key, unused))
        return values


def _values(score: Score) -> list[float]:
    """The scores that Optuna gets; empty where nothing finite is known."""
    values = [score] if isinstance(score, (int, float)) else list(score or ())
    return values if all(math.isfinite(value) for value in values) else []


def _asked(
    study: optuna.Study, distributions: Mapping[str, BaseDistribution]
) -> Iterator[dict[str, Any]]:
    """Endless draws of a study's sampler."""
    while True:
        with _quietly():
            drawn = study.ask(dict(distributions)).params
        yield drawn


def _untaken(
    combination: Combination, draws: Iterable[dict[str, Any]], taken: Collection[tuple]
) -> dict[str, Any]:
    """The first draw that no configuration has yet; where the sampler gives none, any other."""
    for drawn in itertools.chain(draws, combination.others(seed=len(taken))):
        effective = combination.effective(drawn)
        if signature(effective) not in taken:
            return effective
    raise RuntimeError(f"no further configuration was found after {len(taken)}")


def _recorded(combination: Combination, number: int, params: Mapping[str, Any]) -> dict[str, Any]:
    """Recorded params → effective values. Raises ValueError if they are of another study."""
    effective = combination.effective(params)
    for key, value in effective.items():
        if value is None or params.get(key, as_recorded(key, value)) != as_recorded(key, value):
            raise ValueError(
                f"configuration {number} must have the study's `{key}`, "
                f"but was recorded with {params.get(key)!r}"
            )
    return effective


def _laid_over(settings: Settings, effective: Mapping[str, Any]) -> Settings:
    """The settings, with the values that are theirs."""
    fields = type(settings).model_fields
    return settings.model_copy(update={k: v for k, v in effective.items() if k in fields})


def _configuration(space: SearchSpace, number: int, effective: Mapping[str, Any]) -> Configuration:
    """Effective values laid over the study's network and training."""
    network, training = _laid_over(space.network, effective), _laid_over(space.training, effective)
    if training.patience is None:
        training = training.model_copy(update={"patience": training.epochs})
    params = {
        "regularizer": effective["regularizer"],
        **{name: float(effective.get(name, 0.0)) for name in LAMBDAS},
        "inputs": as_recorded("inputs", effective["inputs"]),
        **{key: as_recorded(key, value) for key, value in (*network, *training)},
    }
    return Configuration(number, params, effective["inputs"], network, training)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """What the params of the study's persistent trials are recorded under.

    They hold for every configuration and seed of the study, also when both grow: the regularizer
    over all six, a lambda of the space from 0 to its largest value, any seed, any configuration,
    and every other searched key as it is searched (and as the constant where a configuration has
    no use of it). A param costs three statements in every trial: lambdas that no configuration has
    are left out.
    """
    recorded: dict[str, BaseDistribution] = {"regularizer": CategoricalDistribution(REGULARIZERS)}
    for name in (name for name in LAMBDAS if name in space.space):
        values = space.space[name]
        recorded[name] = FloatDistribution(
            0.0, values.high if isinstance(values, Range) else max(values)
        )
    for key, values in space.space.items():
        if key not in recorded:
            constant = getattr(space.network, key, getattr(space.training, key, None))
            unused = (constant,) if key.startswith("genetic_") else ()
            recorded[key] = _recording(key, values, unused)
    recorded["seed"] = IntDistribution(0, _LARGEST_SEED)
    recorded["configuration"] = IntDistribution(0, _LARGEST_SEED)
    if space.resamples is not None:
        recorded["resample"] = IntDistribution(0, _LARGEST_SEED)
    return recorded


def _recording(key: str, values: tuple | Range, unused: tuple) -> BaseDistribution:
    """A distribution that contains all values of a key and its value where it is unused."""
    if not isinstance(values, Range):
        return CategoricalDistribution(
            [as_recorded(key, value) for value in dict.fromkeys((*values, *unused))]
        )
    low, high = min((values.low, *unused)), max((values.high, *unused))
    if values.integer and low == int(low):
        return IntDistribution(int(low), int(high), log=values.log)
    return FloatDistribution(low, high, log=values.log and low > 0)


def frozen_params(
    space: SearchSpace, configuration: Configuration, seed: int
) -> tuple[dict[str, str | int | float], dict[str, BaseDistribution]]:
    """(params, distributions) of a network's trial, for `optuna.trial.create_trial`."""
    recorded = distributions(space)
    values = {
        **configuration.params,
        "seed": seed,
        "configuration": configuration.number,
    }
    return {key: values[key] for key in recorded}, recorded
