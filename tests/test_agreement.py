"""How far seeds agree, variable by variable, on networks whose weights and deaths are planted."""

from dataclasses import replace

import numpy as np
import pytest
from planted_study import clinical_inputs, genetic_inputs, group_lasso_study, network, record
from scipy.stats import spearmanr

from pipeline.inspection.agreement import importance_correlation, selection_frequencies
from pipeline.inspection.pareto import configuration_front
from pipeline.inspection.solutions import solutions_of
from pipeline.inspection.stability import died_epochs
from pipeline.metrics import bootstrap
from pipeline.report.pictures import kept_and_score
from pipeline.report.summary import all_families, summarize
from pipeline.results import ANCESTRY, Inputs, NetworkResult, StudyResults
from pipeline.study.recording import outcome_of

NAMES = ("a", "b", "c", "d", "e")
INPUTS = Inputs(NAMES, NAMES, ("clinical",) * 5) + genetic_inputs(2)


def with_norms(seed: int, *norms: float) -> NetworkResult:
    """Variables a … e have these ‖W_g‖; the genetic dimension that is left differs by seed."""
    layer = np.zeros((7, 4))
    layer[:5, 0] = np.array(norms) * 0.6
    layer[:5, 2] = np.array(norms) * -0.8
    layer[5 + seed % 2, 0] = 9.0
    params = {"configuration": 0, "seed": seed, "regularizer": "group_lasso"}
    return NetworkResult(params, INPUTS, {"val_auroc": 0.5}, {}, layer, layer)


def test_importance_is_correlated_over_the_variables_that_both_seeds_keep():
    networks = [
        with_norms(0, 1, 2, 3, 4, 0),
        with_norms(1, 2, 1, 3, 5, 4),
        with_norms(2, 4, 3, 2, 0, 1),
    ]
    found = importance_correlation(networks)
    wanted = [
        spearmanr([1, 2, 3, 4], [2, 1, 3, 5]).statistic,
        spearmanr([1, 2, 3], [4, 3, 2]).statistic,
        spearmanr([2, 1, 3, 4], [4, 3, 2, 1]).statistic,
    ]
    assert found.mean == pytest.approx(np.mean(wanted))
    assert (found.low, found.high, found.pairs) == (pytest.approx(-1), pytest.approx(0.8), 3)


def test_two_variables_in_common_are_too_few_and_said_so():
    found = importance_correlation([with_norms(0, 1, 2, 0, 0, 0), with_norms(1, 2, 1, 3, 0, 0)])
    assert found.pairs == 0 and found.text.startswith("undefined, because no two seeds keep 3")


def test_a_variable_dies_at_the_first_epoch_from_which_it_stays_zeroed():
    kept = np.array([[1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1]], bool)
    assert died_epochs(kept, ("returns", "dies", "stays", "late")) == {"returns": 4, "dies": 3}


def test_deaths_are_counted_in_order_the_last_to_die_first_among_the_lost():
    networks = [n for n in group_lasso_study(6).networks if n.configuration == 3]
    table = selection_frequencies(networks).set_index("variable")
    assert table.index[0] == "age" and table.loc["age", "died"] == 0
    lost = table.drop("age")
    assert (lost["died"] == 6).all() and lost["died_epoch"].is_monotonic_decreasing
    first = clinical_inputs().variable_names[0]  # planted to die at 20, 21 or 22
    assert tuple(lost.loc[first, ["died_low", "died_epoch", "died_high"]]) == (20, 21, 22)


def test_a_solutions_interval_is_that_of_the_mean_over_its_networks_on_the_same_resamples():
    networks = [n for n in group_lasso_study(10).networks if n.configuration == 2]
    clinical, genetic = solutions_of(networks, "val_auroc")
    for solution in (clinical, genetic):
        means = np.mean([n.resamples["last"] for n in solution.networks], axis=0)
        assert solution.test_intervals["last"] == tuple(np.quantile(means, [0.025, 0.975]))
    # Nine tenths of the planted variance are common to all seeds, so averaging hardly narrows it.
    single = np.ptp(bootstrap.interval([clinical.networks[0].resamples["last"]]))
    assert 0.8 * single < np.ptp(clinical.test_intervals["last"]) < single


def test_components_of_ancestry_are_in_every_network_and_correlate_nothing():
    names = ("PC1", "PC2", "PC3", "PC4")
    ancestry = Inputs(names, names, (ANCESTRY,) * 4)
    plain, with_ancestry = [], []
    for seed, norms in enumerate(((1, 2, 3, 4, 0), (2, 1, 3, 5, 4))):
        network = with_norms(seed, *norms)
        components = np.ones((4, 4)) * np.arange(1, 5)[:, None]  # alike in both seeds
        layer = np.concatenate([network.first_layer, components])
        plain.append(network)
        with_ancestry.append(
            replace(network, inputs=INPUTS + ancestry, first_layer=layer, first_layer_final=layer)
        )
    assert importance_correlation(with_ancestry) == importance_correlation(plain)


def test_what_is_kept_is_counted_alike_everywhere_and_without_ancestry():
    names = ("PC1", "PC2")
    inputs = clinical_inputs() + Inputs(names, names, (ANCESTRY,) * 2)
    networks = []
    for configuration, keep in enumerate((("age",), ("age", "male", "sysBP"))):
        kept = (*keep, *names)
        networks += [
            network(inputs, configuration, seed, keep_best=kept, keep_last=kept,
                    val=0.6 + 0.1 * configuration)
            for seed in range(2)
        ]  # fmt: skip
    study = StudyResults(record(objectives=("val_auroc", "kept_variables")), tuple(networks))
    summary = summarize(study)
    by_network, by_configuration = kept_and_score(summary)
    assert sorted(set(by_network["kept"])) == by_configuration["kept"].tolist() == [1, 3]
    front = configuration_front(summary.configurations, all_families(summary.configurations), True)
    assert [point["kept"] for point in front] == [1, 3]
    scores = [outcome_of(n, "r", "val_auroc").score.kept for n in networks]
    assert scores == [1, 1, 3, 3]
