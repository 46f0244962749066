"""Who is drawn: halves without a person in common, whole people, and the same again when longer."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from pipeline.data import ResampleDesign, draw_resamples
from pipeline.errors import InputError

OUTCOME = np.array([0] * 140 + [1] * 60)
SUBSAMPLES = ResampleDesign("subsample", count=20)
BOOTSTRAPS = ResampleDesign("bootstrap", count=20)
FOLDS = ResampleDesign("folds", folds=5, repeats=3)
DESIGNS = [SUBSAMPLES, BOOTSTRAPS, FOLDS]
PEOPLE = np.random.default_rng(0).permutation(np.repeat(np.arange(80), [1, 2, 3, 4] * 20))


def longer(design: ResampleDesign) -> ResampleDesign:
    return ResampleDesign(
        design.kind, count=2 * design.count, folds=design.folds, repeats=2 * design.repeats
    )


def test_two_subsamples_of_a_pair_are_the_halves_of_the_table_and_of_each_class() -> None:
    times = draw_resamples(SUBSAMPLES, OUTCOME, "binary").times
    first, second = times[::2], times[1::2]
    assert np.all(first + second == 1)
    assert np.all(first.sum(axis=1) == 100)
    assert np.all(first[:, OUTCOME == 1].sum(axis=1) == 30)
    assert len(np.unique(first, axis=0)) == 10


def test_smaller_subsamples_of_a_pair_have_nobody_in_common() -> None:
    design = ResampleDesign("subsample", fraction=0.3, count=10)
    draws = draw_resamples(design, OUTCOME, "binary")
    assert np.all(draws.times.sum(axis=1) == 60)
    assert np.all(draws.times[::2] + draws.times[1::2] <= 1)
    assert not np.any(draws.validation & (draws.times > 0))
    assert np.all(draws.validation.sum(axis=1) == 70)
    assert np.all(draws.left_out.sum(axis=1) == 70)


def test_a_bootstrap_sample_has_as_many_of_each_class_as_the_table() -> None:
    draws = draw_resamples(BOOTSTRAPS, OUTCOME, "binary")
    assert np.all(draws.times.sum(axis=1) == 200)
    assert np.all(draws.times[:, OUTCOME == 1].sum(axis=1) == 60)
    assert 2 < draws.times.max() < 10
    # 1 − (1 − 1/n)ⁿ of n people are drawn at least once.
    expected = sum(n * (1 - (1 - 1 / n) ** n) for n in (140, 60)) / 200
    assert np.mean(draws.times > 0) == pytest.approx(expected, abs=0.02)
    assert np.all(draws.times[draws.validation] > 0)
    share = draws.validation.sum(axis=1) / (draws.times > 0).sum(axis=1)
    assert share == pytest.approx(np.full(20, 0.25), abs=0.01)


def test_folds_partition_everyone_in_each_repeat_and_left_out_people_have_no_say() -> None:
    draws = draw_resamples(FOLDS, OUTCOME, "binary")
    for repeat in range(3):
        five = slice(5 * repeat, 5 * repeat + 5)
        assert np.all(draws.left_out[five].sum(axis=0) == 1)
        assert np.all(draws.validation[five].sum(axis=0) == 1)
        assert np.array_equal(draws.validation[five], np.roll(draws.left_out[five], -1, axis=0))
    assert not np.any((draws.weights > 0) & (draws.validation | draws.left_out))
    assert np.all(draws.left_out[:, OUTCOME == 1].sum(axis=1) == 12)


def test_folds_are_those_of_scikit_learn() -> None:
    left_out = draw_resamples(FOLDS, OUTCOME, "binary").left_out
    state = int(np.random.SeedSequence([0, 0]).generate_state(1)[0])
    folds = StratifiedKFold(5, shuffle=True, random_state=state).split(OUTCOME, OUTCOME)
    for k, (_, part) in enumerate(folds):
        assert np.array_equal(np.flatnonzero(left_out[k]), part)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.kind)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_longer_design_begins_with_the_draws_of_a_shorter(
    design: ResampleDesign, task: str
) -> None:
    outcome = OUTCOME if task == "binary" else np.linspace(0.0, 1.0, 200)
    short, long = (draw_resamples(d, outcome, task) for d in (design, longer(design)))
    assert np.array_equal(long.times[: design.draws], short.times)
    assert np.array_equal(long.validation[: design.draws], short.validation)
    other = ResampleDesign(design.kind, count=20, repeats=3, seed=1)
    assert not np.array_equal(draw_resamples(other, outcome, task).times, short.times)


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.kind)
def test_people_are_drawn_with_all_of_their_rows(design: ResampleDesign) -> None:
    draws = draw_resamples(design, OUTCOME, "binary", PEOPLE)
    for part in (draws.times, draws.validation, draws.left_out):
        for person in range(80):
            rows = part[:, PEOPLE == person]
            assert np.all(rows == rows[:, :1])
    if design.kind == "subsample":
        drawn = [len(set(PEOPLE[times > 0])) for times in draws.times]
        assert set(drawn) == {40}


def test_a_person_of_several_classes_counts_as_the_rarest_of_them() -> None:
    outcome = OUTCOME[np.random.default_rng(3).permutation(200)]
    draws = draw_resamples(FOLDS, outcome, "binary", PEOPLE)
    case_people = set(PEOPLE[outcome == 1])
    for left_out in draws.left_out:
        assert abs(len(case_people & set(PEOPLE[left_out])) - len(case_people) / 5) < 1


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.kind)
def test_three_classes_are_in_every_part(design: ResampleDesign) -> None:
    outcome = np.repeat([0, 1, 2], [100, 60, 40])
    draws = draw_resamples(design, outcome, "multiclass")
    for part in (draws.weights > 0, draws.validation, draws.left_out):
        assert min(part[:, outcome == c].sum(axis=1).min() for c in range(3)) >= 2


@pytest.mark.parametrize(
    ("design", "cases", "told"),
    [
        (FOLDS, 9, "the smallest class has 9 of the 109 people who are no test rows, too few for"),
        (SUBSAMPLES, 7, "too few for subsamples of 0.5 of them; add people, or"),
        (BOOTSTRAPS, 4, "too few for bootstrap samples; add people, or take folds"),
        (ResampleDesign("folds", folds=60), 100, "too few for 60 folds; add people, or take fewer"),
    ],
)
def test_too_few_of_a_class_are_refused_in_a_sentence(
    design: ResampleDesign, cases: int, told: str
) -> None:
    outcome = np.repeat([0, 1], [100, cases])
    with pytest.raises(InputError, match=told):
        draw_resamples(design, outcome, "binary")


def test_too_few_people_of_quantities_are_refused_in_a_sentence() -> None:
    with pytest.raises(InputError, match="but there are 8 people besides the test rows"):
        draw_resamples(FOLDS, np.arange(8.0), "regression")
