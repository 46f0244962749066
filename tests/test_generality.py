"""Other tasks, weights, unpenalized variables, groups and shapes, through real studies.

Where a study's network has no hidden layer, scikit-learn solves the same problem: with weights of
mean 1, mean loss + λ2·½Σw² is LogisticRegression's objective over n for C = 1/(λ2·n), and Ridge's
for alpha = λ2·n.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn import metrics as sk
from sklearn.datasets import load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.class_weight import compute_sample_weight

from pipeline.data.cohort import load_cohort
from pipeline.errors import InputError
from pipeline.results import kept_variables
from pipeline.search_space.sampling import Sampling
from pipeline.search_space.study_file import PROJECT, load_search_space
from pipeline.study.people import People
from pipeline.study.populations import populations
from pipeline.study.replicates import Replicate
from pipeline.study.run import run_study
from pipeline.study.study_cohort import study_cohort
from pipeline.tracking import reader as tracked

FRAMINGHAM = PROJECT / "data/framingham.csv"
PHENOLS = ["total_phenols", "nonflavanoid_phenols"]

WINE = """
# Which measurements tell three cultivars apart, at any shape of network?
target: cultivar
data: wine.csv
genotypes: none
configurations: 1
seeds: 2
cross: [hidden_layer_sizes]
groups: {phenols: [total_phenols, nonflavanoid_phenols]}
space:
  regularizer: [l2]
  lambda_l2: 0.1
  hidden_layer_sizes: [[50], [30, 10], []]
  learning_rate: {low: 0.003, high: 0.01, log: true}
network: {activation: gelu, dropout: 0.2}
training: {epochs: 5, batch_size: 16, class_weight: balanced}
"""

DIABETES = """
# How far does diabetes progress in a year?
target: progression
data: diabetes.csv
genotypes: none
objective: val_mean_absolute_error
sample_weight: visits
configurations: 1
seeds: 2
space: {regularizer: [l2], lambda_l2: 0.1}
network: {hidden_layer_sizes: []}
training: {epochs: 5, batch_size: 32}
"""

COVARIATES = """
# Do covariates stay under a penalty that zeroes all else?
target: TenYearCHD
task: binary
categories: [education]
genotypes: none
groups: {lipids: [totChol, glucose]}
unpenalized: [age, male]
configurations: 1
seeds: 2
cross: [hidden_layer_sizes]
space:
  regularizer: [group_lasso]
  lambda_group: 10
  hidden_layer_sizes: [[], [8]]
