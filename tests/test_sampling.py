"""Configurations fill their ranges, repeat after a stop, and keep their numbers in growth."""

import itertools
import logging
import math
import warnings

import optuna
import pytest

from pipeline.search_space.combinations import at_quantile
from pipeline.search_space.sampling import Sampling, distributions, frozen_params
from pipeline.search_space.space import Range
from pipeline.search_space.study_file import load_search_space

LASSO = """\
regularizer: [group_lasso]
lambda_group: {low: 0.001, high: 0.016, log: true}
"""
CROSSED = """\
regularizer: [none, l1, elastic_net]
inputs: [[clinical], [clinical, genetic]]
lambda_l1: {low: 0.001, high: 0.1, log: true}
lambda_l2: {low: 0.01, high: 1.0, log: true}
"""
MIXED = """\
regularizer: [none, l1, l2]
lambda_l1: {low: 0.001, high: 0.1, log: true}
lambda_l2: [0.1, 0.2]
"""
SAMPLERS = ("qmc", "random", "tpe")


@pytest.fixture
def study(tmp_path):
    def load(space, **keys):
        lines = "".join(f"  {line}\n" for line in space.splitlines())
        path = tmp_path / "study.yaml"
        path.write_text(f"target: y\nspace:\n{lines}")
        return load_search_space(str(path), keys)

    return load


def score(configuration):
    """Largest at λ = 0.004 (either of them), and lower with every λ that is not used."""
    used = [v for k, v in configuration.params.items() if k.startswith("lambda") and v > 0]
    return -sum(abs(math.log(value / 0.004)) for value in used) - 5 * (not used)


def run(space, at_most=None, recorded=None):
    """Number → params of all configurations of a study, trained batch by batch."""
    return {c.number: dict(c.params) for c in trained(space, at_most, recorded)}


def trained(space, at_most=None, recorded=None):
    """All configurations of a study by number, each trained once, batch by batch."""
    sampling, done, finished = Sampling(space, recorded), [], {}
    while batch := sampling.next(finished, at_most):
        done += batch
        finished |= {c.number: score(c) for c in batch}
    done.sort(key=lambda configuration: configuration.number)
    assert [c.number for c in done] == list(range(sampling.total))
    return done


def lambdas(space, name="lambda_group"):
    return [c.params[name] for c in Sampling(space).next({})]


def log_stratum(value, low, high, strata):
    return int(strata * math.log(value / low) / math.log(high / low))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_sixteen_quasi_random_points_fill_sixteen_equal_strata(study, seed):
    found = lambdas(study(LASSO, sampler_seed=seed))
    assert sorted(log_stratum(v, 0.001, 0.016, 16) for v in found) == list(range(16))


def test_the_first_points_are_part_of_the_sequence_and_not_random(study):
    for count in (2, 4, 8):
        found = lambdas(study(LASSO, configurations=count))
        assert sorted(log_stratum(v, 0.001, 0.016, count) for v in found) == list(range(count))


def test_two_lambdas_are_stratified_each_and_together(study):
    space = study("regularizer: elastic_net\n" + CROSSED[CROSSED.index("lambda_l1") :])
    found = [(c.params["lambda_l1"], c.params["lambda_l2"]) for c in Sampling(space).next({})]
    strata = [(log_stratum(a, 0.001, 0.1, 4), log_stratum(b, 0.01, 1, 4)) for a, b in found]
    assert sorted(strata) == list(itertools.product(range(4), range(4)))


def test_a_lambda_that_is_not_used_is_exactly_zero(study):
    uses = {"none": set(), "l1": {"lambda_l1"}, "l2": {"lambda_l2"}}
    for configuration in Sampling(study(MIXED, configurations=12)).next({}):
        params = configuration.params
        positive = {k for k in params if k.startswith("lambda") and params[k] != 0.0}
        assert positive == uses[params["regularizer"]]


def test_the_same_configuration_is_never_asked_twice(study):
    for sampler in SAMPLERS:
        found = run(study(MIXED, sampler=sampler, configurations=24)).values()
        effective = {(p["regularizer"], p["lambda_l1"], p["lambda_l2"]) for p in found}
        assert len(found) == len(effective) == 24


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_exhausted_study_stops_with_all_it_has(study, sampler):
    choices = (
        "regularizer: [none, l1, l2]\nlambda_l1: [1, 2, 3]\nlambda_l2: {low: 1, high: 2, step: 0.5}"
    )
    found = run(study(choices, sampler=sampler, configurations=50)).values()
    assert sorted((p["regularizer"], p["lambda_l1"], p["lambda_l2"]) for p in found) == [
        ("l1", 1.0, 0.0),
        ("l1", 2.0, 0.0),
        ("l1", 3.0, 0.0),
        ("l2", 0.0, 1.0),
        ("l2", 0.0, 1.5),
        ("l2", 0.0, 2.0),
        ("none", 0.0, 0.0),
    ]


