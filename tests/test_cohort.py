"""Tables → cohorts, against answers worked out by hand, and pandas and scikit-learn used alone."""

import datetime
import gzip
import hashlib
import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.data.cohort import load_cohort
from pipeline.data.features import distinct_columns, fit_schema, informative
from pipeline.data.files import read_table
from pipeline.data.table import Table
from pipeline.errors import InputError
from pipeline.results import Inputs
from pipeline.serving import CATEGORY, NUMBER, Column, from_json

FRAMINGHAM = Path(__file__).parents[1] / "data" / "framingham.csv"
N_ROWS = 100


@pytest.fixture(autouse=True)
def _no_warnings_reach_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture(scope="module")
def framingham():
    return load_cohort(FRAMINGHAM, "TenYearCHD", categories=["education"])


def people(**columns):
    """A table of 100 people: `y` is 1 for a third, `age` a quantity, and other columns."""
    age = np.random.default_rng(0).normal(50, 9, N_ROWS).round(1)
    cases = np.random.default_rng(1).permutation(N_ROWS) % 3 == 0
    return pd.DataFrame({"y": cases.astype(int), "age": age, **columns})


@pytest.fixture
def load(tmp_path):
    def load_frame(frame, suffix=".csv", target="y", **options):
        path = tmp_path / f"people{suffix}"
        if suffix == ".parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False)
        return load_cohort(path, target, **options)

    return load_frame


@pytest.fixture
def load_text(tmp_path):
    def load_content(content, target="y", suffix=".csv", **options):
        path = tmp_path / f"people{suffix}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_cohort(path, target, **options)

    return load_content


def cycle(*values):
    return [values[i % len(values)] for i in range(N_ROWS)]


RISING = [i + 0.5 for i in range(N_ROWS)]


def fitted(frame, **kinds):
    """(schema, inputs) learned from all rows of a table, rare levels included."""
    table, rows = Table(frame, "table.csv", ""), np.arange(len(frame))
    columns = {name: Column(name, kind) for name, kind in kinds.items()}
    columns, *_ = informative(table, columns, rows, None, (), rare=1)
    return fit_schema(table, columns, rows, {})


def features(schema, frame):
    return schema.transform(frame)[0]


# --- features -----------------------------------------------------------------------------------


def test_a_number_is_imputed_by_the_median_and_standardized():
    train = pd.DataFrame({"x": [1.0, 2.0, np.nan, 10.0]})
    schema, inputs = fitted(train, x=NUMBER)
    assert inputs.columns == ("x", "x missing")
    assert inputs.variables == ("x", "x")
    # Median 2, so 1 2 2 10: mean 3.75, variance 109/4 - 3.75² = 13.1875. Indicator: 0 0 1 0.
    x = (np.array([1, 2, 2, 10]) - 3.75) / np.sqrt(13.1875)
    missing = (np.array([0, 0, 1, 0]) - 0.25) / np.sqrt(0.25 * 0.75)
    np.testing.assert_allclose(features(schema, train), np.column_stack([x, missing]))


def test_new_people_are_measured_by_the_training_rows():
    train = pd.DataFrame({"x": [0.0, 2.0], "k": ["a", "b"]})
    schema, _ = fitted(train, x=NUMBER, k=CATEGORY)
    new = pd.DataFrame({"k": ["b", "a"], "other": [7, 7], "x": [5.0, np.nan]})
    # Training x has mean 1 and sd 1; its median 1 stands in, without an indicator.
    # `k=b` is 0 1 in training: mean ½, sd ½.
    np.testing.assert_allclose(features(schema, new), [[4, 1], [0, -1]])


def test_a_category_has_one_column_a_level_and_one_for_missing():
    train = pd.DataFrame({"k": [10.0, 2.0, 1.0, np.nan]})
    schema, inputs = fitted(train, k=CATEGORY)
    assert inputs.columns == ("k=1", "k=2", "k=10", "k=missing")
    one_hot = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(features(schema, train), (one_hot - 0.25) / np.sqrt(0.25 * 0.75))