network: {activation: tanh}
training: {epochs: 5, class_weight: balanced}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with the tables, and MLflow's own choice of a store."""
    folder = tmp_path_factory.mktemp("general")
    wine = load_wine(as_frame=True)
    names = np.array(wine.target_names)[wine.target]
    wine.data.assign(cultivar=names).to_csv(folder / "wine.csv", index=False)
    diabetes = load_diabetes(as_frame=True, scaled=False)
    visits = np.random.default_rng(0).integers(1, 9, len(diabetes.target))
    table = diabetes.data.assign(progression=diabetes.target, visits=visits)
    table.to_csv(folder / "diabetes.csv", index=False)
    for name, text in (("wine", WINE), ("diabetes", DIABETES), ("covariates", COVARIATES)):
        (folder / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            patch.delenv(name)
        patch.chdir(folder)
        yield folder


class Finished:
    """A study that has run: its results, its report and what it said."""

    def __init__(self, folder: Path, name: str):
        out = io.StringIO()
        run_study(str(folder / f"{name}.yaml"), console=Console(file=out, width=200))
        self.said = out.getvalue()
        self.results = tracked.load_study(name)
        self.record = self.results.record
        self.page = (folder / f"reports/{name}/report.html").read_text()

    def networks(self, **params):
        found = [n for n in self.results.networks if params.items() <= n.params.items()]
        assert found and all(n.failure is None for n in found)
        return found


@pytest.fixture(scope="module")
def wine(folder):
    return Finished(folder, "wine")


@pytest.fixture(scope="module")
def diabetes(folder):
    return Finished(folder, "diabetes")


@pytest.fixture(scope="module")
def covariates(folder):
    return Finished(folder, "covariates")


def assert_curve_meets_metric(finished: Finished) -> None:
    """The validation curve at the best epoch is the metric that is reported."""
    objective = finished.record.objective
    for network in finished.results.networks:
        at_best = network.curves[objective][int(network.metrics["best_epoch"]) - 1]
        assert network.metrics[objective] == pytest.approx(at_best, rel=1e-4)


# --- several classes ----------------------------------------------------------------------------


def test_networks_of_every_shape_are_trained_and_learn_the_classes(wine):
    shapes = {n.params["hidden_layer_sizes"] for n in wine.results.networks}
    assert shapes == {"[50]", "[30, 10]", "[]"}
    rates = {n.params["learning_rate"] for n in wine.results.networks}
    assert len(rates) == 1 and 0.003 <= rates.pop() <= 0.01
    assert wine.networks(hidden_layer_sizes="[30, 10]")[0].first_layer.shape == (13, 30)
    assert wine.networks(hidden_layer_sizes="[]")[0].first_layer.shape == (13, 3)
    assert all(n.metrics["final_test_auroc"] > 0.9 for n in wine.results.networks)
    assert wine.networks()[0].params["dropout"] == 0.2


def test_several_classes_are_measured_by_their_own_metrics(wine):
    assert wine.record.objective == "val_auroc"
    measures = {"auroc", "accuracy", "balanced_accuracy", "log_loss"}
    for network in wine.results.networks:
        splits = ("train", "val", "test")
        wanted = {f"{p}{s}_{m}" for p in ("", "final_") for s in splits for m in measures}
        assert wanted <= network.metrics.keys()
        assert "val_average_precision" not in network.metrics
    assert_curve_meets_metric(wine)


def test_without_a_hidden_layer_it_is_scikit_learns_weighted_multinomial_regression(wine):
    cohort = load_cohort("wine.csv", "cultivar", groups={"phenols": PHENOLS})
    train, test = cohort.split.train, cohort.split.test
    model = LogisticRegression(
        C=1 / (0.1 * len(train)), class_weight="balanced", max_iter=10_000, tol=1e-10
    ).fit(cohort.features[train], cohort.outcome[train])
    seen = model.predict_proba(cohort.features[test])
    truth = cohort.outcome[test]
    for network in wine.networks(hidden_layer_sizes="[]"):
        np.testing.assert_allclose(network.first_layer_final, model.coef_.T, atol=5e-3)
        got = network.metrics
        assert got["final_test_auroc"] == pytest.approx(
            sk.roc_auc_score(truth, seen, multi_class="ovr"), abs=0.01
        )
        # Metrics are unweighted.
        assert got["final_test_log_loss"] == pytest.approx(sk.log_loss(truth, seen), abs=3e-3)


def test_a_group_is_one_variable_in_every_count(wine):
    network = wine.networks()[0]
    assert len(network.inputs.variable_names) == 12
    own = [c for c, v in zip(*(network.inputs.columns, network.inputs.variables)) if v == "phenols"]
    assert own == PHENOLS
    assert network.curves["kept_clinical"][-1] <= 12
    at = [network.inputs.columns.index(c) for c in own]
    assert at[1] == at[0] + 1  # side by side in the heat map, though not in the table


def test_the_report_says_what_was_weighted_grouped_and_classified(wine):
    assert wine.record.settings["task"] == "multiclass"
    assert wine.record.facts["task"] == "multiclass"
    assert wine.record.facts["classes"].startswith("class_0 (59 rows), class_1 (71 rows)")
    assert "cases" not in wine.record.facts
    assert wine.record.facts["groups"] == "phenols: total_phenols and nonflavanoid_phenols"
    for words in ("balanced (in the loss; metrics are unweighted)", "balanced accuracy", "AUROC"):
        assert words in wine.page
    assert "hidden_layer_sizes [" in wine.page
    assert "one class against the rest" in wine.page


# --- quantities ---------------------------------------------------------------------------------


def test_a_weighted_regression_is_scikit_learns_ridge_in_the_tables_unit(diabetes):
    cohort = load_cohort("diabetes.csv", "progression", sample_weight="visits")
    train, test = cohort.split.train, cohort.split.test
    weights = pd.read_csv("diabetes.csv")["visits"].to_numpy()[train]
    weights = weights / weights.mean()
    outcome = cohort.outcome[train]
    center, unit = outcome.mean(), outcome.std()
    model = Ridge(alpha=0.1 * len(train))
    model.fit(cohort.features[train], (outcome - center) / unit, sample_weight=weights)
    seen = center + unit * model.predict(cohort.features[test])
    expected = {
        "r2": sk.r2_score(cohort.outcome[test], seen),
        "mean_squared_error": sk.mean_squared_error(cohort.outcome[test], seen),
        "mean_absolute_error": sk.mean_absolute_error(cohort.outcome[test], seen),
    }
    for network in diabetes.networks():
        np.testing.assert_allclose(network.first_layer_final[:, 0], model.coef_, atol=5e-3)
        got = {name: network.metrics[f"final_test_{name}"] for name in expected}
        assert got == pytest.approx(expected, rel=0.01)


def test_an_error_is_minimized_and_its_curve_is_in_the_tables_unit(diabetes):
    assert not diabetes.record.maximize
    for network in diabetes.results.networks:
        curve = network.curves["val_mean_absolute_error"]
        assert int(network.metrics["best_epoch"]) == 1 + int(np.argmin(curve))
        assert curve.min() > 10  # the target's standard deviation is 77
    assert_curve_meets_metric(diabetes)


def test_the_weights_column_is_no_variable_and_is_named(diabetes):
    assert "visits" not in diabetes.networks()[0].inputs.variables
    assert diabetes.record.settings["sample_weight"] == "visits"
    assert "visits (in the loss; metrics are unweighted)" in diabetes.page
    assert diabetes.record.facts["target_sd_train"] == pytest.approx(77, rel=0.1)


def test_a_regression_is_told_in_its_own_words(diabetes):
    for text in (diabetes.page, diabetes.said):
        assert "mean absolute error" in text
        assert "AUROC" not in text
    assert "R²" in diabetes.page


# --- covariates that stay in --------------------------------------------------------------------


def test_unpenalized_variables_stay_where_the_penalty_zeroes_all_others(covariates):
    for network in covariates.results.networks:
        kept = kept_variables(network.first_layer_final, network.inputs)
        assert {v for v, is_kept in kept.items() if is_kept} == {"age", "male"}
        # 15 variables, of which two became the group lipids.
        assert network.metrics["final_zeroed_variables"] == 14 - 2
        assert network.metrics["kkt_residual"] < 2e-3


def test_the_covariates_alone_are_scikit_learns_balanced_logistic_regression(covariates):
    cohort = load_cohort(FRAMINGHAM, "TenYearCHD", categories=["education"])
    train = cohort.split.train
    at = [cohort.inputs.columns.index(c) for c in ("male", "age")]
    model = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10)
    model.fit(cohort.features[train][:, at], cohort.outcome[train])
    for network in covariates.networks(hidden_layer_sizes="[]"):
        columns = network.inputs.columns
        got = [network.first_layer_final[columns.index(c), 0] for c in ("male", "age")]
        np.testing.assert_allclose(got, model.coef_[0], atol=5e-3)