def test_crossed_keys_are_numbered_round_by_round_and_none_has_one_round(study):
    found = run(study(CROSSED, cross="regularizer,inputs", configurations=2))
    both = [("clinical",), ("clinical", "genetic")]
    first = list(itertools.product(("none", "l1", "elastic_net"), map("+".join, both)))
    expected = first + [choice for choice in first if choice[0] != "none"]
    assert [(found[n]["regularizer"], found[n]["inputs"]) for n in sorted(found)] == expected


def test_inputs_are_compared_at_the_same_lambdas(study):
    found = run(study(CROSSED, cross="regularizer,inputs", configurations=4)).values()
    of = {
        inputs: [p["lambda_l1"] for p in found if (p["regularizer"], p["inputs"]) == ("l1", inputs)]
        for inputs in ("clinical", "clinical+genetic")
    }
    assert of["clinical"] == of["clinical+genetic"]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("cross", [None, "regularizer", "regularizer,inputs"])
def test_more_configurations_keep_the_numbers_that_were(study, sampler, cross):
    small, large = (
        run(study(CROSSED, sampler=sampler, cross=cross, configurations=count)) for count in (5, 14)
    )
    assert len(large) > len(small)
    assert {number: large[number] for number in small} == small


@pytest.mark.parametrize("sampler", [*SAMPLERS, "grid"])
def test_a_study_stopped_anywhere_goes_on_as_if_it_had_not(study, sampler):
    space = study(MIXED.replace("log: true", "log: true, points: 16"), sampler=sampler)
    whole = run(space)
    scores = {c.number: score(c) for c in trained(space)}
    for stop in range(len(whole) + 1):
        finished = {number: scores[number] for number in range(stop)}
        for configuration in Sampling(space).next(finished):
            assert configuration.number >= stop
            assert dict(configuration.params) == whole[configuration.number]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_size_of_the_batches_changes_nothing(study, sampler):
    space = study(CROSSED, sampler=sampler, cross="regularizer", configurations=14)
    assert run(space, at_most=1) == run(space, at_most=5) == run(space)


def test_what_is_not_finished_comes_again_and_nothing_after_all_is(study):
    sampling = Sampling(study(LASSO, configurations=3))
    first = sampling.next({})
    assert [c.number for c in first] == [0, 1, 2]
    assert sampling.next({1: 0.5}) == [first[0], first[2]]
    assert sampling.next({0: 0.5, 1: None, 2: 0.1}) == []


def test_tpe_waits_for_the_scores_of_earlier_batches(study):
    sampling = Sampling(study(LASSO, sampler="tpe"))
    first = sampling.next({})
    assert [c.number for c in first] == list(range(8))
    finished = {c.number: score(c) for c in first[:-1]}
    assert [c.number for c in sampling.next(finished)] == [7]
    finished[7] = None
    assert [c.number for c in sampling.next(finished)] == [8, 9, 10, 11]


def test_tpe_moves_towards_the_better_scores(study):
    found = run(study(LASSO, sampler="tpe", configurations=40))
    distance = [abs(math.log(found[n]["lambda_group"] / 0.004)) for n in sorted(found)]
    assert sum(distance[-16:]) < 0.5 * sum(distance[:16])


def test_known_configurations_are_kept_when_their_scores_have_changed(study):
    space = study(MIXED, sampler="tpe", configurations=16)
    before = run(space)
    changed = {number: float(number % 3) for number in range(12)}
    assert [dict(c.params) for c in Sampling(space).next(changed)] != [
        before[number] for number in range(12, 16)
    ]
    known = {n: params for n, params in before.items() if n < 14}
    found = {c.number: dict(c.params) for c in Sampling(space, known).next(changed)}
    assert {12: before[12], 13: before[13]} == {n: found[n] for n in (12, 13)}
    assert set(found) == {12, 13, 14, 15}


def test_recorded_params_are_known_configurations(study):
    space = study(MIXED + "hidden_layer_sizes: [[], [50, 20]]\n", sampler="tpe")
    configurations = trained(space)
    known = {c.number: frozen_params(space, c, seed=3)[0] for c in configurations}
    assert Sampling(space, known).next({}) == configurations


def test_configurations_of_another_study_are_refused(study):
    with pytest.raises(ValueError, match="configuration 0 must have the study's `regularizer`"):
        Sampling(study(LASSO), {0: {"regularizer": "l1", "lambda_group": 0.002}})


