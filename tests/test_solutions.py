import dataclasses
import math

import numpy as np
import pytest
from planted_study import (
    case_study,
    clinical_inputs,
    genetic_inputs,
    group_lasso_study,
    network,
    record,
)

from pipeline.inspection.agreement import selection_frequencies
from pipeline.inspection.configurations import (
    best_by_inputs_and_regularizer,
    best_row,
    configuration_table,
    most_seed_dependent,
    searched_text,
)
from pipeline.inspection.solutions import (
    kept_counts,
    metric_names,
    solution_label,
    solutions_of,
    spread,
)
from pipeline.inspection.stability import death_epoch, entropy_bits, selection_stability
from pipeline.metrics.metrics import OF_TASK
from pipeline.report.summary import solution_words, summarize
from pipeline.results import Inputs, NetworkResult, StudyResults

BOTH = clinical_inputs() + genetic_inputs()


def of(study: StudyResults, number: int):
    return [n for n in study.networks if n.configuration == number]


def test_spread_is_the_sample_standard_deviation_and_unknown_for_one():
    assert spread([0.6, 0.8]).text == "0.700 ± 0.141"
    assert spread([0.7, math.nan]).text == "0.700 ± –"
    assert spread([]).text == "–"


def test_an_error_in_the_targets_unit_keeps_its_digits_at_any_size():
    assert spread([3417.6, 3501.3]).text == "3459.450 ± 59.185"
    assert spread([3.4e-7, 3.6e-7]).text == "3.5e-07 ± 1.41e-08"
    assert spread([-0.25, -0.35]).text == "-0.300 ± 0.071"


def test_searched_values_other_than_lambdas_are_named_too():
    space = {
        "regularizer": ["l1"],
        "lambda_l1": {"low": 0.1, "high": 1.0},
        "hidden_layer_sizes": [[50], []],
        "learning_rate": {"low": 0.001, "high": 0.01},
        "epochs": [5],
    }
    params = {
        "lambda_l1": 0.25,
        "hidden_layer_sizes": "[50]",
        "learning_rate": 0.00421,
        "epochs": 5,
    }
    said = "hidden_layer_sizes [50], learning_rate 0.00421"
    assert searched_text(params, {"space": space}) == "lambda_l1 0.25, " + said
    assert searched_text(params | {"lambda_l1": 0.0}, {"space": space}) == said
    assert searched_text({"lambda_l1": 0.0}, {}) == "–"


def test_metrics_of_every_task_come_in_the_order_of_the_task():
    def logged(task):
        names = sorted(OF_TASK[task])  # as a tracking store gives them back
        n = NetworkResult({"configuration": 0, "seed": 0}, BOTH, {f"val_{m}": 0.5 for m in names})
        return metric_names([n], f"val_{OF_TASK[task][0]}")

    for task, names in OF_TASK.items():
        assert logged(task) == names


def test_stability_of_identical_selections_is_one_and_has_no_interval():
    found = selection_stability(np.tile([True, False, True, False], (5, 1)))
    assert found.value == pytest.approx(1.0)
    assert math.isnan(found.low) and "no interval" in found.text


def test_stability_of_two_disjoint_halves_by_hand():
    # M 2, d 2, rows (1,0) and (0,1): p = ½, s² = 2·¼ = ½, v = ¼, so 1 − ½/¼ = −1.
    found = selection_stability(np.eye(2, dtype=bool))
    assert found.value == pytest.approx(-1.0)
    assert math.isnan(found.low) and "fewer than 5 networks" in found.text


def test_stability_and_its_interval_by_hand():
    # Four rows 10, one 01. p = (4/5, 1/5), v = ¼, s² = 5/4·4/25 = 1/5: Φ = 1 − (1/5)/(1/4) = 1/5.
    # Without one of the four: p = (3/4, 1/4), s² = 4/3·3/16 = ¼, Φ = 0. Without the fifth Φ = 1.
    # Their mean is 1/5, Σ(Φ₍₋ᵢ₎ − 1/5)² = 4/25 + 16/25 = 4/5, times 4/5: the spread is 4/5.
    found = selection_stability(np.array([[1, 0]] * 4 + [[0, 1]], dtype=bool))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.2 - 2.776445 * 0.8, abs=1e-6)
    assert found.high == 1.0