def test_unpenalized_variables_are_in_settings_and_facts(covariates):
    assert covariates.record.settings["unpenalized"] == ["age", "male"]
    assert covariates.record.facts["unpenalized"] == "male and age (penalty factor 0)"
    assert covariates.record.facts["cases"] == 644
    assert "lipids: totChol and glucose" in covariates.page
    inputs = covariates.networks()[0].inputs
    lipids = [c for c, v in zip(inputs.columns, inputs.variables) if v == "lipids"]
    assert lipids == ["totChol", "totChol missing", "glucose", "glucose missing"]


# --- without training ---------------------------------------------------------------------------


def _people_and_replicates(folder, text, **given):
    path = folder / "unit.yaml"
    path.write_text(text)
    space = load_search_space(str(path), given)
    cohort = load_cohort(
        space.data, space.target, task=space.task, categories=space.categories,
        groups=space.groups, unpenalized=space.unpenalized, sample_weight=space.sample_weight,
    )  # fmt: skip
    space = space.for_task(cohort.task)
    configurations = Sampling(space).next({})
    return People(cohort, None), [Replicate(c, s) for c in configurations for s in space.seeds]


def test_networks_of_different_shapes_train_in_different_populations(folder):
    text = WINE.replace("cross: [hidden_layer_sizes]\n", "")
    people, replicates = _people_and_replicates(folder, text, configurations=9)
    found = list(populations(replicates, people, "val_auroc"))
    shapes = [p.configuration.network.hidden_layer_sizes for p in found]
    assert sorted(shapes) == [(), (30, 10), (50,)]
    for population in found:
        rates = {r.configuration.training.learning_rate for r in population.replicates}
        assert len({r.configuration.network for r in population.replicates}) == 1
        assert len(rates) > 1  # learning rates differ within a population
    assert sum(len(p.replicates) for p in found) == 18