def test_an_unseen_level_is_none_of_the_levels():
    train = pd.DataFrame({"k": ["a", "b", "c"]})
    schema, _ = fitted(train, k=CATEGORY)
    unseen = features(schema, pd.DataFrame({"k": ["z"]}))
    np.testing.assert_allclose(unseen, np.full((1, 3), (0 - 1 / 3) / np.sqrt(2 / 9)))


def test_a_code_is_the_same_level_as_integer_float_and_text():
    train = pd.DataFrame({"k": [1, 2, 3]})
    schema, _ = fitted(train, k=CATEGORY)
    expected = features(schema, train)
    for other in ([1.0, 2.0, 3.0], ["1", "2", "3"], pd.array([1, 2, 3], dtype="Int64")):
        np.testing.assert_array_equal(features(schema, pd.DataFrame({"k": other})), expected)


def test_one_value_or_missing_leaves_the_indicator_alone():
    train = pd.DataFrame({"x": [1.0, np.nan, 1.0, 1.0], "k": ["a", None, "a", "a"]})
    _, inputs = fitted(train, x=NUMBER, k=CATEGORY)
    assert inputs.columns == ("x missing", "k=missing")


def test_columns_that_would_share_a_name_are_told_apart():
    inputs, notes = distinct_columns(
        Inputs(("a=b=c", "a=b=c", "a=b=c (2)"), ("a", "a=b", "z"), ("clinical",) * 3)
    )
    assert inputs.columns == ("a=b=c", "a=b=c (3)", "a=b=c (2)")
    assert len(notes) == 1 and "a=b=c (3)" in notes[0]


def test_text_that_says_missing_is_not_a_missing_value(load):
    cohort = load(people(k=cycle("missing", "x", "w", None)))
    assert cohort.inputs.columns == ("age", "k=missing", "k=w", "k=x", "k=missing (2)")
    assert any("k=missing (2)" in note for note in cohort.warnings)


# --- cohorts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
def test_types_are_those_a_person_expects(load, suffix):
    frame = people(
        flag=cycle(True, False),
        sex=cycle("male", "female", "male"),
        site=cycle("b", "a", "c", None),
        code=cycle(3, 1, 2, 2),
        binary=cycle(0, 1, 1),
    )
    cohort = load(frame, suffix, categories=["code"], families={"study": ["site", "flag"]})
    assert cohort.inputs.columns == (
        *("age", "flag=True", "sex=male", "site=a", "site=b", "site=c", "site=missing"),
        *("code=1", "code=2", "code=3", "binary"),
    )
    assert cohort.inputs.variable_names == ("age", "flag", "sex", "site", "code", "binary")
    assert cohort.inputs.family_of == {
        **dict.fromkeys(("age", "sex", "code", "binary"), "clinical"),
        **dict.fromkeys(("site", "flag"), "study"),
    }
    assert cohort.source == f"people{suffix}"
    assert cohort.warnings == ()


def test_parquet_types_of_pandas_are_understood(load):
    nullable = people(
        i=pd.array(cycle(1, 2, 3, None), dtype="Int64"),
        b=pd.array(cycle(True, False, True, None), dtype="boolean"),
        s=pd.array(cycle("u", "v"), dtype="string"),
        k=pd.Categorical(cycle("1", "2", "3")),  # the one way to mark codes as categories
        digits=cycle("4", "5", "NA", "7"),
    )
    cohort = load(nullable, ".parquet")
    assert cohort.inputs.columns == (
        *("age", "i", "i missing", "b=True", "b=missing", "s=v", "k=1", "k=2", "k=3"),
        *("digits", "digits missing"),
    )


def test_features_are_float32_standardized_on_training_rows(framingham):
    assert framingham.features.dtype == np.float32
    train = framingham.features[framingham.split.train].astype(float)
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=0), 1, rtol=1e-5)