@pytest.mark.parametrize("networks", [5, 10, 20])
def test_the_interval_of_stability_covers_what_it_says(networks):
    """Networks that keep variable f with probability p_f: Φ is 1 − mean(p(1 − p))/(p̄(1 − p̄))."""
    covered = []
    for seed in range(300):
        rng = np.random.default_rng([networks, seed])
        p = np.random.default_rng(seed % 20).uniform(size=15)
        truth = 1 - np.mean(p * (1 - p)) / (p.mean() * (1 - p.mean()))
        found = selection_stability(rng.random((networks, 15)) < p)
        covered.append(found.low <= truth <= found.high)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_stability_equals_fleiss_kappa_of_networks_rating_variables():
    # Section 4 of the paper; Fleiss' kappa written from its own definition (1971).
    z = np.random.default_rng(0).random((7, 11)) < 0.4
    ones, m = z.sum(axis=0), len(z)
    agreement = np.mean((ones * (ones - 1) + (m - ones) * (m - ones - 1)) / (m * (m - 1)))
    chance = z.mean() ** 2 + (1 - z.mean()) ** 2
    assert selection_stability(z).value == pytest.approx((agreement - chance) / (1 - chance))


@pytest.mark.parametrize("rows", [np.ones((4, 3)), np.zeros((4, 3)), np.ones((1, 3))])
def test_stability_is_undefined_in_words_where_it_is_0_by_0(rows):
    found = selection_stability(rows.astype(bool))
    assert math.isnan(found.value) and found.text.startswith("undefined")


def test_entropy_counts_in_bits():
    assert entropy_bits(["a", "b", "a", "b"]) == pytest.approx(1.0)
    assert entropy_bits(["a"] * 3) == 0.0 == entropy_bits([])


def test_a_family_dies_at_the_first_epoch_from_which_it_stays_zero():
    assert death_epoch(np.array([3, 0, 2, 0, 0])) == 4
    assert death_epoch(np.array([0, 0])) == 1
    assert death_epoch(np.array([1, 0, 1])) is None


@pytest.mark.parametrize(
    ("keep", "label"),
    [
        (("age", "genetic_3"), "clinical + genetic"),
        (("age",), "clinical only"),
        (("genetic_19",), "genetic only"),
        ((), "nothing"),
    ],
)
def test_the_label_of_two_families_names_those_that_are_left(keep, label):
    assert solution_label(network(BOTH, 0, 0, keep_best=(), keep_last=keep, val=0.6)) == label


@pytest.mark.parametrize(
    ("keep", "label"),
    [
        (("sysBP", "age"), "age + sysBP"),
        (clinical_inputs().variable_names, "all 15 clinical"),
        (clinical_inputs().variable_names[:7], "7 of 15 clinical"),
        ((), "nothing"),
    ],
)
def test_the_label_of_one_family_names_few_and_counts_many(keep, label):
    net = network(clinical_inputs(), 0, 0, keep_best=(), keep_last=keep, val=0.6)
    assert solution_label(net) == label


def test_exchangeable_dimensions_are_counted_and_never_named():
    labels = {
        solution_label(network(genetic_inputs(), 0, s, keep_best=(), keep_last=(f"genetic_{s}",),
                               val=0.6))
        for s in range(5)
    }  # fmt: skip
    assert labels == {"1 of 20 genetic"}


def test_without_weights_the_logged_counts_are_used():
    net = network(BOTH, 0, 0, keep_best=("age",), keep_last=("age", "genetic_0"), val=0.6)
    bare = type(net)(net.params, net.inputs, net.metrics)
    assert kept_counts(bare, "last") == {"clinical": 1, "genetic": 1}
    assert solution_label(bare) == "clinical + genetic"
    assert solution_label(type(net)(net.params, net.inputs)) == "unknown"


