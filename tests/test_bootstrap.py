"""Metrics on resamples are scikit-learn's with the resample's counts as row weights."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from pipeline.metrics.bootstrap import interval, resampled, resamples, resamples_for, resamples_of
from pipeline.metrics.metrics import OF_TASK
from pipeline.serving import probabilities

ROWS, TIMES = 100, resamples(100, 40)  # enough for every metric
RNG = np.random.default_rng(3)
Z = RNG.normal(size=(3, ROWS)).round(1)  # rounded, so that scores are tied
OUTCOME = {
    "binary": (Z[0] + RNG.normal(size=ROWS) > 0).astype(int),
    "multiclass": (Z + RNG.normal(size=(3, ROWS))).argmax(axis=0),
    "regression": 1e4 + Z[0] + RNG.normal(size=ROWS),
}
PREDICTIONS = {"binary": Z[:1], "multiclass": Z, "regression": 1e4 + Z[:1]}


def by_sklearn(metric, task, weights):
    y, seen = OUTCOME[task], probabilities(PREDICTIONS[task], task)
    guess = (
        (seen >= 0.5) if task == "binary" else seen.argmax(axis=1) if task == "multiclass" else 0
    )
    if metric == "auroc":
        if task == "binary":
            return sk.roc_auc_score(y, seen, sample_weight=weights)
        each = [sk.roc_auc_score(y == c, seen[:, c], sample_weight=weights) for c in range(3)]
        return np.mean(each)
    if metric == "average_precision":
        return sk.average_precision_score(y, seen, sample_weight=weights)
    if metric == "log_loss":
        return sk.log_loss(y, seen, sample_weight=weights, labels=np.unique(y))
    if metric == "balanced_accuracy":
        drawn = np.repeat(np.arange(ROWS), weights)
        return sk.balanced_accuracy_score(y[drawn], guess[drawn])
    if metric == "accuracy":
        return sk.accuracy_score(y, guess, sample_weight=weights)
    return getattr(sk, f"{metric}_score" if metric == "r2" else metric)(
        y, seen, sample_weight=weights
    )


@pytest.mark.parametrize(("task", "metric"), [(t, m) for t, own in OF_TASK.items() for m in own])
def test_a_resampled_metric_is_scikit_learns_on_those_rows(task, metric):
    got = resampled(metric, OUTCOME[task], PREDICTIONS[task], task, TIMES)
    wanted = [by_sklearn(metric, task, TIMES[:, b]) for b in range(TIMES.shape[1])]
    np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-6)


def test_every_resample_has_as_many_rows_as_there_are_and_all_networks_see_the_same():
    assert (resamples(848).sum(axis=0) == 848).all()
    assert resamples(848) is resamples(848)
    assert (resamples(1).sum(axis=0) == 1).all()


def test_a_resample_without_cases_has_no_auroc_and_is_left_out_of_the_interval():
    outcome = np.array([1, *[0] * 9])
    values = resampled("auroc", outcome, np.arange(10.0)[None], "binary", resamples(10))
    without = resamples(10)[0] == 0
    assert 0.2 < without.mean() < 0.5  # (1 − 1/10)^10 = 0.35
    assert (np.isnan(values) == without).all()
    assert interval([values]) == (0.0, 0.0)


def test_the_interval_of_a_mean_squared_error_is_that_of_the_normal_approximation():
    error = np.random.default_rng(0).normal(size=3000)
    values = resampled("mean_squared_error", error, np.zeros((1, 3000)), "regression",
                       resamples(3000))  # fmt: skip
    low, high = interval([values])
    reach = stats.norm.ppf(0.975) * np.square(error).std() / np.sqrt(3000)
    assert [low, high] == pytest.approx(np.mean(error**2) + reach * np.array([-1, 1]), abs=0.012)


def test_networks_that_err_on_the_same_rows_do_not_narrow_the_interval():
    rng = np.random.default_rng(0)
    same, other = rng.normal(size=500), rng.normal(size=500)
    one, equal, apart = interval([same]), interval([same, same]), interval([same, other])
    assert equal == one
    assert np.ptp(apart) == pytest.approx(np.ptp(one) / np.sqrt(2), rel=0.15)
    assert np.isnan(interval([])).all() and np.isnan(interval([same, same[:9]])).all()


@pytest.mark.parametrize(("task", "metric"), [(t, m) for t, own in OF_TASK.items() for m in own])
def test_rows_that_are_copies_of_their_person_make_no_interval_narrower(task, metric):
    people = np.random.default_rng(1).permutation(np.repeat(np.arange(ROWS), 3))
    y, seen = OUTCOME[task][people], PREDICTIONS[task][:, people]
    alone = resampled(metric, OUTCOME[task], PREDICTIONS[task], task, resamples(ROWS))
    copied = resampled(metric, y, seen, task, resamples_of(3 * ROWS, people + 17))
    np.testing.assert_allclose(copied, alone, rtol=2e-5, atol=2e-6)
    by_rows = resampled(metric, y, seen, task, resamples_of(3 * ROWS))
    assert np.ptp(interval([by_rows])) < 0.75 * np.ptp(interval([copied]))  # 1/√3 = 0.58


def test_the_interval_over_people_is_that_of_the_variance_of_sums_over_people():
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(900), rng.integers(1, 5, 900))
    error = rng.normal(size=900)[people] + 0.5 * rng.normal(size=len(people))
    values = resampled("mean_absolute_error", error, np.zeros((1, len(people))), "regression",
                       resamples_of(len(people), people))  # fmt: skip
    size = np.abs(error)
    # The delta method for Σ_i s_i / Σ_i n_i, s_i the sum over a person's n_i rows.
    left = np.bincount(people, size - size.mean())
    reach = stats.norm.ppf(0.975) * np.sqrt(np.square(left).sum()) / len(people)
    low, high = interval([values])
    assert (high - low) / 2 == pytest.approx(reach, rel=0.1)
    assert (high + low) / 2 == pytest.approx(size.mean(), abs=reach / 10)


def test_from_too_few_people_there_are_no_resamples_and_no_interval():
    y = np.repeat([0, 1], [45, 15])
    assert resamples_for(y, "binary").shape == (60, 500)
    assert resamples_for(y[1:], "binary").shape == (59, 0)  # too few people
    assert resamples_for(np.repeat([0, 1], [46, 14]), "binary").shape == (60, 0)  # of a class
    assert resamples_for(np.zeros(80), "binary").shape == (80, 0)  # of one class alone
    assert resamples_for(np.arange(60.0), "regression").shape == (60, 500)
    # Six rows each of ten people are ten people.
    assert resamples_for(y, "binary", np.arange(60) // 6).shape == (60, 0)
    none = resampled("auroc", y, y[None].astype(float), "binary", np.empty((60, 0)))
    assert none.shape == (0,) and np.isnan(interval([none])).all()
    few = resampled("average_precision", y, y[None].astype(float), "binary", resamples(60))
    assert few.shape == (0,)


def test_an_auroc_interval_covers_what_it_says():
    rng, held = np.random.default_rng(0), 0
    for _ in range(300):
        y = (rng.random(120) < 0.4).astype(int)
        score = rng.normal(size=120) + y  # the true AUROC is Φ(1/√2)
        values = resampled("auroc", y, score[None], "binary", resamples_for(y, "binary"))
        low, high = interval([values])
        held += low <= stats.norm.cdf(1 / np.sqrt(2)) <= high
    assert 0.90 <= held / 300 <= 0.98