def test_test_and_validation_rows_do_not_touch_training_features(tmp_path, framingham):
    frame = pd.read_csv(FRAMINGHAM)
    rng = np.random.default_rng(1)
    other = np.concatenate([framingham.split.validation, framingham.split.test])
    for column in frame.columns.drop("TenYearCHD"):
        planted = rng.integers(-1000, 1000, len(other)).astype(float)
        planted[rng.random(len(other)) < 0.3] = np.nan
        frame[column] = frame[column].astype(float)
        frame.loc[other, column] = planted
    frame.to_csv(tmp_path / "planted.csv", index=False)
    cohort = load_cohort(tmp_path / "planted.csv", "TenYearCHD", categories=["education"])
    assert cohort.inputs == framingham.inputs
    rows = framingham.split.train
    np.testing.assert_array_equal(cohort.split.train, rows)
    np.testing.assert_array_equal(cohort.features[rows], framingham.features[rows])
    assert not np.array_equal(cohort.features[other], framingham.features[other])


def test_split_is_stratified_disjoint_and_depends_on_outcome_and_seed_alone(load, framingham):
    parts = (framingham.split.train, framingham.split.validation, framingham.split.test)
    assert [len(rows) for rows in parts] == [2544, 848, 848]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(4240))
    for rows in parts:
        assert np.all(np.diff(rows) > 0)
        assert framingham.outcome[rows].mean() == pytest.approx(644 / 4240, abs=0.5 / 848)
    first = load(people())
    again = load(people(k=cycle("a", "b", "c")).drop(columns="age"), ".parquet")
    other = load(people(), split_seed=1)
    np.testing.assert_array_equal(first.split.test, again.split.test)
    assert not np.array_equal(first.split.test, other.split.test)


def test_framingham_is_what_its_readme_says(framingham):
    digest = hashlib.sha256(FRAMINGHAM.read_bytes()).hexdigest()
    assert framingham.fingerprint == digest
    assert digest in FRAMINGHAM.with_name("README.md").read_text()
    assert framingham.facts == {
        "rows": 4240,
        "rows_train": 2544,
        "rows_validation": 848,
        "rows_test": 848,
        "cases": 644,
        "cases_train": 386,
        "cases_validation": 129,
        "cases_test": 129,
        "columns": 24,
        "variables": 15,
        "data_sha256": digest,
    }
    education = [c for c in framingham.inputs.columns if c.startswith("education")]
    assert education == [f"education={level}" for level in (1, 2, 3, 4, "missing")]
    assert set(framingham.inputs.families) == {"clinical"}
    header = FRAMINGHAM.read_text().splitlines()[0].split(",")
    assert framingham.inputs.variable_names == tuple(header[:-1])
    assert framingham.classes == (0, 1)
    assert framingham.source == "framingham.csv"
    assert framingham.warnings == ()


def test_framingham_features_equal_those_of_pandas(framingham):
    frame = pd.read_csv(FRAMINGHAM)
    np.testing.assert_array_equal(framingham.outcome, frame["TenYearCHD"])
    train = frame.iloc[framingham.split.train]
    glucose = frame["glucose"].fillna(train["glucose"].median())
    in_training = glucose.iloc[framingham.split.train]
    expected = {
        "age": (frame["age"] - train["age"].mean()) / train["age"].std(ddof=0),
        "glucose": (glucose - in_training.mean()) / in_training.std(ddof=0),
        "glucose missing": frame["glucose"].isna(),
        "education=3": frame["education"] == 3,
        "education=missing": frame["education"].isna(),
    }
    for column, planted in expected.items():
        values = planted
        got = framingham.features[:, framingham.inputs.columns.index(column)]
        if values.dtype == bool:
            share = values.iloc[framingham.split.train].mean()
            values = (values - share) / np.sqrt(share * (1 - share))
        np.testing.assert_allclose(got, values, rtol=1e-5, atol=1e-6)


def test_logistic_regression_on_framingham_is_neither_broken_nor_leaking(framingham):
    train, validation = framingham.split.train, framingham.split.validation
    model = LogisticRegression(max_iter=1000)
    model.fit(framingham.features[train], framingham.outcome[train])
    score = model.predict_proba(framingham.features[validation])[:, 1]
    assert 0.66 < roc_auc_score(framingham.outcome[validation], score) < 0.78