def test_planted_solutions_are_found_largest_first():
    study = group_lasso_study()
    first, second = solutions_of(of(study, 2), "val_auroc")
    assert (first.label, len(first.networks)) == ("clinical only", 6)
    assert (second.label, len(second.networks)) == ("genetic only", 4)
    assert first.variables == {"male": 1.0, "age": 1.0, "sysBP": 1.0}
    assert second.variables == {}
    assert [f.text for f in first.families] == ["3 of 15 clinical kept", "all 20 genetic zeroed"]
    (at_best,) = solutions_of(of(study, 2), "val_auroc", "best")
    assert at_best.label == "clinical + genetic" and at_best.share == 1.0


def test_the_representative_has_the_median_objective():
    (solution,) = solutions_of(of(group_lasso_study(5), 1), "val_auroc")
    assert solution.representative.seed == 2


def test_the_best_mean_wins_and_not_the_luckiest_seed():
    study = group_lasso_study()
    luckiest = max(study.networks, key=lambda n: n.metrics["val_auroc"])
    assert luckiest.configuration == 3
    assert best_row(configuration_table(study), True)["configuration"] == 1


def test_test_metrics_have_no_say():
    study = group_lasso_study(4)
    for n in of(study, 3):
        n.metrics["test_auroc"] = 0.99
    assert summarize(study).best == 1


def test_a_configuration_with_fewer_than_half_the_seeds_cannot_win():
    study = group_lasso_study(10)

    def but(keep: int) -> StudyResults:
        own = [n for n in study.networks if n.configuration != 1 or n.seed < keep]
        return StudyResults(study.record, tuple(own))

    assert summarize(but(5)).best == 1
    assert summarize(but(4)).best == 0
    assert any("c1 finished fewer than half" in f for f in summarize(but(4)).flags)


def test_ties_go_to_the_lower_number_and_a_loss_is_minimized():
    nets = [network(BOTH, c, s, keep_best=("age",), keep_last=("age",), val=v)
            for c, v in ((2, 0.6), (1, 0.6), (0, 0.7)) for s in range(2)]  # fmt: skip
    table = configuration_table(StudyResults(record(), tuple(nets)))
    assert best_row(table, True)["configuration"] == 0
    assert best_row(table, False)["configuration"] == 1


def test_the_tipping_point_has_the_largest_entropy():
    study = group_lasso_study()
    row = most_seed_dependent(configuration_table(study))
    assert row["configuration"] == 2
    assert row["entropy_last_bits"] == pytest.approx(-0.6 * math.log2(0.6) - 0.4 * math.log2(0.4))
    alike = StudyResults(study.record, tuple(of(study, 3)))
    assert most_seed_dependent(configuration_table(alike)) is None


def test_entropy_ties_go_to_the_larger_gap_in_score():
    def torn(c: int, gap: float):
        return [network(BOTH, c, s, keep_best=(), keep_last=("age",) if s else ("genetic_0",),
                        val=0.6 + gap * s) for s in range(2)]  # fmt: skip

    table = configuration_table(StudyResults(record(), (*torn(0, 0.01), *torn(1, 0.05))))
    assert most_seed_dependent(table)["configuration"] == 1


def test_the_table_of_results_has_one_row_for_each_inputs_and_regularizer():
    best_rows = best_by_inputs_and_regularizer(configuration_table(case_study()), True)
    assert len(best_rows) == 9
    best = best_rows.set_index(["inputs", "regularizer"])
    assert best.loc[("clinical+genetic", "group_lasso"), "configuration"] == 1
    for plain in ("none", "l2"):
        assert best.loc[("clinical+genetic", plain), "zeroed_clinical_mean"] == 0.0
    assert best.loc[("clinical+genetic", "l1"), "zeroed_genetic_mean"] == 19.0


