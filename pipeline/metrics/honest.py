"""How good, without the luck of having chosen the best of many: scores of networks on resamples.

Every network of a resample is scored on people who had no say in it. Of these scores

- `nested` takes those of the configuration that is chosen anew within each resample, by people who
  picked the best epochs and are not scored: nested cross-validation where the resamples are folds
  (Varma and Simon 2006), and the same of repeated subsamples and bootstrap samples.
- `bias_corrected` chooses among the configurations' scores on left-out people themselves, and takes
  off what that is worth: bootstrap bias-corrected cross-validation (Tsamardinos, Greasidou and
  Borboudakis 2018).
- `optimism_corrected` takes off the score on the people who were seen what the same procedure gains
  on those it sees, over bootstrap samples (Efron 1983; Harrell, Lee and Mark 1996).

Intervals are percentiles over resampled people (`bootstrap`), networks held fixed.

Shapes: M networks, n development rows, R resamples, B = 500 bootstraps of people, C configurations.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.metrics import bootstrap


@dataclass(frozen=True, eq=False)
class Scored:
    """Networks trained on resamples, and what they say of the development people.

    configuration, seed, resample  (M,) integers
    validation   (M,) the metric on the people who picked the network's best epoch
    left_out     (M,) the metric on those who had no say; NaN where it is undefined
    predictions  (M, o, n) as `metrics.score` takes them, or None where they are lost
    times, picks  (R, n) how often a resample has each row, and whether the row picks best epochs
    outcome      (n,) class positions or quantities; people (n,) whose rows they are, or None
    """

    configuration: np.ndarray
    seed: np.ndarray
    resample: np.ndarray
    validation: np.ndarray
    left_out: np.ndarray
    predictions: np.ndarray | None
    times: np.ndarray
    picks: np.ndarray
    outcome: np.ndarray
    task: str
    metric: str
    maximize: bool
    people: np.ndarray | None = None

    def without_a_say(self, network: int | np.integer) -> np.ndarray:
        """Rows that neither trained it nor picked its best epoch."""
        resample = self.resample[network]
        return np.flatnonzero((self.times[resample] == 0) & ~self.picks[resample])

    def counts(self) -> np.ndarray:
        """(n, B) how often each row is in a bootstrap of the people."""
        return bootstrap.resamples_of(len(self.outcome), self.people)

    def resampled(
        self, network: int | np.integer, rows: np.ndarray, counts: np.ndarray
    ) -> np.ndarray:
        """(B,) a network's metric on some rows, each as often as the counts (n, B) have it."""
        assert self.predictions is not None
        predictions = self.predictions[network][:, rows]
        return bootstrap.resampled(
            self.metric, self.outcome[rows], predictions, self.task, counts[rows]
        )