def test_a_grid_visits_every_point_once_in_an_order_that_growth_keeps(study):
    text = LASSO.replace("log: true", "log: true, points: 5") + "learning_rate: [0.1, 0.2]\n"
    whole = run(study(text, sampler="grid", configurations=99))
    points = {(round(p["lambda_group"], 12), p["learning_rate"]) for p in whole.values()}
    assert points == set(itertools.product((0.001, 0.002, 0.004, 0.008, 0.016), (0.1, 0.2)))
    assert len(whole) == 10
    part = run(study(text, sampler="grid", configurations=4))
    assert {number: whole[number] for number in range(4)} == part


def test_a_grid_counts_what_a_regularizer_does_not_use_once(study):
    grid = MIXED.replace("log: true", "log: true, points: 90")
    found = run(study(grid, sampler="grid", configurations=1000)).values()
    kinds = [p["regularizer"] for p in found]
    assert [kinds.count(kind) for kind in ("none", "l1", "l2")] == [1, 90, 2]


def test_a_grid_of_whole_numbers_needs_no_points(study):
    found = run(study("regularizer: none\nepochs: {low: 3, high: 6}", sampler="grid"))
    assert sorted(p["epochs"] for p in found.values()) == [3, 4, 5, 6]


def test_searched_values_are_laid_over_network_and_training(study):
    text = "regularizer: none\nepochs: [7]\nhidden_layer_sizes: [[]]\nlearning_rate: 0.5"
    (configuration,) = Sampling(study(text)).next({})
    assert configuration.network.hidden_layer_sizes == ()
    assert (configuration.training.epochs, configuration.training.patience) == (7, 7)
    assert configuration.training.learning_rate == 0.5
    assert configuration.inputs == ("clinical", "genetic")
    expected = {"hidden_layer_sizes": "[]", "epochs": 7, "inputs": "clinical+genetic"}
    assert expected.items() <= configuration.params.items()


def test_genetic_settings_are_not_searched_without_genotypes(study):
    text = "regularizer: none\ngenetic_dimensions: [5, 10]\ninputs: [[clinical], [genetic]]"
    found = run(study(text)).values()
    seen = sorted((p["inputs"], p["genetic_dimensions"]) for p in found)
    assert seen == [("clinical", 20), ("genetic", 5), ("genetic", 10)]


def test_trials_of_a_growing_study_fit_into_one_optuna_study(study):
    text = CROSSED + "genetic_dimensions: {low: 2, high: 9, log: true}\nepochs: [5, 9]\n"
    record = optuna.create_study(direction="maximize")
    for count, seed in ((3, 0), (9, 123_456)):
        space = study(text, cross="regularizer,inputs", configurations=count)
        for configuration in Sampling(space).next({}):
            params, kinds = frozen_params(space, configuration, seed)
            assert params["seed"] == seed
            assert params["configuration"] == configuration.number
            record.add_trial(
                optuna.trial.create_trial(value=0.5, params=params, distributions=kinds)
            )
    lambdas = {name for name in record.trials[0].params if name.startswith("lambda_")}
    assert lambdas == {name for name in space.space if name.startswith("lambda_")}
    assert {"regularizer", "inputs", "seed", "configuration", "epochs"} <= set(
        record.trials[0].params
    )
    assert len(distributions(space)["regularizer"].choices) == 6


def test_of_two_objectives_tpe_looks_for_configurations_that_none_beats_in_both(study):
    def values(configuration):  # both are best at 0.002, 0.008, or between: the front
        x = math.log2(configuration.params["lambda_group"] * 1000)
        return 0.7 - abs(x - 3) / 20, 5 + abs(x - 1)

    text = LASSO.replace("0.016", "1024").replace("0.001", "0.001")
    space = study(text, sampler="tpe", configurations=40, objective="val_auroc, kept_variables")
    sampling, finished, found = Sampling(space), {}, []
    while batch := sampling.next(finished):
        finished |= {c.number: values(c) for c in batch}
        found += [math.log2(c.params["lambda_group"] * 1000) for c in batch]
    on_front = [-0.5 <= x <= 4.5 for x in found]  # a quarter of the range
    assert sum(on_front[:8]) <= 3 and sum(on_front[20:]) >= 10


def test_optuna_is_silent_here_and_as_loud_as_before_elsewhere(study, capsys):
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(study(MIXED, sampler="tpe"))
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.set_verbosity(level)
    assert capsys.readouterr() == ("", "")


def test_the_highest_quantile_of_many_uneven_steps_stays_within_the_range():
    steps = Range(low=0, high=30_002, integer=True, step=3)
    assert at_quantile(steps, 0.999999) == 30_000
