"""What Optuna's storage is told of networks, and what a sampler is told of configurations."""

import math
from dataclasses import replace

import optuna
import pytest
from planted_study import network
from test_solutions import BOTH

from pipeline.search_space.sampling import Sampling
from pipeline.search_space.study_file import load_search_space
from pipeline.study.trials import Trials

STUDY = """
target: y
configurations: 2
seeds: 4
space: {regularizer: [group_lasso], lambda_group: {low: 0.001, high: 0.03, log: true}}
"""


def told(tmp_path, objective: str) -> tuple[Trials, Trials, optuna.Study]:
    """A study of two configurations of four seeds, told and read again from its storage.

    c0 scores 0.60 … 0.63 with 3 variables left at its best epochs; three seeds end with clinical
    variables only, one with genetic ones; c1 scores 0.1 more with 15 left, and all seeds agree.
    """
    path = tmp_path / "study.yaml"
    path.write_text(STUDY + f"objective: {objective}\n")
    space, storage = load_search_space(str(path)), f"sqlite:///{tmp_path}/optuna.db"
    trials = Trials(space, "0f", storage)
    for configuration in Sampling(space).next({}):
        for seed in range(4):
            c = configuration.number
            number = trials.ask(configuration, seed)
            result = network(
                BOTH, c, seed, val=0.6 + 0.1 * c + seed / 100, units=2,
                keep_best=BOTH.variable_names[: 15 if c else 3],
                keep_last=("genetic_1",) if c == 0 and seed == 3 else ("age", "male"),
            )  # fmt: skip
            trials.tell(number, (c, seed), result)
    return trials, Trials(space, "0f", storage), optuna.load_study(study_name=None, storage=storage)


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
def test_a_configurations_objectives_are_the_same_now_and_after_a_stop(
    tmp_path, objective, wanted, directions
):
    trials, again, study = told(tmp_path, objective)
    for of in (trials.scores(), again.scores()):
        assert of == {c: pytest.approx(values) for c, values in wanted.items()}
    assert [d.name for d in study.directions] == directions
    assert again.best_mean() == pytest.approx(max(values[0] for values in wanted.values()))


def test_a_network_that_failed_counts_for_nothing(tmp_path):
    trials, _, study = told(tmp_path, "solution_entropy")
    assert len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))) == 8
    failed = replace(network(BOTH, 0, 3, keep_best=(), keep_last=(), val=0), failure="diverged")
    configuration = Sampling(trials.space).next({})[0]
    trials.tell(trials.ask(configuration, 3), (0, 3), failed)
    assert trials.scores()[0] == (0.0,)
