"""What a study's resamples say, on networks of which is planted what they keep."""

import numpy as np
import pytest
from planted_study import OTHER_LAMBDAS, STEADY, group_lasso_study, other_people_study

from pipeline.inspection import (
    configuration_table,
    of_resamples,
    of_the_table,
    resampled_paths,
    seed_or_people,
    seed_or_people_table,
    selection_path_table,
    selection_table,
)


@pytest.fixture(scope="module")
def study():
    return other_people_study()


@pytest.fixture(scope="module")
def path(study):
    (found,) = resampled_paths(study, configuration_table(of_the_table(study)))
    return found


def test_networks_of_the_table_are_told_from_those_of_resamples(study):
    assert len(of_the_table(study).networks) == 4 * 5 and len(of_resamples(study)) == 4 * 5 * 40
    plain = group_lasso_study()
    assert of_the_table(plain) == plain and of_resamples(plain) == ()


def test_the_path_runs_from_the_strongest_penalty_down(path):
    assert path.main_lambda == "lambda_group" and path.lambdas == OTHER_LAMBDAS
    assert path.path.configurations == (0, 1, 2, 3) and path.path.pairs == 20
    at = {v: i for i, v in enumerate(path.variables)}
    probability = path.path.probability
    assert (probability[1:, at["age"]] == 1).all() and probability[0, at["sysBP"]] == 0
    assert probability[1, at["male"]] == 0.5 and probability[2, at["diabetes"]] == 0.6


def test_stable_are_those_that_everyone_keeps_within_the_bound(path):
    assert path.stable_names == STEADY
    assert path.stable.configurations == (0, 1, 2) and path.stable.expected_false <= 1
    assert path.integrated.expected_false[path.variables.index("age")] < 0.2


def test_a_categorys_columns_and_all_genetic_dimensions_are_one_variable_each():
    study = group_lasso_study()
    networks = [
        type(n)({**n.params, "resample": n.seed}, n.inputs, n.metrics, n.curves, n.first_layer,
                n.first_layer_final)
        for n in study.networks if n.failure is None
    ]  # fmt: skip
    settings = {**study.record.settings, "resamples": {"kind": "subsample"}, "unpenalized": ["age"]}
    record = type(study.record)(**{**vars(study.record), "settings": settings})
    resampled = type(study)(record, (*study.networks, *networks))
    (found,) = resampled_paths(resampled, configuration_table(study))
    assert found.variables.count("education") == 1
    assert found.variables[-1] == "genetic (any dimension)" and "age" not in found.variables
    assert len(found.variables) == 15  # 14 named clinical ones without age, and one genetic


def test_the_variance_is_divided_between_seed_and_people(study):
    found = seed_or_people(study, 2)
    assert (found.seeds, found.resamples, found.dropped) == (5, 40, 0)
    rows = found.by_variable.set_index("variable")
    assert rows.loc["male", "share_resample"] == pytest.approx(1)
    assert rows.loc["diabetes", "share_seed"] == pytest.approx(1)
    assert found.shares.sum() == pytest.approx(1) and (found.shares > 0.15).all()
    assert (found.intervals[:, 0] <= found.shares).all()
    assert (found.shares <= found.intervals[:, 1]).all()
    assert not {"age", "sysBP"} & set(rows.index)


def test_bootstrap_samples_have_probabilities_and_no_bound():
    study = other_people_study(seeds=2, resamples=10, kind="bootstrap")
    (found,) = resampled_paths(study, configuration_table(of_the_table(study)))
    assert found.stable is None and found.integrated is None and found.path.pairs == 0
    table = selection_table([found])
    assert "stable" not in table and table.set_index("variable").loc["age"].iloc[-1] == 1


def test_tables_have_a_row_each_variable(study, path):
    table = selection_table([path]).set_index("variable")
    assert table.loc["age", "stable"] and not table.loc["male", "stable"]
    assert table.loc["male", "probability"] == 0.5 and len(table) == len(path.variables)
    long = selection_path_table([path])
    assert len(long) == 4 * len(path.variables)
    row = long[(long["variable"] == "male") & (long["configuration"] == 1)].iloc[0]
    assert (row["lambda_group"], row["probability"]) == (0.01, 0.5)
    shares = seed_or_people_table([seed_or_people(study, 2)])
    assert shares.iloc[0]["variable"] == "" and np.isfinite(shares.iloc[0]["share_both_low"])
