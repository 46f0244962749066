"""`resamples` in a study file and as a parameter: read as meant, or refused in one sentence."""

import pytest

from pipeline.errors import InputError
from pipeline.search_space import ResampleSettings, load_search_space

STUDY = """
target: sick
genotypes: none
{resamples}
space: {{regularizer: [l1], lambda_l1: [0.01]}}
"""


@pytest.fixture
def study(tmp_path):
    def load(written="", **parameters):
        path = tmp_path / "mine.yaml"
        path.write_text(STUDY.format(resamples=written and f"resamples: {written}"))
        return load_search_space(str(path), parameters)

    return load


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None),
        ("none", None),
        ("{kind: subsample}", ResampleSettings(kind="subsample")),
        ("subsample:50", ResampleSettings(kind="subsample", count=50)),
        ("{kind: bootstrap, count: 7}", ResampleSettings(kind="bootstrap", count=7)),
        ("folds:3x2", ResampleSettings(kind="folds", folds=3, repeats=2)),
    ],
)
def test_it_is_read_as_it_is_written(study, written, meant):
    read = study(written).resamples
    assert read == meant
    assert study(resamples=written).resamples == meant


def test_a_parameter_keeps_what_the_file_says_of_the_same_kind(study):
    file = "{kind: subsample, fraction: 0.3, seed: 5, count: 10}"
    longer = study(file, resamples="subsample:40").resamples
    assert (longer.fraction, longer.seed, longer.count, longer.draws) == (0.3, 5, 40, 40)
    folds = study(file, resamples="folds:4x2").resamples
    assert (folds.seed, folds.draws) == (0, 8)
    assert study(file, resamples="none").resamples is None


def test_how_many_there_are_is_no_part_of_the_identity_and_who_is_drawn_is(study):
    plain, few = study(), study("{kind: subsample, count: 10}")
    assert "resamples" not in plain.identity()
    assert few.identity() == study("{kind: subsample, count: 40}").identity()
    assert few.settings() != study("{kind: subsample, count: 40}").settings()
    others = ["{kind: subsample, seed: 1}", "{kind: subsample, fraction: 0.4}", "bootstrap:10"]
    identities = [study(other).identity() for other in (*others, "folds:5x2", "folds:4x2")]
    assert all(identity != few.identity() for identity in identities)
    assert study("folds:5x2").identity() == study("folds:5x9").identity()


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("jackknife", "must be none, a mapping such as {kind: subsample, count: 100}, or subsamp"),
        ("[subsample]", "must be none, a mapping such as"),
        ("{count: 10}", "`resamples.kind` is missing: it must be subsample, bootstrap or folds"),
        ("{kind: jackknife}", "`resamples.kind` must be subsample, bootstrap or folds, but got"),
        ("{kind: subsample, count: 9}", "`resamples.count` must be an even number of subsamples"),
        ("{kind: subsample, fraction: 0.7}", "must be a number above 0 and at most 0.5, so that"),
        ("{kind: subsample, folds: 5}", "must be left out where kind is subsample: it is of folds"),
        ("{kind: bootstrap, fraction: 0.5}", "where kind is bootstrap: it is of subsample, but"),
        ("{kind: folds, folds: 2}", "must be a whole number from 3 to 100: one is left out, one"),
        ("{kind: folds, repeat: 2}", "`resamples.repeat` is no key of a study: expected one of ki"),
        ("{kind: bootstrap, count: 1}", "must be a whole number from 2 to 10000"),
    ],
)
def test_a_mistake_is_refused_in_a_sentence(study, written, told):
    with pytest.raises(InputError) as raised:
        study(written)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_parameter_is_named_as_a_parameter(study):
    with pytest.raises(InputError, match="parameter `resamples` must be an even number of subsam"):
        study(resamples="subsample:9")
