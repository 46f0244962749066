"""The scikit-learn face: scikit-learn's own checks, and that its results are the engine's."""

import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import formulas
import numpy as np
import pandas as pd
import pytest
from framingham_data import TABLE, training_rows
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import ElasticNet, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from pipeline import SparseMLPClassifier, SparseMLPRegressor
from pipeline.errors import InputError
from pipeline.estimators.groups import source_labels

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# The defaults pass as well; fewer units and epochs take a third of the time.
QUICK = {"hidden_layer_sizes": (10,), "epochs": 20, "learning_rate": 0.01, "finish_steps": 100}


@parametrize_with_checks([SparseMLPClassifier(**QUICK), SparseMLPRegressor(**QUICK)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def planted(rows=400, columns=6, seed=0):
    """Two informative columns, 0 and 1; the others are noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, columns))
    logit = 2.0 * inputs[:, 0] - 1.5 * np.abs(inputs[:, 1]) + 1.0
    return inputs, (rng.random(rows) < 1.0 / (1.0 + np.exp(-logit))).astype(int)


def quick(kind=SparseMLPClassifier, **parameters):
    return kind(**{**QUICK, "random_state": 0, **parameters})


PENALTIES = {
    "l1": ({"lambda_l1": 0.01}, (0.01, 0.0, 0.0)),
    "l2": ({"lambda_l2": 0.05}, (0.0, 0.05, 0.0)),
    "elastic_net": ({"lambda_l1": 0.005, "lambda_l2": 0.01}, (0.005, 0.01, 0.0)),
}


@pytest.mark.parametrize("penalty", PENALTIES)
def test_without_hidden_layers_it_is_scikit_learns_logistic_regression(penalty):
    rows = training_rows()
    parameters, (l1, l2, _) = PENALTIES[penalty]
    model = SparseMLPClassifier(
        penalty=penalty,
        hidden_layer_sizes=(),
        epochs=10,
        learning_rate=0.01,
        tol=1e-5,
        finish_steps=2000,
        random_state=0,
        **parameters,
    ).fit(rows.inputs, rows.target)
    oracle = LogisticRegression(
        C=1.0 / (len(rows.target) * (l1 + l2)),
        l1_ratio=l1 / (l1 + l2),
        solver="saga",
        tol=1e-6,
        max_iter=5000,
    ).fit(rows.inputs, rows.target)
    assert model.kkt_residual_ <= 1e-5
    np.testing.assert_allclose(model.first_layer_[:, 0], oracle.coef_[0], atol=5e-4)
    assert np.array_equal(model.first_layer_[:, 0] == 0.0, oracle.coef_[0] == 0.0)
    np.testing.assert_allclose(
        model.predict_proba(rows.inputs), oracle.predict_proba(rows.inputs), atol=1e-4
    )


def test_without_hidden_layers_the_regressor_is_scikit_learns_elastic_net():
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(300, 8))
    y = 40.0 + inputs @ np.array([1.0, -0.5, 0.2, 0, 0, 0, 0, 0]) + rng.normal(size=300)
    model = SparseMLPRegressor(
        penalty="elastic_net",
        lambda_l1=0.1,
        lambda_l2=0.1,
        hidden_layer_sizes=(),
        epochs=10,
        learning_rate=0.01,
        tol=1e-6,
        random_state=0,
    ).fit(inputs, y)
    oracle = ElasticNet(alpha=0.2, l1_ratio=0.5, tol=1e-12).fit(inputs, y)
    np.testing.assert_allclose(model.first_layer_[:, 0], oracle.coef_, atol=1e-5)
    np.testing.assert_allclose(model.predict(inputs), oracle.predict(inputs), atol=1e-4)
    assert np.array_equal(model.zeroed_, np.flatnonzero(oracle.coef_ == 0.0))


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_predictions_and_certificate_are_those_of_the_formula(activation):
    """The weights as stored, in NumPy, give the engine's own residual and objective."""
    inputs, y = planted()
    model = quick(
        hidden_layer_sizes=(7, 5),
        activation=activation,
        weight_decay=0.01,
        penalty="sparse_group_lasso",
        groups=["a", "a", "b", "c", "c", "d"],
    ).fit(inputs, y)
    (network,) = model.networks_
    (first, bias), *later = network.layers
    weights = np.column_stack([first.T, bias]), [(w.T, b[:, None]) for w, b in later]
    predictions, _ = formulas.forward(weights, inputs, activation)
    np.testing.assert_allclose(model.decision_function(inputs), predictions[:, 0], atol=1e-12)
    lambdas, index = (1e-3, 0.0, 1e-3), np.array([0, 0, 1, 2, 2, 3])
    single = inputs.astype(np.float32).astype(np.float64)
    gradient = formulas.first_layer_gradient(weights, single, y, "binary", activation)
    residual = formulas.kkt_residual(weights[0], gradient, lambdas, index)
    near = {"rel": 1e-4, "abs": 1e-9}
    if activation == "relu" and residual > 1e-3:  # it ends on kinks, where s is solved for
        residual, kinks = formulas.kink_residual(weights, single, y, "binary", lambdas, index)
        near = {"rel": 0.1}
        assert kinks > 0
    assert model.kkt_residual_absolute_ == pytest.approx(residual, **near)
    objective = formulas.mean_loss(formulas.forward(weights, single, activation)[0], y, "binary")
    objective += formulas.omega(first.T, lambdas, index)
    objective += 0.5 * 0.01 * sum(np.square(w).sum() for w, _ in later)
    assert network.objective == pytest.approx(objective, rel=1e-6)


def test_seeds_train_together_as_they_do_alone_and_predict_their_mean():
    inputs, y = planted()
    together = quick(n_seeds=3, random_state=5, tol=None).fit(inputs, y)
    alone = [quick(random_state=5 + i, tol=None).fit(inputs, y) for i in range(3)]
    assert together.first_layer_.shape == (3, 6, 10)
    for each, model in zip(together.networks_, alone, strict=True):
        np.testing.assert_allclose(each.first_layer, model.first_layer_, atol=1e-6)
    mean = np.mean([model.predict_proba(inputs) for model in alone], axis=0)
    np.testing.assert_allclose(together.predict_proba(inputs), mean, atol=1e-6)
    assert [each.seed for each in together.networks_] == [5, 6, 7]
    everywhere = np.all([each.zeroed for each in together.networks_], axis=0)
    assert np.array_equal(together.zeroed_, together.variables_[everywhere])
    assert together.kkt_residual_ == max(each.kkt_residual for each in together.networks_)


def test_the_same_random_state_gives_the_same_numbers():
    inputs, y = planted()
    once, again = (quick(batch_size=32).fit(inputs, y) for _ in range(2))
    other = quick(batch_size=32, random_state=1).fit(inputs, y)
    assert np.array_equal(once.first_layer_, again.first_layer_)
    assert not np.array_equal(once.first_layer_, other.first_layer_)


@pytest.mark.parametrize("kind", [SparseMLPClassifier, SparseMLPRegressor])
def test_a_whole_weight_is_a_row_repeated(kind):
    inputs, y = planted(rows=150)
    weights = np.random.default_rng(2).integers(0, 4, size=150)
    repeated = np.random.default_rng(3).permutation(np.repeat(np.arange(150), weights))
    model = quick(kind, batch_size=None)
    weighted = clone(model).fit(inputs, y, sample_weight=weights)
    plain = clone(model).fit(inputs[repeated], y[repeated])
    assert np.array_equal(weighted.first_layer_, plain.first_layer_)
    np.testing.assert_allclose(weighted.predict(inputs), plain.predict(inputs), rtol=1e-12)


def test_balanced_class_weight_is_the_weight_of_rows():
    inputs, y = planted()
    y = y * (np.arange(len(y)) % 3 == 0)
    share = np.bincount(y) / len(y)
    balanced = quick(class_weight="balanced").fit(inputs, y)
    by_row = quick().fit(inputs, y, sample_weight=0.5 / share[y])
    np.testing.assert_allclose(balanced.predict_proba(inputs), by_row.predict_proba(inputs), 1e-4)


@pytest.mark.parametrize("penalty", ["group_lasso", "l1", "sparse_group_lasso"])
def test_noise_is_zeroed_and_what_informs_is_kept(penalty):
    inputs, y = planted(rows=2000)
    frame = pd.DataFrame(inputs, columns=list("abcdef"))
    strength = 0.005 if penalty == "sparse_group_lasso" else 0.01
    model = SparseMLPClassifier(
        penalty=penalty,
        lambda_l1=strength,
        lambda_group=strength,
        hidden_layer_sizes=(16,),
        epochs=40,
        learning_rate=0.005,
        random_state=0,
    ).fit(frame, y)
    assert model.zeroed_.tolist() == ["c", "d", "e", "f"]
    rows_of_weights = model.first_layer_ != 0.0
    assert rows_of_weights[:2].any(axis=1).all() and not rows_of_weights[2:].any()


def test_unpenalized_columns_stay_when_all_others_are_zeroed():
    inputs, y = planted()
    frame = pd.DataFrame(inputs, columns=list("abcdef"))
    model = quick(lambda_group=100.0, unpenalized=["a", "f"]).fit(frame, y)
    assert model.zeroed_.tolist() == ["b", "c", "d", "e"]
    assert np.all(model.first_layer_[[0, 5]].any(axis=1))


def test_the_best_epoch_is_kept_where_rows_are_held_out():
    inputs, y = planted()
    held_out = planted(seed=9)
    model = quick(epochs=30, learning_rate=0.1, lambda_group=0.0)
    kept = clone(model).fit(inputs, y, validation_data=held_out)
    (network,) = kept.networks_
    scores = network.history["validation_score"]
    assert network.best_epoch == 1 + scores.argmin() < kept.n_iter_
    p = kept.predict_proba(held_out[0])[np.arange(len(held_out[1])), held_out[1]]
    assert -np.log(p).mean() == pytest.approx(scores.min(), rel=1e-5)
    by_share = clone(model).set_params(validation_fraction=0.25, patience=3).fit(inputs, y)
    assert by_share.n_iter_ == by_share.networks_[0].best_epoch + 3
    with pytest.raises(InputError, match="set one of them to None"):
        by_share.fit(inputs, y, validation_data=held_out)


def test_a_network_that_diverges_says_what_to_do():
    inputs, y = planted(rows=100)
    with pytest.raises(InputError, match="standardize X"):
        quick(SparseMLPRegressor, learning_rate=1e30).fit(inputs, y)
    with pytest.raises(InputError, match="finite in float32"):
        quick().fit(inputs * 1e60, y)


def test_an_unsettled_first_layer_warns():
    inputs, y = planted()
    with pytest.warns(ConvergenceWarning, match="above tol=1e-12"):
        quick(epochs=1, tol=1e-12, finish_steps=1).fit(inputs, y)


@pytest.mark.parametrize(
    ("parameters", "law"),
    [
        ({"penalty": "lasso"}, "penalty must be one of none, l1"),
        ({"lambda_l1": -1.0}, "lambda_l1 must be a number of at least 0, but got -1.0"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"batch_size": 0.5}, "batch_size must be a whole number of at least 1, or None"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes holds the units"),
        ({"activation": "selu"}, "activation must be one of relu, tanh, gelu"),
        ({"validation_metric": "r2"}, "validation_metric of a binary target is one of auroc"),
        ({"random_state": -1}, "random_state must be at least 0"),
        ({"groups": [0, 1]}, "groups has 2 and X has 6"),
        ({"groups": {"a": [0, 1], "b": [1]}}, "names column 1 for 'a' and for 'b'"),
        ({"groups": "education"}, "groups is None, a label for each column"),
        ({"groups": OneHotEncoder()}, "unfitted OneHotEncoder"),
        ({"groups": [0, 0, 1, 1, 2, 2], "unpenalized": [0]}, "name the variable instead"),
        ({"unpenalized": ["age"]}, "but got 'age'; X has 0, 1"),
    ],
)
def test_bad_parameters_are_named_with_their_law(parameters, law):
    inputs, y = planted(rows=20)
    with pytest.raises(InputError) as raised:
        quick(**parameters).fit(inputs, y)
    assert law in str(raised.value)


def framingham():
    """The table as people have it: numbers with gaps, and education as a category."""
    table = pd.read_csv(TABLE).sample(1200, random_state=0)
    y = table.pop("TenYearCHD")
    numbers = [name for name in table.columns if name != "education"]
    prepare = ColumnTransformer(
        [
            ("category", OneHotEncoder(sparse_output=False), ["education"]),
            (
                "number",
                make_pipeline(
                    SimpleImputer(strategy="median", add_indicator=True), StandardScaler()
                ),
                numbers,
            ),
        ]
    )
    return table, y, prepare


def test_a_column_transformers_category_is_zeroed_or_kept_as_a_whole():
    table, y, prepare = framingham()
    inputs = prepare.fit_transform(table)
    for strength, expected in ((0.05, True), (1e-5, False)):
        model = quick(groups=prepare, lambda_group=strength, hidden_layer_sizes=(8,))
        model.fit(inputs, y)
        assert set(model.variables_) == set(table.columns)
        of_education = model.first_layer_[:5]
        assert ("education" in model.zeroed_) == expected
        assert np.all(of_education == 0.0) if expected else np.all(of_education.any(axis=1))
        made_of = np.array(source_labels(prepare))
        for name in table.columns:  # with its missing-indicator
            own = model.first_layer_[made_of == name]
            assert not own.any() if name in model.zeroed_ else own.any(axis=1).all()


def test_it_works_in_pipelines_searches_and_cross_validation():
    table, y, prepare = framingham()
    model = quick(hidden_layer_sizes=(8,), epochs=5, groups=str.swapcase)
    prepare.set_output(transform="pandas")
    search = GridSearchCV(
        make_pipeline(prepare, model),
        {"sparsemlpclassifier__lambda_group": [1e-3, 100.0]},
        scoring="roc_auc",
        cv=2,
    ).fit(table, y)
    assert search.best_params_ == {"sparsemlpclassifier__lambda_group": 1e-3}
    assert search.best_score_ > 0.6
    fitted = search.best_estimator_[-1]
    assert "CATEGORY__EDUCATION_1.0".swapcase().swapcase() in fitted.variables_
    inputs = np.asarray(prepare.fit_transform(table))
    scores = cross_val_score(quick(epochs=5, groups=prepare), inputs, y, scoring="roc_auc", cv=2)
    assert np.all(scores > 0.6), "a fitted transformer stays fitted when the estimator is cloned"


def test_several_classes_are_told_apart_by_name():
    inputs, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    inputs = (inputs - inputs.mean()) / inputs.std()
    model = quick(n_seeds=2, batch_size=16, validation_fraction=0.2).fit(inputs, names)
    assert model.score(inputs, names) > 0.9
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.feature_names_in_.tolist() == inputs.columns.tolist()
    np.testing.assert_allclose(model.predict_proba(inputs).sum(axis=1), 1.0)
    assert model.decision_function(inputs).shape == (150, 3)


def test_a_pickled_model_predicts_without_tensorflow(tmp_path):
    inputs, y = planted()
    model = quick(n_seeds=2).fit(inputs, y)
    (tmp_path / "model").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "inputs.npy", inputs)
    code = (
        "import pickle, sys, numpy as np; from pathlib import Path; here = Path(sys.argv[1])\n"
        "model = pickle.loads((here / 'model').read_bytes())\n"
        "np.save(here / 'seen.npy', model.predict_proba(np.load(here / 'inputs.npy')))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    project = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=project, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "seen.npy"), model.predict_proba(inputs))


def test_importing_pipeline_loads_neither_tensorflow_nor_scikit_learn():
    code = "import sys, pipeline; assert not {'tensorflow', 'sklearn'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=True)


def test_no_warning_where_the_certificate_holds():
    inputs, y = planted()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = quick(hidden_layer_sizes=(), finish_steps=500).fit(inputs, y)
    assert model.kkt_residual_ <= model.tol