def test_a_schema_is_the_same_again_from_json_and_scores_a_table_read_later(framingham):
    schema = from_json(json.loads(json.dumps(framingham.schema.as_json())))
    frame = read_table(FRAMINGHAM).frame.drop(columns="TenYearCHD").iloc[:50]
    np.testing.assert_array_equal(features(schema, frame), framingham.features[:50])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ((0.0, 1.0), (0, 1)),
        ((False, True), (False, True)),
        (("no", "yes"), ("no", "yes")),
        ((1, 2), (1, 2)),
    ],
)
def test_a_case_is_the_second_class_in_sorted_order(load, labels, classes):
    frame = people()
    expected = frame["y"].to_numpy()
    cohort = load(frame.assign(y=[labels[v] for v in expected]))
    assert cohort.classes == classes
    assert [type(c) for c in cohort.classes] == [type(c) for c in classes]
    np.testing.assert_array_equal(cohort.outcome, expected)
    assert cohort.warnings == ()


def test_labels_that_do_not_say_which_is_the_case_get_a_warning(load):
    cohort = load(people().assign(y=cycle("case", "control")))
    assert "a case is y = control" in cohort.warnings[0]


TASKS = {
    "two numbers": (cycle(5.5, 7.25), "binary", (5.5, 7.25)),
    "two texts": (cycle("b", "a"), "binary", ("a", "b")),
    "a number and a text": (cycle("5", "x", "x"), "binary", ("5", "x")),
    "three texts": (cycle("b", "c", "a"), "multiclass", ("a", "b", "c")),
    "three codes": (cycle(10, 2, 1), "multiclass", (1, 2, 10)),
    "codes as decimals": (cycle(1.0, 2.0, 3.0), "multiclass", (1, 2, 3)),
    "twenty codes": (cycle(*range(20)), "multiclass", tuple(range(20))),
    "twenty-one whole numbers": (cycle(*range(21)), "regression", ()),
    "three decimals": (cycle(0.5, 1.0, 2.0), "regression", ()),
    "quantities": (RISING, "regression", ()),
}


@pytest.mark.parametrize("case", TASKS)
def test_the_task_is_chosen_from_the_target(load, case):
    values, task, classes = TASKS[case]
    values = [*values] * 4
    age = np.random.default_rng(0).normal(size=4 * N_ROWS)
    cohort = load(pd.DataFrame({"y": values, "age": age}), ".parquet")
    assert (cohort.task, cohort.classes) == (task, classes)
    if task == "regression":
        assert cohort.outcome.dtype == np.float64
        np.testing.assert_array_equal(cohort.outcome, values)
    else:
        labels = [str(cohort.classes[i]) for i in cohort.outcome]
        assert labels == [f"{v:g}" if isinstance(v, int | float) else v for v in values]


def test_a_task_that_is_said_overrides_what_the_target_looks_like(load):
    counts = people(y=cycle(0, 1, 2, 5))
    cohort = load(counts, task="regression")
    np.testing.assert_array_equal(cohort.outcome, counts["y"])
    assert cohort.warnings == ()
    assert load(people(), task="regression").task == "regression"
    many = people(y=cycle(*(f"t{i}" for i in range(25))))
    options = {"validation_fraction": 0.3, "test_fraction": 0.3, "task": "multiclass"}
    repeated = pd.concat([many] * 3)
    assert len(load(repeated, **options).classes) == 25


def test_whole_numbers_taken_as_classes_get_a_warning_that_says_how_to_differ(load):
    cohort = load(people(y=cycle(1, 2, 3)))
    assert cohort.warnings == (
        "y is taken as 3 classes, as it has 3 distinct whole numbers; say `task: regression` in "
        "the study if they are quantities",
    )
    assert load(people(y=cycle("a", "b", "c"))).warnings == ()


def test_several_classes_are_stratified_and_quantities_are_not(load):
    classes = load(people(y=cycle("a", "b", "c", "c")))
    for rows in (classes.split.train, classes.split.validation, classes.split.test):
        shares = np.bincount(classes.outcome[rows]) / len(rows)
        np.testing.assert_allclose(shares, [0.25, 0.25, 0.5], atol=0.02)
    plain = load(people(y=RISING))
    again = load(people(y=RISING[::-1]))
    assert [len(plain.split.train), len(plain.split.validation)] == [60, 20]
    np.testing.assert_array_equal(plain.split.test, again.split.test)
    train = plain.outcome[plain.split.train]
    assert plain.scale == (pytest.approx(train.mean()), pytest.approx(train.std()))
    assert classes.scale == (0.0, 1.0)