def test_searched_class_weights_train_in_populations_of_their_own(folder):
    text = COVARIATES.replace("[[], [8]]", "[[8]]\n  class_weight: [none, balanced]")
    text = text.replace(", class_weight: balanced", "")
    people, replicates = _people_and_replicates(folder, text, cross="class_weight")
    found = list(populations(replicates, people, "val_auroc"))
    weights = {
        p.configuration.training.class_weight: people.training_data(p.configuration).row_weights
        for p in found
    }
    assert weights["none"] is None
    train = people.cohort.outcome[people.cohort.split.train]
    np.testing.assert_allclose(weights["balanced"], compute_sample_weight("balanced", train))


def test_row_weights_are_class_weight_times_sample_weight(folder):
    frame = pd.read_csv(FRAMINGHAM)
    frame["w"] = np.random.default_rng(1).uniform(0.5, 2.0, len(frame))
    frame.to_csv(folder / "weighted.csv", index=False)
    text = COVARIATES.replace("task:", "data: weighted.csv\nsample_weight: w\ntask:")
    for given, reference in (("balanced", "balanced"), ("{1: 5}", {0: 1, 1: 5})):
        people, (replicate, *_) = _people_and_replicates(folder, text, class_weight=given)
        rows = people.cohort.split.train
        expected = compute_sample_weight(reference, people.cohort.outcome[rows]) * frame["w"][rows]
        got = people.training_data(replicate.configuration).row_weights
        np.testing.assert_allclose(got, expected)


def test_the_penalty_factor_is_zero_on_every_column_of_an_unpenalized_group(folder):
    text = COVARIATES.replace("[age, male]", "[lipids]")
    people, (replicate, *_) = _people_and_replicates(folder, text)
    factor = people.training_data(replicate.configuration).penalty_factor
    variables = people.cohort.inputs.variables
    assert [v for v, f in zip(variables, factor) if f == 0.0] == ["lipids"] * 4
    assert set(factor) == {0.0, 1.0}


REFUSED = {
    "simulated genotypes of quantities": (
        DIABETES.replace("genotypes: none\n", ""), "drawn, but progression is a regression target"),
    "simulated genotypes of several classes": (
        WINE.replace("genotypes: none\n", ""), "cultivar is a multiclass target; give"),
    "class weights of quantities": (
        DIABETES.replace("32}", "32, class_weight: balanced}"), "left out for a regression target"),
    "class weights of other labels": (
        COVARIATES.replace("balanced", "{yes: 2}"),
        "classes of TenYearCHD, which are 0 and 1, .* yes"),
    "an objective of another task": (
        DIABETES.replace("val_mean_absolute_error", "val_auroc"), "one of val_r2, .* val_auroc"),
    "a bundled study's task with another target": (
        COVARIATES.replace("TenYearCHD", "education").replace("categories: [education]", ""),
        "education of framingham.csv is missing"),
    "a target that is not binary": (
        COVARIATES.replace("TenYearCHD", "age").replace("[age, male]", "[male]"),
        "exactly 2 distinct values, but age of framingham.csv has 39"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_study_that_does_not_fit_its_table_is_refused_before_anything_is_written(
    case, tmp_path, folder, monkeypatch
):
    text, message = REFUSED[case]
    for name in ("wine", "diabetes"):
        text = text.replace(f"data: {name}.csv", f"data: {folder / name}.csv")
    (tmp_path / "study.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        run_study("study.yaml", console=Console(file=io.StringIO()))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_what_another_table_lacks_is_left_out_with_a_warning_if_it_matters(folder):
    frame = pd.read_csv(FRAMINGHAM)[["TenYearCHD", "age", "sysBP", "totChol"]]
    frame.to_csv(folder / "narrow.csv", index=False)
    (folder / "covariates.yaml").write_text(COVARIATES)
    given = {"data": str(folder / "narrow.csv")}
    _, cohort, _ = study_cohort(load_search_space(str(folder / "covariates.yaml"), given))
    assert cohort.inputs.variable_names == ("age", "sysBP", "lipids")
    assert cohort.unpenalized == ("age",)
    assert cohort.warnings == (
        "the table has no glucose, which the study names under groups; left out",
        "the table has no male, which the study names under unpenalized; left out",
    )