def test_selection_frequencies_are_those_planted():
    table = selection_frequencies(of(group_lasso_study(), 1)).set_index("variable")["share_last"]
    assert table["age"] == 1.0 and table["education"] == 0.5 and table["BMI"] == 0.0
    assert not any(v.startswith("genetic") for v in table.index)


def test_flags_say_border_failures_and_residuals_in_words():
    summary = summarize(case_study())
    text = " ".join(summary.flags)
    assert "6 × the loss was not finite at epoch 3" in text
    assert (
        "20 of 138 finished networks have a relative kkt_residual above 0.001 (largest 0.005)"
        in text
    )
    nets = [network(BOTH, 0, s, keep_best=("age",), keep_last=("age",), val=0.6,
                    lambdas={"lambda_group": 0.00105}) for s in range(2)]  # fmt: skip
    (flag,) = summarize(StudyResults(record(), tuple(nets))).flags
    assert flag.startswith("lambda_group 0.00105") and "lower end" in flag


def test_the_smallest_value_tried_is_no_border_inside_a_range():
    tried = [0.005, 0.006, 0.007]
    nets = [network(BOTH, c, 0, keep_best=("age",), keep_last=("age",), val=0.6 - c / 100,
                    lambdas={"lambda_group": tried[c]}) for c in range(3)]  # fmt: skip
    assert summarize(StudyResults(record(), tuple(nets))).flags == ()
    settings = {"space": {"lambda_group": tried}}
    (flag,) = summarize(StudyResults(record(settings=settings), tuple(nets))).flags
    assert flag.startswith("lambda_group 0.005") and "lower end" in flag


def test_the_answer_is_three_sentences_with_the_planted_truth():
    seed, how_good, which = summarize(group_lasso_study()).answer
    assert "configuration 1" in how_good and "0.720 ± 0.006 over 10 seeds" in how_good
    assert "3.5 of 15 clinical and 0.0 of 20 genetic (simulated)" in which
    assert "every seed keeps male, age and sysBP" in which
    assert "configuration 2" in seed and "6 of 10 seeds end with clinical only" in seed


def test_families_and_metrics_of_the_users_own_are_taken_as_they_are():
    inputs = Inputs(("a", "b"), ("a", "b"), ("blood", "urine"))
    nets = []
    for s in range(3):
        net = network(inputs, 0, s, keep_best=("a",), keep_last=("a",), val=0.5)
        metrics = {"val_r2": 0.3 + s / 100, "test_r2": 0.2, "val_mean_absolute_error": 1.0}
        nets.append(type(net)(net.params, inputs, metrics, {}, net.first_layer, net.first_layer))
    summary = summarize(StudyResults(record(objective="val_r2", genotypes="none"), tuple(nets)))
    assert summary.metrics == ("r2", "mean_absolute_error")
    assert "test R² of 0.200 ± 0.000" in summary.answer[0]
    assert summary.focus[0].last[0].label == "blood only"


def test_a_family_that_the_finish_zeroed_is_counted_apart_from_those_that_died():
    study = group_lasso_study(6)
    networks = [n for n in study.networks if n.configuration == 3]  # age alone is kept in the end
    curve = np.array([20.0, 8.0, 2.0])
    finished_off = [
        dataclasses.replace(n, curves={**n.curves, "kept_genetic": curve}) for n in networks[:2]
    ]
    (solution,) = solutions_of([*finished_off, *networks[2:]], "val_auroc")
    genetic = next(f for f in solution.families if f.family == "genetic")
    assert genetic.in_finish == 2 and len(genetic.deaths) == 4
    assert genetic.lost_words == f"by epoch {genetic.deaths[-1]}, by 2 seeds in the finish"
    assert f"zeroed {genetic.lost_words}," in solution_words(solution, 1, study.record)
    (all_late,) = solutions_of(finished_off, "val_auroc")
    words = solution_words(all_late, 1, study.record)
    assert "all 20 genetic (simulated) zeroed in the finish, test AUROC" in words