def test_a_group_joins_columns_to_one_variable_where_its_first_one_stands(load):
    frame = people(hdl=RISING, site=cycle("a", "b", "c"), ldl=cycle(1.5, 2.5, None))
    cohort = load(frame, groups={"lipids": ["ldl", "hdl"]}, unpenalized=["lipids"])
    assert cohort.inputs.columns == (
        *("age", "hdl", "ldl", "ldl missing"),
        *("site=a", "site=b", "site=c"),
    )
    assert cohort.inputs.variables == ("age", *["lipids"] * 3, *["site"] * 3)
    np.testing.assert_array_equal(cohort.penalty_factor, [1, 0, 0, 0, 1, 1, 1])
    assert cohort.unpenalized == ("lipids",)
    assert cohort.facts["groups"] == "lipids: ldl and hdl"
    # Grouping moves columns and changes no number in them.
    alone = load(frame)
    for i, column in enumerate(cohort.inputs.columns):
        other = alone.features[:, alone.inputs.columns.index(column)]
        np.testing.assert_array_equal(cohort.features[:, i], other)


def test_sample_weights_are_no_variable(load):
    cohort = load(people(w=cycle(1, 2)), sample_weight="w")
    assert cohort.inputs.columns == ("age",)
    np.testing.assert_array_equal(cohort.row_weights, cycle(1, 2))


# --- files --------------------------------------------------------------------------------------


def test_odd_but_sound_csv_files_are_read(load, load_text):
    text = people().to_csv(index=False)
    expected = load(people()).features
    for content in (
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n"),
        text.replace("\n", "\n\n", 3),
        text.replace("y,age", '"y" , "age"'),
        text.replace(",", ", "),
    ):
        np.testing.assert_array_equal(load_text(content).features, expected)
    zipped = load_text(gzip.compress(text.encode()), suffix=".csv.gz")
    np.testing.assert_array_equal(zipped.features, expected)


def test_names_of_columns_are_only_names(load):
    names = ["<script>alert(1)</script>", "größe in cm", "a=b", "x__y", "systolic, left"]
    quantities = np.random.default_rng(2).normal(size=(N_ROWS, len(names)))
    cohort = load(people(**dict(zip(names, quantities.T, strict=True))))
    assert cohort.inputs.columns == ("age", *names)
    frame = people()
    frame.columns = [0, 1]
    assert load(frame, ".parquet", target="0").inputs.columns == ("1",)


def test_missing_is_missing_however_it_is_written(load):
    frame = people(x=cycle("1", ".", "2.5", " NA ", "3", ""))
    assert load(frame).inputs.columns == ("age", "x", "x missing")


def test_what_cannot_inform_is_dropped_with_a_warning_that_names_it(load):
    frame = people(
        same=7,
        empty=None,
        person=[f"Person {i}" for i in range(N_ROWS)],
        number=range(N_ROWS),
    )
    frame["late"] = 0.0  # differs outside the training rows only
    frame.loc[load(people()).split.test, "late"] = 1.0
    cohort = load(frame)
    assert cohort.inputs.columns == ("age",)
    assert cohort.warnings == (
        "dropped number: it numbers the rows; name it under keep if not",
        "dropped empty: missing in every training row",
        "dropped same and late: the same in every training row",
        "dropped person: text that differs between most people (a name or identifier?)",
    )


def test_a_text_of_many_levels_stays_if_it_is_named_but_its_rare_levels_are_joined(load):
    persons = [f"Person {i}" if i % 4 == 3 else "nobody" for i in range(N_ROWS)]
    cohort = load(people(person=persons), categories=["person"])
    assert cohort.inputs.columns == ("age", "person=other")
    assert cohort.warnings == (
        "person: levels of fewer than 5 training people are joined as other",
    )
    named = load(people(person=[f"Person {i}" for i in range(N_ROWS)]), categories=["person"])
    assert named.inputs.columns == ("age",)


def test_a_column_that_is_constant_but_for_rounding_is_not_blown_up(load):
    noise = np.random.default_rng(0).normal(size=N_ROWS)
    cohort = load(people(x=1e9 + 1e-6 * noise))
    assert cohort.inputs.columns == ("age",)


