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

Intervals are percentiles over resampled people (`bootstrap`), networks held fixed, and then widened
or narrowed about the value:

- By `times_wider` where networks of different resamples are scored. Networks held fixed, a pair of
  people of whom one was scored by what the other taught counts once; but where each was scored by
  what the other taught, both scores err alike, so that the pair counts twice (scores of resamples
  are incomplete U-statistics: Fuchs, Hornung, De Bin and Boulesteix 2013). On folds of noise this
  doubles the variance; the naive interval covers 83 % there (Bates, Hastie and Tibshirani 2024).
- Those of `bias_corrected` are from people not drawn, m of n on average: as those of a jackknife
  that keeps m, their deviations are √(m/(n − m)) times as large (Shao and Wu 1989).
- That of `optimism_corrected` begins no higher than that of `nested`: bootstrap samples show too
  little of the optimism of a procedure that fits much (Efron and Tibshirani 1997).

There is none of fewer people than `bootstrap.enough` says, and of `optimism_corrected` none from
fewer than FEWEST_SAMPLES samples. What they cover is simulated: docs/coverage.md.

Shapes: M networks, n development rows, R resamples, B = 500 bootstraps of people, C configurations.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.metrics import bootstrap

FEWEST_SAMPLES = 20
"""Bootstrap samples from which on there is an interval of `optimism_corrected`."""


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

    def enough(self) -> bool:
        """Whether there are people enough for an interval."""
        return bootstrap.enough(self.outcome, self.task, self.people)

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


def _about(
    scored: Scored, value: float, ends: tuple[float, float], times: float
) -> tuple[float, float]:
    """Ends `times` as far from the value, and none where no score can be."""
    low, high = (value + times * (end - value) for end in ends)
    return (low, min(high, 1.0)) if scored.maximize else (max(low, 0.0), high)


def times_wider(scored: Scored, networks: Sequence[np.ndarray]) -> float:
    """√(1 + c·ρ), by which an interval with networks held fixed is too narrow.

    networks: of each resample r those that are scored. With t_r (n,) the training people's shares
    in its training, l_r (n,) those of people without a say in its score, and A = Σ_r l_r·t_rᵀ who
    is scored by what whom taught,

        c = Σ_ij A_ij·A_ji / Σ_ij A_ij²      how many of these pairs go both ways
        ρ = Σ_rs (1 − cor_rs) / Σ_rs (1 − q_rs)      what of predictions is these people's chance

    cor_rs is the correlation of two resamples' predictions, q_rs = t_r·t_s/(‖t_r‖·‖t_s‖). Networks
    whose training people are others have ρ = 1 where they have nothing in common but chance. Exact
    of predictions that are linear in what each person teaches, a signal and noise.
    """
    assert scored.predictions is not None
    shown, taught, left_out = [], [], []
    for of in networks:
        mean = scored.predictions[of].astype(np.float64).mean(axis=0)
        mean = (mean - mean.mean(axis=1, keepdims=True)).ravel()
        rows = scored.without_a_say(of[0])
        length = float(np.linalg.norm(mean))
        if np.isfinite(length) and length > 0 and len(rows):
            shown.append(mean / length)
            resample = scored.resample[of[0]]
            weights = scored.times[resample] * ~scored.picks[resample]
            taught.append(weights / max(int(weights.sum()), 1))
            left_out.append(np.bincount(rows, minlength=len(weights)) / len(rows))
    if len(shown) < 2:
        return np.sqrt(2.0)
    p, t, out = (np.array(each) for each in (shown, taught, left_out))
    across, both = t @ out.T, t @ t.T
    c = float(np.sum(across * across.T) / np.sum((out @ out.T) * both))
    lengths = np.sqrt(np.diag(both))
    apart = float(np.sum(1.0 - both / np.outer(lengths, lengths)))
    unlike = float(np.sum(1.0 - p @ p.T))
    return float(np.sqrt(1.0 + c * min(1.0, unlike / apart if apart > 1e-9 else 1.0)))


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
    if scored.predictions is not None and networks and scored.enough():
        counts = scored.counts()
        drawn = [
            _mean(np.array([scored.resampled(i, rows, counts) for i in of]), axis=0)
            for of in networks
            if len(rows := scored.without_a_say(of[0]))
        ]
        if drawn:
            ends = percentiles(_mean(np.array(drawn), axis=0))
            low, high = _about(scored, value, ends, times_wider(scored, networks))
    return Estimate(value, low, high, _counted(choices), _trained_on(scored, list(choices)))


def bias_corrected(scored: Scored) -> Estimate | None:
    """Bootstrap bias-corrected cross-validation; None without predictions.

    In each of B bootstraps of the people the configuration with the best mean score on left-out
    people is chosen by the people drawn, and scored on those not drawn. The value is the mean over
    bootstraps; its interval is of percentiles over them.
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
    value, share = float(_mean(values)), float(absent.mean())
    ends = percentiles(values) if scored.enough() else (float("nan"), float("nan"))
    return Estimate(
        value,
        *_about(scored, value, ends, np.sqrt(share / (1.0 - share))),
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
    of A_b(rows in training), moved to the corrected value (Noma et al. 2021), and reaches to where
    that of `nested` begins.
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
    low = high = float("nan")
    if scored.enough() and len(seen) >= FEWEST_SAMPLES:
        low, high = percentiles(np.array(seen) - float(_mean(np.array(seen))) + corrected)
        left_out = nested(scored)
        if scored.maximize:
            low, high = np.fmin(low, left_out.low), min(high, 1.0)
        else:
            low, high = max(low, 0.0), np.fmax(high, left_out.high)
    return Estimate(corrected, float(low), float(high), _counted(choices), float(trained_on))


def _counted(choices: Mapping[int, int]) -> dict[int, int]:
    numbers, counts = np.unique(list(choices.values()), return_counts=True)
    return {int(n): int(c) for n, c in zip(numbers, counts, strict=True)}


def _trained_on(scored: Scored, resamples: list[int]) -> float:
    """Rows of weight above 0 in training, mean over resamples; those that pick epochs are none."""
    times = scored.times[resamples] * ~scored.picks[resamples]
    return float(times.sum(axis=1).mean()) if len(resamples) else float("nan")
