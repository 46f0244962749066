"""Paths from dense to sparse: λ_max by theorem, and scores for every number of variables."""

import formulas
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline import SparseMLPClassifier, lambda_path
from pipeline.errors import InputError
from pipeline.estimators.groups import column_groups
from pipeline.estimators.walk import vanishing_lambda
from pipeline.networks import ZEROING, shares

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GROUPS = ["a", "b", "b", "c", "d", "d"]
INDEX = np.array([0, 1, 1, 2, 3, 3])


def planted(rows=600, seed=0):
    """Variables a and b inform; c and d are noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 6))
    logit = 1.5 * inputs[:, 0] - 0.8 * inputs[:, 1] + 0.8 * inputs[:, 2] - 0.5
    return inputs, (rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))).astype(int)


@pytest.mark.parametrize("penalty", ZEROING)
@pytest.mark.parametrize("units", [1, 4])
def test_vanishing_lambda_is_where_the_proximal_step_leaves_zero(penalty, units):
    gradient = np.random.default_rng(units).normal(size=(units, 6))
    parts = shares(penalty, 0.3)
    found = vanishing_lambda(gradient, column_groups(GROUPS, 6, None), parts)
    assert found == pytest.approx(formulas.lambda_max(gradient, parts, INDEX), rel=1e-9)


def test_what_is_unpenalized_has_no_part_in_lambda_max():
    gradient = np.array([[9.0, 1.0, 2.0]])
    groups = column_groups(None, 3, None, unpenalized=[0])
    assert vanishing_lambda(gradient, groups, (1.0, 0.0, 0.0)) == 2.0


@pytest.mark.parametrize("penalty", ZEROING)
def test_without_hidden_layers_all_is_zero_above_lambda_max_and_not_below(penalty):
    inputs, y = planted()
    held_out = planted(seed=1)
    path = lambda_path(
        inputs,
        y,
        penalty,
        groups=GROUPS,
        hidden_layer_sizes=(),
        validation_data=held_out,
        epochs=5,
        epochs_per_lambda=2,
        n_lambdas=5,
        seeds=1,
    )
    gradient = formulas.gradient_at_zero(inputs, y, "binary")
    largest = formulas.lambda_max(gradient, shares(penalty, 0.5), INDEX)
    assert path.lambda_max == pytest.approx(largest, rel=1e-4)
    assert path.networks["kept"].iloc[-1] == 0 and path.lambdas[-1] > path.lambda_max
    assert np.all(path.networks["kept"].iloc[:-1] > 0)
    model = SparseMLPClassifier(
        penalty=penalty, groups=GROUPS, hidden_layer_sizes=(), epochs=5, learning_rate=0.01
    )
    for times, kept in ((0.98, 1), (1.02, 0)):
        l1, l2, group = (times * largest * share for share in shares(penalty, 0.5))
        model.set_params(lambda_l1=l1, lambda_l2=l2, lambda_group=group).fit(inputs, y)
        assert len(model.variables_) - len(model.zeroed_) == kept


@pytest.fixture(scope="module")
def walked():
    inputs, y = planted()
    frame = pd.DataFrame(inputs, columns=["a", "b=1", "b=2", "c", "d=1", "d=2"])
    return lambda_path(
        frame,
        y,
        groups=lambda name: name.split("=")[0],
        hidden_layer_sizes=(8,),
        validation_data=planted_frame(seed=1),
        test_data=planted_frame(seed=2),
        validation_metric="auroc",
        learning_rate=0.01,
        batch_size=64,
        epochs=15,
        epochs_per_lambda=5,
        n_lambdas=10,
        seeds=3,
    )


def planted_frame(seed):
    inputs, y = planted(seed=seed)
    return pd.DataFrame(inputs, columns=["a", "b=1", "b=2", "c", "d=1", "d=2"]), y


def test_a_path_ends_with_nothing_left_in_any_network(walked):
    networks = walked.networks
    assert list(networks["kept"][networks["step"] == 0]) == [4, 4, 4]
    last = networks.groupby("seed").last()
    assert list(last["kept"]) == [0, 0, 0]
    assert list(last["score"]) == [0.5, 0.5, 0.5]
    assert np.all(np.diff(walked.lambdas) > 0)
    ratios = walked.lambdas[1:] / walked.lambdas[:-1]
    np.testing.assert_allclose(ratios, ratios[0])
    assert walked.lambdas[9] == pytest.approx(walked.lambda_max, rel=2e-3)


@pytest.fixture(scope="module")
def two_steps():
    """fill_up_to → a path of two λ, 0.01·λ_max and λ_max, of which the second leaves nothing."""
    inputs, y = planted()
    rows = {"groups": GROUPS, "validation_data": planted(seed=1)}
    size = {"hidden_layer_sizes": (), "epochs": 5, "n_lambdas": 2, "seeds": 2}
    return {
        most: lambda_path(inputs, y, fill_up_to=most, finish_steps=100, **rows, **size)
        for most in (0, 1, 20)
    }


def test_sizes_that_a_network_skipped_are_sought_between_two_steps(two_steps):
    path = two_steps[20]
    between = path.networks[~path.networks["lambda"].isin([0.0, *path.lambdas])]
    assert set(between["step"]) == {2}
    assert between["lambda"].between(*path.lambdas, inclusive="neither").all()
    rungs = np.log(between["lambda"] / path.lambdas[0]) / np.log(path.lambdas[1] / path.lambdas[0])
    np.testing.assert_allclose(rungs * 8, np.round(rungs * 8), atol=1e-6)
    for seed in (0, 1):
        sizes = path.networks[path.networks["seed"] == seed]
        assert set(sizes["kept"]) >= {0, 1, 2, 4}
        assert sizes["lambda"].is_monotonic_increasing


def test_what_is_sought_between_steps_leaves_the_steps_as_they_are(two_steps):
    path = two_steps[20]
    own = path.networks["lambda"].isin([0.0, *path.lambdas])
    pd.testing.assert_frame_equal(
        path.networks[own].reset_index(drop=True), two_steps[0].networks, check_exact=True
    )


def test_only_sizes_up_to_the_limit_are_sought(two_steps):
    assert len(two_steps[0].networks) < len(two_steps[1].networks) < len(two_steps[20].networks)


def test_what_informs_outlives_noise(walked):
    with_two = walked.networks[walked.networks["kept"] == 2]
    assert set(with_two["variables"]) == {("a", "b")}
    assert set(with_two["seed"]) == {0, 1, 2}


def test_best_is_the_best_score_at_every_number_of_variables(walked):
    networks = walked.networks
    assert walked.maximize and walked.metric == "auroc"
    for row in walked.best.to_dict("records"):
        same = networks[networks["kept"] == row["kept"]]
        assert row["score"] == same["score"].max()
        assert len(row["variables"]) == row["kept"]
    assert walked.best["kept"].is_monotonic_increasing and walked.best["kept"].is_unique
    expected = networks.groupby(["kept", "seed"])["score"].max()
    found = walked.best_by_seed.set_index(["kept", "seed"])["score"]
    pd.testing.assert_series_equal(found, expected)


def test_models_are_the_networks_of_best(walked):
    frame, y = planted_frame(seed=2)
    for row in walked.best.to_dict("records"):
        model = walked.models[row["kept"]]
        assert model.seed == row["seed"] and (~model.zeroed).sum() == row["kept"]
        seen = model.outputs(frame.to_numpy().astype(np.float32))[:, 0]
        assert roc_auc_score(y, seen) == pytest.approx(row["test_score"], abs=1e-4)


def test_the_small_end_predicts_like_a_refitted_regression(walked):
    frame, y = planted_frame(seed=2)
    oracle = LogisticRegression().fit(*planted())
    best = walked.best.set_index("kept")["test_score"]
    oracle_score = roc_auc_score(y, oracle.predict_proba(frame.to_numpy())[:, 1])
    assert best[2] > oracle_score - 0.01


def test_a_path_of_a_quantity_starts_at_its_mean():
    inputs, _ = planted()
    y = 100.0 + inputs[:, 0] + 0.3 * np.random.default_rng(3).normal(size=len(inputs))
    path = lambda_path(
        inputs, y, "l1", hidden_layer_sizes=(), epochs=5, epochs_per_lambda=2, n_lambdas=4, seeds=2
    )
    assert path.metric == "mean_squared_error" and not path.maximize
    best = path.best.set_index("kept")["score"]
    assert best[0] == pytest.approx(1.0, rel=0.3) and best[1] < 0.5
    assert path.models[0].outputs(inputs)[0, 0] == pytest.approx(100.0, abs=0.5)


@pytest.mark.parametrize(
    ("parameters", "law"),
    [
        ({"penalty": "l2"}, "one of l1, elastic_net, group_lasso, sparse_group_lasso"),
        ({"n_lambdas": 1}, "n_lambdas must be a whole number of at least 2"),
        ({"fill_up_to": -1}, "fill_up_to must be a whole number of at least 0"),
        ({"lambda_ratio": 2.0}, "lambda_ratio must be above 0 and below 1"),
        ({"l1_ratio": 0.0}, "l1_ratio must be above 0 and at most 1"),
        ({"validation_fraction": None}, "judged on validation rows"),
        ({"task": "ranking"}, "task must be binary, multiclass or regression"),
        ({"seeds": 0}, "seeds must name one network or more"),
    ],
)
def test_bad_parameters_are_named_with_their_law(parameters, law):
    with pytest.raises(InputError) as raised:
        lambda_path(*planted(), **parameters)
    assert law in str(raised.value)


def test_columns_without_information_have_no_path():
    inputs, y = planted()
    with pytest.raises(InputError, match="λ_max must be above 0"):
        lambda_path(np.zeros_like(inputs), y, hidden_layer_sizes=(), epochs=1, seeds=1)


def test_whole_number_quantities_are_told_apart_from_classes_or_the_way_is_said():
    rng = np.random.default_rng(0)
    X, ages = rng.normal(size=(90, 3)), rng.permutation(90)
    with pytest.raises(InputError, match=r'more than 20 distinct whole .* 90 .*task="regression"'):
        lambda_path(X, ages)
    few = np.array([0, 1] * 44 + [2, 3])  # classes of one row each
    for estimator in (SparseMLPClassifier(epochs=1, validation_fraction=0.2), None):
        with pytest.raises(InputError, match=r'2 of 4 classes of y have 1.*task="regression"'):
            lambda_path(X, few) if estimator is None else estimator.fit(X, few)