@pytest.mark.parametrize("values", [cycle(-9, 0, 3, 1), cycle(999, 80, 93, 77)])
def test_likely_codes_for_missing_get_a_warning(load, values):
    cohort = load(people(x=values))
    assert f"x has the value {values[0]}" in cohort.warnings[0]
    assert load(people(x=cycle(-9, -3, 2))).warnings == ()


# --- bad input ----------------------------------------------------------------------------------

INFINITE = cycle(1.0, 2.0)
INFINITE[5] = np.inf
ODD_AGE = [str(i % 7) for i in range(N_ROWS)]
ODD_AGE[7] = "unknown"

BAD_TABLES = {
    "unknown target": (people(), {"target": "Y1"}, "target .* people.csv.* Y1; did you mean y"),
    "unknown target, none near": (people(), {"target": "zzz"}, "its columns are y and age"),
    "unknown category": (people(), {"categories": ["aeg"]}, "categories .* aeg; did you mean age"),
    "unknown drop": (people(), {"drop": ["Age_"]}, "drop .* Age_; did you mean age"),
    "target dropped": (people(), {"drop": ["y"]}, "drop names y"),
    "unknown in family": (people(), {"families": {"f": ["ag"]}}, "family f .* did you mean age"),
    "two families": (people(), {"families": {"f": ["age"], "g": ["age"]}}, "age is in several"),
    "not binary": (
        people(y=cycle(0, 1, 2)),
        {"task": "binary"},
        "exactly 2 .* y .* has 3; .*task:",
    ),
    "two classes": (people(), {"task": "multiclass"}, "3 or more .* y .* has 2; say `task: binary"),
    "many texts": (people(y=[f"t{i}" for i in range(50)] * 2), {}, "at most 20 .* y .* has 50"),
    "many classes": (
        pd.DataFrame({"y": range(101), "x": range(101)}),
        {"task": "multiclass"},
        "most 100 .* 101",
    ),
    "quantity of text": (people(y=cycle("a", "b")), {"task": "regression"}, "y .* 'a' and 'b'"),
    "quantity of one": (people(y=1.5), {"task": "regression"}, "differ between rows, but y"),
    "few of a class": (
        people(y=["c", *cycle("a", "b")[1:]]),
        {},
        "smallest class, c, has 1 of 100",
    ),
    "few quantities": (people(y=RISING).iloc[:4], {"task": "regression"}, "at least 2 rows, but 4"),
    "infinite quantity": (people(y=[np.inf, *RISING[1:]]), {}, "finite .* y of"),
    "unknown weight": (
        people(),
        {"sample_weight": "aeg"},
        "sample_weight .* aeg; did you mean age",
    ),
    "target as weight": (people(), {"sample_weight": "y"}, "another column than the target"),
    "negative weight": (people(w=cycle(1, -1)), {"sample_weight": "w"}, "above 0, but w .* line 3"),
    "missing weight": (
        people(w=cycle(1, None)),
        {"sample_weight": "w"},
        "w .* missing in line 3 .50",
    ),
    "text as weight": (
        people(w=cycle("a", "b")),
        {"sample_weight": "w"},
        "weights .* 'a' in line 2",
    ),
    "weight in a family": (
        people(w=1),
        {"sample_weight": "w", "families": {"f": ["w"]}},
        "family f names w",
    ),
    "unknown in group": (people(), {"groups": {"g": ["aeg"]}}, "group g .* did you mean age"),
    "target in group": (people(), {"groups": {"g": ["y"]}}, "group g names y; take it out"),
    "two groups": (people(), {"groups": {"g": ["age"], "h": ["age"]}}, "one group, but age"),
    "a group named as a column": (people(), {"groups": {"age": ["age"]}}, "age is a column too"),
    "a dropped column in a group": (
        people(x=RISING),
        {"drop": ["x"], "groups": {"g": ["age", "x"]}},
        "g has x, which .* drops",
    ),
    "a group of two families": (
        people(x=RISING),
        {"families": {"f": ["x"]}, "groups": {"g": ["age", "x"]}},
        "one family, but group g has age in clinical and x in f",
    ),
    "unknown unpenalized": (
        people(),
        {"unpenalized": ["aeg"]},
        "a variable of .* did you mean age",
    ),
    "none near unpenalized": (people(), {"unpenalized": ["q"]}, "its variables are age"),
    "unpenalized in a group": (
        people(),
        {"unpenalized": ["age"], "groups": {"g": ["age"]}},
        "age of group g; name the gro",
    ),
    "one class": (people().assign(y=1), {}, "two classes, but y .* one value"),
    "missing outcome": (people().assign(y=cycle(0, 1, None, 1)), {}, "y .* in 25 of 100 rows"),
    "infinite": (people(x=INFINITE), {}, "finite .* x of people.csv has 1 infinite"),
    "infinite outcome": (people().assign(y=INFINITE), {}, "finite .* y of"),
    "text in numbers": (people(x=ODD_AGE), {}, "x of people.csv has 'unknown' in line 9; write"),
    "rare numbers": (people(x=cycle("no", "no", *range(40))), {}, "x of .* 'no' in line 2"),
    "dates as text": (people(x=cycle("2020-01-31", "2021-02-01")), {}, "x of .* holds dates"),
    "few cases": (people().assign(y=[1] * 5 + [0] * 95), {}, "at least 2 .* has 5 of 100 rows"),
    "few rows": (people().iloc[:4], {}, "at least 2 rows of each class"),
    "no variable": (people(), {"drop": ["age"]}, "at least one variable .* has none"),
    "no informative": (people().assign(age=3), {}, r"has none \(dropped age: the same"),
    "fractions": (people(), {"test_fraction": 0.9}, "fractions .* but got 0.2 and 0.9"),
    "seed": (people(), {"split_seed": -1}, "seed .* got -1"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_in_one_sentence(load, case):
    frame, options, message = BAD_TABLES[case]
    with pytest.raises(InputError, match=message) as caught:
        load(frame, **options)
    assert "\n" not in str(caught.value)


BAD_FILES = {
    "empty": ("", "is empty"),
    "header only": ("y,age\n", "has none below its header"),
    "twice": ("y,age,age\n0,1,2\n", "has age more than once"),
    "unnamed": ('"",y\n1,0\n', "column 1 of people.csv has none; .*row.names"),
    "short line": ("y,age\n0,1\n\n1\n", "2 in the header and 1 in line 4"),
    "long line": ("y,age\n0,1,5\n", "2 in the header and 3 in line 2"),
    "two separators": ("y,a;b\n0,1;2\n", "can be read with commas and with semicolons"),
    "another encoding": ("y,größe\n0,1\n".encode("mac-roman"), "UTF-8"),
    "open quote": ('y,age\n0,"1\n1,2\n', "people.csv"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_csv_is_refused_in_one_sentence(load_text, case):
    content, message = BAD_FILES[case]
    with pytest.raises(InputError, match=message) as caught:
        load_text(content)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_tables_are_refused(tmp_path, load_text):
    with pytest.raises(InputError, match=r"there is no .*nothing\.csv"):
        load_cohort(tmp_path / "nothing.csv", "y")
    with pytest.raises(InputError, match=r"\.csv, \.csv\.gz or \.parquet file, but got .*\.xlsx"):
        load_text("y,age\n", suffix=".xlsx")
    with pytest.raises(InputError, match="gzip"):
        load_text("y,age\n0,1\n", suffix=".csv.gz")
    with pytest.raises(InputError, match="Parquet"):
        load_text("y,age\n0,1\n", suffix=".parquet")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        load_cohort(tmp_path / "folder.csv", "y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pd.date_range("2020-01-01", periods=N_ROWS), "x of people.parquet holds dates or times"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(N_ROWS)], "x of .* holds dates"),
        ([[i] for i in range(N_ROWS)], "x of people.parquet holds something else"),
        ([b"%d" % i for i in range(N_ROWS)], "x of people.parquet holds something else"),
        (ODD_AGE, "'unknown' in row 8"),
    ],
)
def test_parquet_columns_that_are_neither_number_nor_category_are_refused(load, values, message):
    with pytest.raises(InputError, match=message):
        load(people(x=values), ".parquet")
