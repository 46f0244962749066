"""Resamples in the estimators and paths, and stability selection on planted truth."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, RepeatedKFold

from pipeline import SparseMLPClassifier, SparseMLPRegressor, lambda_path, stability_path
from pipeline.errors import InputError

RNG = np.random.default_rng(4)
ROWS, COLUMNS = 240, 8
X = pd.DataFrame(RNG.normal(size=(ROWS, COLUMNS)), columns=[f"x{i}" for i in range(COLUMNS)])
SIGNAL = 1.5 * X["x0"] - 1.2 * X["x3"]
Y = (SIGNAL + RNG.logistic(size=ROWS) > 0).to_numpy().astype(int)
LINEAR = {"hidden_layer_sizes": (), "epochs": 5, "batch_size": None}
SHORT = {"hidden_layer_sizes": (6,), "epochs": 8, "learning_rate": 1e-2}


def test_each_resample_is_the_estimator_fitted_to_its_rows():
    times = np.array([RNG.multinomial(ROWS, np.full(ROWS, 1 / ROWS)) for _ in range(3)])
    model = SparseMLPClassifier(penalty="l1", lambda_l1=0.02, resamples=times, **LINEAR)
    networks = model.fit(X, Y).networks_
    assert [network.resample for network in networks] == [0, 1, 2]
    for drawn, network in zip(times, networks, strict=True):
        rows = np.repeat(np.arange(ROWS), drawn)
        alone = clone(model).set_params(resamples=None).fit(X.iloc[rows], Y[rows])
        np.testing.assert_allclose(network.first_layer, alone.first_layer_, atol=2e-4)
        by_sklearn = LogisticRegression(
            l1_ratio=1, solver="saga", C=1 / (ROWS * 0.02), tol=1e-8, max_iter=20_000
        ).fit(X.iloc[rows], Y[rows])
        np.testing.assert_allclose(network.first_layer[:, 0], by_sklearn.coef_[0], atol=1e-3)
    mean = np.mean([1 / (1 + np.exp(-n.outputs(X.to_numpy())[:, 0])) for n in networks], axis=0)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], mean, atol=1e-6)
    kept = np.mean([~network.zeroed for network in networks], axis=0)
    np.testing.assert_array_equal(model.selection_probability_, kept)


def test_quantities_and_balanced_classes_are_those_of_the_drawn_rows():
    splitter, quantity = KFold(2), 100.0 + 10.0 * SIGNAL.to_numpy() + RNG.normal(size=ROWS)
    model = SparseMLPRegressor(penalty="l2", lambda_l2=0.5, resamples=splitter, **LINEAR)
    models = [(model, quantity)]
    balanced = {"class_weight": "balanced", "resamples": splitter}
    models.append((SparseMLPClassifier(penalty="l2", lambda_l2=0.05, **balanced, **LINEAR), Y))
    weights = RNG.uniform(0.5, 2, ROWS)
    for model, y in models:
        networks = model.fit(X, y, sample_weight=weights).networks_
        for (train, _), network in zip(splitter.split(X), networks, strict=True):
            alone = clone(model).set_params(resamples=None)
            alone.fit(X.iloc[train], y[train], sample_weight=weights[train])
            (by_hand,) = alone.networks_
            outputs = network.outputs(X.to_numpy()), by_hand.outputs(X.to_numpy())
            np.testing.assert_allclose(*outputs, atol=2e-3)


def test_a_path_walks_every_resample_and_judges_it_on_the_rows_left_out():
    splitter = KFold(3)
    path = lambda_path(
        X, Y, n_lambdas=8, seeds=2, resamples=splitter, validation_metric="auroc", **SHORT
    )
    dense = path.networks[path.networks["step"] == 0]
    assert dense[["seed", "resample"]].to_numpy().tolist() == [
        [seed, fold] for fold in range(3) for seed in range(2)
    ]
    assert path.networks["score"].notna().all()
    assert path.best_by_seed.groupby(["seed", "resample"]).size().min() > 2


@pytest.fixture(scope="module")
def stability():
    return stability_path(X, Y, resamples=20, n_lambdas=8, random_state=0, **SHORT)


def test_the_planted_variables_are_stable_and_no_other(stability):
    assert stability.probability.shape == (COLUMNS, 8)
    assert list(stability.probability.columns) == sorted(stability.lambdas, reverse=True)
    assert stability.selection.pairs == 10 and stability.selection.dropped == 0
    # Of 8 variables the bounds allow q ≤ √((2·0.9 − 1)·2·8); with all noise q would be shared.
    assert stability.stable_variables(threshold=0.9, most_false=2.0) == ["x0", "x3"]
    assert np.argsort(-stability.integrated().score)[:2].tolist() in ([0, 3], [3, 0])


def test_probabilities_are_the_shares_of_networks_that_keep_a_variable(stability):
    networks = stability.networks
    for value in stability.lambdas:
        here = networks[np.isclose(networks["lambda"], value)]
        for name in ("x0", "x5"):
            share = sum(name in kept for kept in here["variables"]) / 20
            assert stability.probability.loc[name, value] == share


def test_a_resample_ends_the_same_whoever_walks_beside_it(stability):
    fewer = stability_path(X, Y, resamples=8, n_lambdas=8, random_state=0, **SHORT)
    np.testing.assert_array_equal(fewer.lambdas, stability.lambdas)
    first = stability.networks[stability.networks["resample"] < 8].reset_index(drop=True)
    order = ["step", "resample"]
    pd.testing.assert_frame_equal(
        fewer.networks.sort_values(order, ignore_index=True),
        first.sort_values(order, ignore_index=True),
    )


def test_units_of_the_columns_do_not_matter_where_each_network_standardizes(stability):
    scaled = X * 10.0 ** np.arange(-3, 5) + 100
    again = stability_path(scaled, Y, resamples=20, n_lambdas=8, random_state=0, **SHORT)
    assert again.stable_variables(threshold=0.9, most_false=2.0) == ["x0", "x3"]
    np.testing.assert_allclose(again.lambdas, stability.lambdas, rtol=1e-3)
    assert np.abs(again.probability.to_numpy() - stability.probability.to_numpy()).max() <= 0.1


def test_unpenalized_variables_are_no_part_of_the_selection():
    path = stability_path(X, Y, resamples=4, n_lambdas=3, unpenalized=["x3"], **SHORT)
    assert "x3" not in path.probability.index and len(path.variables) == COLUMNS - 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"resamples": 7}, "must be even, but got 7"),
        ({"resamples": True}, "resamples must be a number of subsamples"),
        ({"resamples": "half"}, "resamples must be a number of subsamples"),
        ({"resamples": {"kind": "jackknife"}}, "must be one of subsample, bootstrap, folds"),
        ({"resamples": {"kind": "folds", "size": 3}}, "but got 'size'"),
        ({"resamples": {"kind": "subsample", "fraction": 0.8}}, "at most 0.5"),
        ({"resamples": np.ones((3, 5))}, r"but got the shape \(3, 5\)"),
        ({"resamples": -np.ones((2, ROWS))}, "at least 0"),
        ({"resamples": None}, "needs resamples"),
    ],
)
def test_what_is_no_resample_is_refused_with_the_law(given, words):
    with pytest.raises(InputError, match=words):
        stability_path(X, Y, n_lambdas=3, **given)
    if given["resamples"] is not None:
        with pytest.raises(InputError, match=words):
            SparseMLPClassifier(**given).fit(X, Y)


def test_held_out_rows_and_resamples_exclude_each_other():
    with pytest.raises(InputError, match="no rows are held out besides"):
        SparseMLPClassifier(resamples=4, validation_fraction=0.2).fit(X, Y)


def test_repeated_folds_are_no_complementary_pairs():
    path = stability_path(
        X, Y, resamples=RepeatedKFold(n_splits=3, n_repeats=2), n_lambdas=2, **SHORT
    )
    assert path.selection.pairs == 0 and len(path.selection.resamples) == 6
