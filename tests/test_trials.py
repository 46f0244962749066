"""What Optuna's storage is told of networks, and what a sampler is told of configurations."""

import math
import time
from dataclasses import replace

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState, create_trial
from planted_study import network
from test_solutions import BOTH

from pipeline.inspection import solution_label
from pipeline.search_space.sampling import Sampling
from pipeline.search_space.study_file import load_search_space
from pipeline.study import trial_rows
from pipeline.study.recording import outcome_of
from pipeline.study.scores import Outcome, Scores
from pipeline.study.trial_rows import TrialRows
from pipeline.study.trials import Trials, open_storage, refused_storage

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
    trials._rows = None  # by Optuna's calls, one at a time

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
    trials._rows = None  # by Optuna's calls, one at a time
    outcomes = three_outcomes(space)
    add_trial = optuna.Study.add_trial

    def left_meanwhile(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        add_trial(study, trial)
        trials.leave()

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "add_trial", left_meanwhile)
        assert trials.add(outcomes) == {"r0": 0}
    assert Trials(space, "0f", storage).add(outcomes) == {"r0": 0, "r1": 1, "r2": 2}


def tables_of(storage: str) -> dict[str, list]:
    """All rows of all tables of a database."""
    engine, metadata = sa.create_engine(storage), sa.MetaData()
    metadata.reflect(engine)
    with engine.connect() as connection:
        rows = {
            name: sorted(map(repr, connection.execute(table.select())))
            for name, table in metadata.tables.items()
        }
    engine.dispose()
    return rows


def ended_trials() -> list[optuna.trial.FrozenTrial]:
    """With every kind of distribution, several values, and failed."""
    distributions = {
        "regularizer": optuna.distributions.CategoricalDistribution(("l1", "group_lasso")),
        "units": optuna.distributions.CategoricalDistribution(("50", "20 10", True, None, 3)),
        "lambda_l1": optuna.distributions.FloatDistribution(0.0, 0.1),
        "rate": optuna.distributions.FloatDistribution(1e-5, 1.0, log=True),
        "seed": optuna.distributions.IntDistribution(0, 2**31 - 1),
    }
    params = {"regularizer": "group_lasso", "units": "20 10", "lambda_l1": 0.3 - 0.2,
              "rate": 1 / 3, "seed": 2**31 - 1}  # fmt: skip
    own = {"params": params, "distributions": distributions}
    attributes = {"run_id": "r\u00e9", "failure": 'it said "no"'}
    return [
        create_trial(values=[1 / 3, 7.0], user_attrs={"run_id": "a"}, **own),
        create_trial(state=TrialState.FAIL, user_attrs=attributes, **own),
        create_trial(values=[0.0, -1e-300], **own),
    ]


def compare_rows(ours: str, optunas: str) -> None:
    """Two new databases: what one transaction writes is what Optuna's own calls write."""
    ended = ended_trials()
    for storage in (ours, optunas):
        of_name = {
            name: optuna.create_study(
                study_name=name, storage=open_storage(storage), directions=["maximize", "minimize"]
            )
            for name in ("one", "another")
        }
        if storage == ours:
            opened = open_storage(storage)
            rows = TrialRows.of(opened)
            assert rows is not None
            ids = {name: opened.get_study_id_from_name(name) for name in of_name}
            first = [rows.add(ids[n], part) for n, part in (
                ("one", ended[:1]), ("another", ended[:2]), ("one", ended[1:]))]  # fmt: skip
            assert first == [0, 0, 1]
            read = of_name["one"].trials
            assert [t.number for t in read] == [0, 1, 2]
            assert [t.params for t in read] == [t.params for t in ended]
        else:
            of_name["one"].add_trial(ended[0])
            for trial in ended[:2]:
                of_name["another"].add_trial(trial)
            for trial in ended[1:]:
                of_name["one"].add_trial(trial)
    written, expected = tables_of(ours), tables_of(optunas)
    assert written == expected
    assert len(written["trial_params"]) == 25


def test_one_transaction_writes_what_optuna_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # the tables have the time of Greenwich
    time.tzset()
    try:
        compare_rows(f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/b.db")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_tables_that_were_not_compared_are_written_by_optuna(tmp_path, monkeypatch):
    storage = f"sqlite:///{tmp_path}/optuna.db"
    assert TrialRows.of(open_storage(storage)) is not None
    monkeypatch.setattr(trial_rows, "COMPARED_VERSIONS", {"another"})
    assert TrialRows.of(open_storage(storage)) is None


def test_of_a_batch_that_fails_no_trial_is_there_and_the_next_call_adds_all(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    space = load_search_space(str(path))
    trials = Trials(space, "0f", f"sqlite:///{tmp_path}/optuna.db")
    outcomes = three_outcomes(space)
    broken = sa.create_engine(f"sqlite:///{tmp_path}/optuna.db")
    for last in ("INSERT INTO trial_user_attributes", "INSERT INTO trial_params", "UPDATE studies"):

        def away(connection, cursor, statement, *_, last=last):
            if statement.startswith(last):
                raise ConnectionError

        sa.event.listen(broken, "before_cursor_execute", away)
        trials._rows._engine, whole = broken, trials._rows._engine
        with pytest.raises(ConnectionError):
            trials.add(outcomes)
        trials._rows._engine = whole
        sa.event.remove(broken, "before_cursor_execute", away)
        assert trials._study.trials == []
    assert trials.add(outcomes[:2]) == {"r0": 0, "r1": 1}
    assert trials.add(outcomes) == {"r0": 0, "r1": 1, "r2": 2}
    trials.leave()
    more = [o._replace(params={**o.params, "configuration": 1}, run_id="s") for o in outcomes]
    assert trials.add(more) == {}
    assert [t.user_attrs["run_id"] for t in trials._study.trials] == ["r0", "r1", "r2"]


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
