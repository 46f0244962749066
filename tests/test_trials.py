"""What Optuna's storage is told of networks, and what a sampler is told of configurations."""

import math
from dataclasses import replace

import optuna
import pytest
from planted_study import network
from test_solutions import BOTH

from pipeline.inspection import solution_label
from pipeline.search_space.sampling import Sampling
from pipeline.search_space.study_file import load_search_space
from pipeline.study.recording import outcome_of
from pipeline.study.scores import Outcome, Scores
from pipeline.study.trials import Trials, refused_storage

STUDY = """
target: y
configurations: 2
seeds: 4
space: {regularizer: [group_lasso], lambda_group: {low: 0.001, high: 0.03, log: true}}
"""


def recorded(tmp_path, objective: str) -> tuple[Trials, Scores, optuna.Study]:
    """A study of two configurations of four seeds, recorded.

    c0 scores 0.60 … 0.63 with 3 variables left at its best epochs; three seeds end with clinical
    variables only, one with genetic ones; c1 scores 0.1 more with 15 left, and all seeds agree.
    """
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + f"objective: {objective}\n")
    space, storage = load_search_space(str(path)), f"sqlite:///{tmp_path}/optuna.db"
    trials, scores = Trials(space, "0f", storage), Scores(space)
    for configuration in Sampling(space).next({}):
        for seed in range(4):
            c = configuration.number
            result = network(
                BOTH, c, seed, val=0.6 + 0.1 * c + seed / 100, units=2,
                keep_best=BOTH.variable_names[: 15 if c else 3],
                keep_last=("genetic_1",) if c == 0 and seed == 3 else ("age", "male"),
            )  # fmt: skip
            add(trials, scores, configuration, result)
    return trials, scores, optuna.load_study(study_name=None, storage=storage)


def add(trials: Trials, scores: Scores, configuration, result) -> None:
    """A network is recorded, as the run `r<configuration>-<seed>`."""
    key = {"seed": result.seed, "configuration": result.configuration}
    result = replace(
        result,
        params={**configuration.params, **key},
        solution=None if result.failure else solution_label(result),
    )
    outcome = outcome_of(result, "r{configuration}-{seed}".format(**key), scores.space.objective)
    scores.add(outcome)
    assert trials.add([outcome])[outcome.run_id] == trials.next_number - 1


@pytest.mark.parametrize(
    ("objective", "wanted", "directions"),
    [
        ("val_auroc", {0: (0.615,), 1: (0.715,)}, ["MAXIMIZE"]),
        ("[val_auroc, kept_variables]", {0: (0.615, 3), 1: (0.715, 15)}, ["MAXIMIZE", "MINIMIZE"]),
        (
            "solution_entropy",
            {0: (-0.75 * math.log2(0.75) - 0.25 * math.log2(0.25),), 1: (0.0,)},
            ["MAXIMIZE"],
        ),
    ],
)
def test_a_configurations_objectives_are_over_its_seeds(tmp_path, objective, wanted, directions):
    _, scores, study = recorded(tmp_path, objective)
    assert scores.by_configuration() == {c: pytest.approx(v) for c, v in wanted.items()}
    assert [d.name for d in study.directions] == directions
    assert scores.best_mean() == pytest.approx(max(values[0] for values in wanted.values()))
    by_number = {t.number: t for t in study.trials}
    assert list(by_number) == list(range(8))
    assert by_number[0].values[0] == pytest.approx(0.6)
    assert by_number[7].user_attrs["run_id"] == "r1-3"


def three_outcomes(space) -> list[Outcome]:
    """Of three seeds of the first configuration, runs r0 to r2."""
    configuration = Sampling(space).next({})[0]
    outcomes = []
    for seed in range(3):
        result = network(BOTH, 0, seed, keep_best=(), keep_last=(), val=0.5)
        params = {**configuration.params, "seed": seed, "configuration": 0}
        outcomes.append(outcome_of(replace(result, params=params), f"r{seed}", space.objective))
    return outcomes


def test_trials_that_a_failing_storage_did_take_are_not_added_again(tmp_path, monkeypatch):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    space = load_search_space(str(path))
    trials = Trials(space, "0f", f"sqlite:///{tmp_path}/optuna.db")
    outcomes = three_outcomes(space)
    calls = []
    add_trial = optuna.Study.add_trial

    def away_at_the_second(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        calls.append(trial)
        if len(calls) == 2:
            raise ConnectionError
        add_trial(study, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", away_at_the_second)
    with pytest.raises(ConnectionError):
        trials.add(outcomes)
    assert trials.add(outcomes) == {"r0": 0, "r1": 1, "r2": 2}
    assert len(trials._study.trials) == 3


def test_a_study_that_is_left_adds_no_further_trial_and_the_next_start_adds_the_rest(
    tmp_path, monkeypatch
):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    space = load_search_space(str(path))
    storage = f"sqlite:///{tmp_path}/optuna.db"
    trials = Trials(space, "0f", storage)
    outcomes = three_outcomes(space)
    add_trial = optuna.Study.add_trial

    def left_meanwhile(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        add_trial(study, trial)
        trials.leave()

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", left_meanwhile)
        assert trials.add(outcomes) == {"r0": 0}
    assert Trials(space, "0f", storage).add(outcomes) == {"r0": 0, "r1": 1, "r2": 2}


def test_a_storage_that_fails_without_a_word_is_refused_by_the_kind_of_error():
    assert "NotImplementedError" in str(refused_storage("sqlite:///a.db", NotImplementedError()))


def test_a_network_that_failed_counts_for_nothing(tmp_path):
    trials, scores, study = recorded(tmp_path, "solution_entropy")
    assert len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))) == 8
    failed = replace(network(BOTH, 0, 3, keep_best=(), keep_last=(), val=0), failure="diverged")
    configuration = Sampling(trials.space).next({})[0]
    fresh = Trials(trials.space, "1f", f"sqlite:///{tmp_path}/optuna.db")
    add(fresh, scores, configuration, failed)
    assert scores.by_configuration()[0] == (0.0,)
    (trial,) = optuna.load_study(
        study_name="study 1f", storage=f"sqlite:///{tmp_path}/optuna.db"
    ).trials
    assert (trial.state.name, trial.user_attrs["failure"]) == ("FAIL", "diverged")
