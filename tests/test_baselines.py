"""Baselines of planted people: what each can and cannot see, chosen without the test rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from pipeline.baselines import BaselineData, KeptBaselines, fit_baselines
from pipeline.baselines.boosting import boosting
from pipeline.baselines.data import NotFitted
from pipeline.baselines.gblup import Gblup
from pipeline.baselines.linear import plain

ROWS, COLUMNS, VARIANTS = 600, 6, 400


def people(task: str = "binary", genotypes: bool = True, seed: int = 0) -> BaselineData:
    """600 people with a linear cause, a bent one, and 400 variants of small effects."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(ROWS, COLUMNS))
    variants = rng.normal(size=(ROWS, VARIANTS))
    variants -= variants[:360].mean(axis=0)
    genetic = variants @ rng.normal(size=VARIANTS) / np.sqrt(VARIANTS)
    z = columns[:, 0] + 1.5 * (columns[:, 1] ** 2 - 1) + 1.5 * genetic
    outcome = z + rng.normal(size=ROWS)
    if task == "binary":
        outcome = (rng.random(ROWS) < expit(z)).astype(int)
    elif task == "multiclass":
        outcome = np.digitize(outcome, [-1, 1])
    else:
        outcome = 100 + 10 * outcome
    relationship = (variants @ variants[:360].T / VARIANTS).astype(np.float32)
    rows = np.arange(ROWS)
    return BaselineData(
        columns, outcome, task, {"regression": "r2"}.get(task, "auroc"),
        rows[:360], rows[360:480], rows[480:], "clinical",
        relationship=relationship if genotypes else None,
    )  # fmt: skip


def test_each_baseline_sees_what_it_can() -> None:
    data = people()
    found = {b.name: b for b in fit_baselines(data)}
    assert [b.failure for b in found.values()] == [""] * 5
    y = data.outcome[data.test]
    auroc = {name: roc_auc_score(y, b.test[0]) for name, b in found.items()}
    assert auroc["gradient boosting"] > auroc["logistic regression"] + 0.05  # the bent cause
    assert auroc["GBLUP"] > 0.55
    assert auroc["logistic regression and GBLUP"] > auroc["logistic regression"]
    assert found["logistic regression and GBLUP"].inputs == "clinical+genetic"


def test_plain_regression_is_statsmodels() -> None:
    data = people(genotypes=False)
    fitted_plain = plain(data)
    x = sm.add_constant(data.columns)
    fitted = sm.GLM(data.outcome[data.train], x[data.train], sm.families.Binomial()).fit()
    np.testing.assert_allclose(fitted_plain.test[0], x[data.test] @ fitted.params, atol=1e-3)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_other_tasks_predict_in_the_shape_and_unit_of_networks(task: str) -> None:
    data = people(task)
    found = {b.name: b for b in fit_baselines(data)}
    outputs = 3 if task == "multiclass" else 1
    fitted = [b for b in found.values() if not b.failure]
    assert all(b.test.shape == (outputs, 120) for b in fitted)
    if task == "regression":
        y = data.outcome[data.test]
        assert np.corrcoef(found["linear regression and GBLUP"].test[0], y)[0, 1] > 0.3
        assert found["GBLUP"].test.mean() == pytest.approx(y.mean(), abs=5)
    else:
        assert "several classes" in found["GBLUP"].failure


def test_gblup_is_ridge_regression_on_the_genotypes_and_a_gaussian_process() -> None:
    rng = np.random.default_rng(1)
    variants = rng.normal(size=(200, 30))
    y = variants @ rng.normal(size=30) + rng.normal(size=200)
    rows = np.arange(200)
    data = BaselineData(
        np.empty((200, 0)), y, "regression", "r2", rows[:100], rows[100:150], rows[150:], "",
        relationship=variants @ variants[:100].T / 30,
    )  # fmt: skip
    fitted = Gblup(data)
    raw = fitted.alone().test[0]
    delta = (1 - fitted.h2) / fitted.h2 * np.mean(np.diag(data.relationship[:100]))
    center = y[:100].mean()
    ridge = Ridge(alpha=30 * delta, fit_intercept=False).fit(variants[:100], y[:100] - center)
    np.testing.assert_allclose(raw, center + ridge.predict(variants[150:]), atol=1e-6)
    kernel = DotProduct(0.0, "fixed")
    process = GaussianProcessRegressor(kernel, alpha=30 * delta, optimizer=None)
    process.fit(variants[:100], y[:100] - center)
    np.testing.assert_allclose(raw, center + process.predict(variants[150:]), atol=1e-5)


def test_test_rows_have_no_say() -> None:
    """Other outcomes of the test rows change no choice and no prediction."""
    data = people()
    changed = data.outcome.copy()
    changed[data.test] = 1 - changed[data.test]
    for one, other in zip(
        fit_baselines(data), fit_baselines(replace(data, outcome=changed)), strict=True
    ):
        assert one.chosen == other.chosen
        np.testing.assert_array_equal(one.test, other.test)
        np.testing.assert_array_equal(one.validation, other.validation)


def test_people_of_noise_have_baselines_that_know_nothing() -> None:
    rng = np.random.default_rng(5)
    data = replace(people(), outcome=rng.integers(0, 2, ROWS))
    for baseline in fit_baselines(data):
        auroc = roc_auc_score(data.outcome[data.test], baseline.test[0])
        assert abs(auroc - 0.5) < 3.5 * 0.053  # the standard error with 60 of 120 cases


def test_more_columns_than_rows_is_a_sentence_and_the_others_are_fitted() -> None:
    data = people(genotypes=False)
    few = {"train": data.train[:40], "validation": data.train[40:80], "test": data.train[80:120]}
    wide = np.random.default_rng(0).normal(size=(ROWS, 50))
    found = {b.name: b.failure for b in fit_baselines(replace(data, columns=wide, **few))}
    assert found["logistic regression"] == "needs more training rows (40) than columns (50)"
    assert found["logistic regression, elastic net"] == found["gradient boosting"] == ""


def test_trees_are_left_out_of_tables_of_very_many_columns():
    data, columns = people(genotypes=False), np.zeros((ROWS, 2001))
    columns[:, :COLUMNS] = data.columns
    with pytest.raises(NotFitted, match="left out above 2,000 columns, and there are 2,001"):
        boosting(replace(data, columns=columns))


def test_kept_baselines_are_the_same_and_for_their_owner_alone(tmp_path: Path) -> None:
    kept, made = KeptBaselines(tmp_path), fit_baselines(people(genotypes=False))
    assert kept.read("a") is None
    kept.keep("a", made)
    for one, other in zip(made, kept.read("a"), strict=True):
        assert (one.name, one.chosen, one.failure) == (other.name, other.chosen, other.failure)
        np.testing.assert_array_equal(one.test, other.test)
    (file,) = tmp_path.rglob("*.npz")
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"PK")
    assert kept.read("a") is None