@dataclass(frozen=True)
class Estimate:
    """A score, and its 95 % interval: NaN where it is unknown.

    chosen     configuration → in how many resamples it was chosen.
    trained_on mean number of rows in training, a repeated one as often as it is.
    """

    value: float
    low: float
    high: float
    chosen: Mapping[int, int]
    trained_on: float


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Without NaN; NaN of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of those that are finite."""
    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def chosen_within(scored: Scored) -> dict[int, int]:
    """Resample → the configuration with the best mean over seeds on its validation people, of those
    with the most networks; the lower number of two that are equal."""
    choices = {}
    sign = 1.0 if scored.maximize else -1.0
    for resample in np.unique(scored.resample):
        within = (scored.resample == resample) & np.isfinite(scored.validation)
        numbers, counts = np.unique(scored.configuration[within], return_counts=True)
        if not len(numbers):
            continue
        whole = numbers[counts == counts.max()]
        means = [
            sign * scored.validation[within & (scored.configuration == number)].mean()
            for number in whole
        ]
        choices[int(resample)] = int(whole[int(np.argmax(means))])
    return choices


def nested(scored: Scored) -> Estimate:
    """The mean over resamples of the left-out score of the configuration chosen within each.

    A resample's score is the mean over its seeds. No person who is scored had a say in the network
    or in the choice.
    """
    choices = chosen_within(scored)
    networks = [
        np.flatnonzero((scored.resample == resample) & (scored.configuration == configuration))
        for resample, configuration in choices.items()
    ]
    value = float(
        _mean(np.array([float(_mean(scored.left_out[of])) for of in networks] or [np.nan]))
    )
    low = high = float("nan")
    if scored.predictions is not None and networks:
        counts = scored.counts()
        drawn = [
            _mean(np.array([scored.resampled(i, rows, counts) for i in of]), axis=0)
            for of in networks
            if len(rows := scored.without_a_say(of[0]))
        ]
        low, high = percentiles(_mean(np.array(drawn), axis=0)) if drawn else (low, high)
    return Estimate(value, low, high, _counted(choices), _trained_on(scored, list(choices)))


def bias_corrected(scored: Scored) -> Estimate | None:
    """Bootstrap bias-corrected cross-validation; None without predictions.

    In each of B bootstraps of the people the configuration with the best mean score on left-out
    people is chosen by the people drawn, and scored on those not drawn. The value is the mean over
    bootstraps; its interval, percentiles over them, is a wide one, as each scores a third of the
    people.
    """
    if scored.predictions is None:
        return None
    counts = scored.counts()
    absent = (counts == 0).astype(counts.dtype)
    numbers = np.unique(scored.configuration)
    inside, outside = (np.full((len(numbers), counts.shape[1]), np.nan) for _ in range(2))
    for c, number in enumerate(numbers):
        of_it = np.flatnonzero(scored.configuration == number)
        rows_of = {i: scored.without_a_say(i) for i in of_it}
        for into, times in ((inside, counts), (outside, absent)):
            drawn = [scored.resampled(i, rows, times) for i, rows in rows_of.items() if len(rows)]
            if drawn:
                into[c] = _mean(np.array(drawn), axis=0)
    sign, usable = (1.0 if scored.maximize else -1.0), np.isfinite(inside).any(axis=0)
    ranked = np.where(np.isfinite(inside), sign * inside, -np.inf)
    choice = ranked.argmax(axis=0)
    values = np.where(usable, outside[choice, np.arange(len(choice))], np.nan)
    chosen, times_chosen = np.unique(numbers[choice[usable]], return_counts=True)
    return Estimate(
        float(_mean(values)),
        *percentiles(values),
        dict(zip(chosen.tolist(), times_chosen.tolist(), strict=True)),
        _trained_on(scored, np.unique(scored.resample).tolist()),
    )


def optimism_corrected(scored: Scored, apparent: float, trained_on: int) -> Estimate | None:
    """The apparent score less the optimism that bootstrap samples show; None without predictions.

    apparent: of the configuration that the same procedure chooses on the table itself, mean over
    seeds, on the rows that trained it, of which there are `trained_on`.

      corrected = apparent − mean over resamples b of (A_b(rows in training) − A_b(everyone))

    A_b is the mean over seeds of the configuration that is chosen within sample b: on its rows in
    training, each as often as it is drawn, and on all development people once. The interval is that
    of A_b(rows in training), moved to the corrected value (Noma et al. 2021).
    """
    if scored.predictions is None:
        return None
    everyone = np.arange(len(scored.outcome))
    choices = chosen_within(scored)
    seen, of_all = [], []
    for resample, configuration in choices.items():
        networks = np.flatnonzero(
            (scored.resample == resample) & (scored.configuration == configuration)
        )
        training = scored.times[resample] * ~scored.picks[resample]
        both = np.stack([training, np.ones_like(training)], axis=1)
        on_sample, on_all = np.mean([scored.resampled(i, everyone, both) for i in networks], axis=0)
        seen.append(on_sample)
        of_all.append(on_all)
    optimism = float(_mean(np.array(seen) - np.array(of_all)))
    corrected = apparent - optimism
    low, high = percentiles(np.array(seen) - float(_mean(np.array(seen))) + corrected)
    return Estimate(corrected, low, high, _counted(choices), float(trained_on))


def _counted(choices: Mapping[int, int]) -> dict[int, int]:
    numbers, counts = np.unique(list(choices.values()), return_counts=True)
    return {int(n): int(c) for n, c in zip(numbers, counts, strict=True)}


def _trained_on(scored: Scored, resamples: list[int]) -> float:
    """Rows of weight above 0 in training, mean over resamples; those that pick epochs are none."""
    times = scored.times[resamples] * ~scored.picks[resamples]
    return float(times.sum(axis=1).mean()) if len(resamples) else float("nan")
