"""Metrics for many networks at once, against scikit-learn one network at a time."""

import numpy as np
import pytest
from sklearn import metrics as sk

from pipeline.metrics import metrics


@pytest.fixture(params=["distinct", "tied"])
def scored(request):
    rng = np.random.default_rng(3)
    outcome = (rng.random(211) < 0.2).astype(int)
    logits = rng.normal(outcome * 0.7, 1.0, (5, 1, 211)).astype(np.float32)
    return outcome, np.round(logits, 1) if request.param == "tied" else logits


def test_binary_metrics_equal_scikit_learn_also_with_ties(scored):
    outcome, logits = scored
    measured = metrics.measure(outcome, logits, "binary")
    assert set(measured) == set(metrics.OF_TASK["binary"])
    for k, z in enumerate(logits[:, 0]):
        probability = 1.0 / (1.0 + np.exp(-z.astype(float)))
        assert measured["auroc"][k] == pytest.approx(sk.roc_auc_score(outcome, z))
        assert measured["average_precision"][k] == pytest.approx(
            sk.average_precision_score(outcome, z)
        )
        assert measured["accuracy"][k] == sk.accuracy_score(outcome, probability >= 0.5)
        assert measured["log_loss"][k] == pytest.approx(sk.log_loss(outcome, probability))


def test_metrics_worked_by_hand():
    outcome = np.array([1, 0, 1, 0])
    logits = np.array([[[2.0, 1.0, 1.0, -1.0]]])
    measured = metrics.measure(outcome, logits, "binary")
    # pairs (2,1) right, (2,-1) right, (1,1) half, (1,-1) right
    assert measured["auroc"][0] == 3.5 / 4
    # the case at 2 has precision 1; the case at 1 is among three rows of which two are cases
    assert measured["average_precision"][0] == pytest.approx((1.0 + 2.0 / 3.0) / 2.0)
    assert measured["accuracy"][0] == 3 / 4


def test_a_constant_score_says_nothing():
    outcome = np.array([1, 0, 0, 0])
    measured = metrics.measure(outcome, np.zeros((1, 1, 4)), "binary")
    assert measured["auroc"][0] == 0.5
    assert measured["average_precision"][0] == 0.25
    assert measured["log_loss"][0] == pytest.approx(np.log(2))


def test_one_class_leaves_auroc_undefined():
    measured = metrics.measure(np.zeros(3, int), np.zeros((2, 1, 3)), "binary")
    assert np.isnan(measured["auroc"]).all() and np.isnan(measured["average_precision"]).all()


def test_huge_logits_stay_finite():
    measured = metrics.measure(np.array([0, 1]), np.array([[[-1e4, -1e4]]]), "binary")
    assert measured["log_loss"][0] == pytest.approx(5e3)


def test_multiclass_and_regression_have_all_their_metrics():
    rng = np.random.default_rng(0)
    classes = np.arange(30) % 3
    logits = rng.normal(size=(2, 3, 30))
    measured = metrics.measure(classes, logits, "multiclass")
    probability = metrics.probabilities(logits, "multiclass")[1]
    assert probability.sum(axis=1) == pytest.approx(np.ones(30))
    assert measured["log_loss"][1] == pytest.approx(sk.log_loss(classes, probability))
    quantity = rng.normal(size=30)
    measured = metrics.measure(quantity, quantity[None, None] + 1.0, "regression")
    assert measured["mean_squared_error"][0] == pytest.approx(1.0)
    assert set(measured) == set(metrics.OF_TASK["regression"])
