"""Tables as people have them: read as they are meant, or refused in one sentence; and the same
person has the same features in every later table. Every case has its right value."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.data.cohort import load_cohort
from pipeline.data.files import read_table
from pipeline.data.suspects import likely_codes
from pipeline.errors import InputError
from pipeline.networks import TrainedNetwork
from pipeline.serving import Notation, from_json
from pipeline.study.evaluation import resampled_test_people
from pipeline.study.identity import people_key
from pipeline.study.people import People

N = 120
RNG = np.random.default_rng(5)
Y = (RNG.permutation(N) % 3 == 0).astype(int)
AGE = RNG.normal(50, 9, N).round(1)


def written(**columns):
    """The CSV text of a table of 120 people with an outcome and an age."""
    return pd.DataFrame({"y": Y, "age": AGE, **columns}).to_csv(index=False)


@pytest.fixture
def load(tmp_path):
    def load_text(text, name="people.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_cohort(path, options.pop("target", "y"), **options)

    return load_text


def cycled(*values):
    return [values[i % len(values)] for i in RNG.permutation(N)]


def numbers_of(cohort, name):
    """The values of a column of numbers in its unit, from the features."""
    feature = next(f for f in cohort.schema.features if f.name == name and f.code == 0)
    column = cohort.features[:, [f.name for f in cohort.schema.features].index(name)]
    return column.astype(float) * feature.scale + feature.center


# --- numbers as people write them -----------------------------------------------------------------

WHOLE = np.arange(N) % 40 + 3
NOTATIONS = {
    "percent": ([f"{v} %" for v in WHOLE], WHOLE),
    "percent, decimal commas": ([f"{v},5%" for v in WHOLE], WHOLE + 0.5),
    "a unit": ([f"{v} mg" for v in WHOLE], WHOLE),
    "a unit with a power": ([f"{v}.5 kg/m²" for v in WHOLE], WHOLE + 0.5),
    "a currency before": ([f"€ {v}.50" for v in WHOLE], WHOLE + 0.5),
    "thousands and decimals": ([f"{v},250.75" for v in WHOLE], WHOLE * 1000 + 250.75),
    "thousands twice": ([f"{v},250,000" for v in WHOLE], WHOLE * 1e6 + 250000),
    "thousands of some": ([f"{v},000" if v > 9 else f"{v}00" for v in WHOLE[:]], None),
    "points between thousands": ([f"{v}.250,75" for v in WHOLE], WHOLE * 1000 + 250.75),
    "no-break spaces": ([f"{v}\u00a0250" for v in WHOLE], WHOLE * 1000 + 250),
    "thin spaces, decimal commas": ([f"{v}\u202f250,5" for v in WHOLE], WHOLE * 1000 + 250.5),
    "apostrophes": ([f"{v}'250.5" for v in WHOLE], WHOLE * 1000 + 250.5),
    "decimal commas": ([f"{v},5" for v in WHOLE], WHOLE + 0.5),
    "decimal commas, exponents": ([f"{v},5E+03" for v in WHOLE], (WHOLE + 0.5) * 1000),
    "a typographic minus": (
        [f"\u2212{v}" if v % 2 else str(v) for v in WHOLE],
        WHOLE * (-1) ** (WHOLE % 2),
    ),
    "below a bound": ([f"<{v}" if v == 3 else str(v) for v in WHOLE], WHOLE),
    "above a bound": ([f"> {v}.0" if v > 40 else f"{v}.5" for v in WHOLE], None),
}


@pytest.mark.parametrize("case", NOTATIONS)
def test_numbers_are_read_as_they_are_written_and_a_warning_says_how(load, case):
    texts, values = NOTATIONS[case]
    if case == "thousands of some":
        values = np.where(WHOLE > 9, WHOLE * 1000, WHOLE * 100)
    if case == "above a bound":
        values = np.where(WHOLE > 40, WHOLE, WHOLE + 0.5)
    cohort = load(written(x=texts))
    np.testing.assert_allclose(numbers_of(cohort, "x"), values, rtol=1e-5)
    assert any(note.startswith(("x is read as", "x: ")) for note in cohort.warnings)
    assert not any(text in note for note in cohort.warnings for text in texts if len(text) > 4)


MORE_NOTATIONS = {
    "negative in parentheses": ([f"({v})" if v % 3 else f"{v}" for v in WHOLE],
                                np.where(WHOLE % 3, -WHOLE, WHOLE)),
    "parentheses, a currency, decimals": (
        [f"(${v}.50)" if v % 3 else f"${v}.50" for v in WHOLE],
        np.where(WHOLE % 3, -1, 1) * (WHOLE + 0.5)),
    "the minus behind": ([f"{v},5-" if v % 3 else f"{v},5" for v in WHOLE],
                         np.where(WHOLE % 3, -1, 1) * (WHOLE + 0.5)),
    "a spreadsheet's text": ([f'="{v}"' for v in WHOLE], WHOLE),
    "an apostrophe before": ([f"'{v}" for v in WHOLE], WHOLE),
    "euros behind": ([f"{v},50 €" for v in WHOLE], WHOLE + 0.5),
    "a currency in words": ([f"EUR {v}.5" for v in WHOLE], WHOLE + 0.5),
    "per mille": ([f"{v} ‰" for v in WHOLE], WHOLE),
    "other digits": ([str(v).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")) for v in WHOLE],
                     WHOLE),
    "lakhs": ([f"1,{v:02d},000" for v in WHOLE], 100_000 + WHOLE * 1000),
}  # fmt: skip


@pytest.mark.parametrize("case", MORE_NOTATIONS)
def test_numbers_of_accountants_spreadsheets_and_other_countries(load, tmp_path, case):
    texts, values = MORE_NOTATIONS[case]
    cohort = load(written(x=texts))
    np.testing.assert_allclose(numbers_of(cohort, "x"), values, rtol=1e-5)
    assert any("x" in note.partition(":")[0].split() for note in cohort.warnings)
    # A later table of two people, read by what was learned: the same features.
    (tmp_path / "two.csv").write_text("\n".join(written(x=texts).split("\n")[:3]))
    again = cohort.schema.transform(read_table(tmp_path / "two.csv").frame, as_read=True)[0]
    np.testing.assert_array_equal(again, cohort.features[:2])


def test_a_spreadsheets_text_of_codes_stays_codes(load):
    cohort = load(written(k=[f'="{v}"' for v in cycled("01", "02", "10")]))
    assert cohort.schema.columns[1].levels == ("01", "02", "10")


@pytest.mark.parametrize(
    "answers",
    [("Yes", "yes", "NO", "no"), ("Male", "male", "female"), ("a  b", "a b", "c"),
     ("TRUE", "FALSE", "1", "0")],
)  # fmt: skip
def test_one_answer_in_two_ways_is_a_warning_and_of_a_target_refused(load, answers):
    values = cycled(*answers)
    cohort = load(written(k=values))
    assert len(cohort.schema.columns[1].levels) == len(answers)
    assert any(
        note.startswith("k: levels that differ only in capitals") for note in cohort.warnings
    )
    with pytest.raises(InputError, match="must differ in more than capitals and spaces"):
        load(pd.DataFrame({"y": values, "age": AGE}).to_csv(index=False))


@pytest.mark.parametrize(
    "pair", [("ja", "nein"), ("oui", "non"), ("sí", "no"), ("wahr", "falsch"), ("Y", "N")]
)
def test_yes_and_no_of_any_language_are_one_column(load, pair):
    answers = cycled(*pair)
    cohort = load(written(k=[f" {answer} " for answer in answers]))
    second = sorted(pair)[1]
    assert cohort.inputs.columns == ("age", f"k={second}")
    np.testing.assert_array_equal(cohort.features[:, 1] > 0, np.array(answers) == second)


def test_ids_that_differ_in_capitals_or_zeros_alone_are_a_warning(load):
    for ids in (
        [f"{'p' if i % 2 else 'P'}{i // 2}" for i in range(N)],
        [f"{i // 2 + 1:03d}" if i % 2 else str(i // 2 + 1) for i in range(N)],
    ):
        for options in ({"identifier": "who"}, {"person": "who"}):
            (note,) = [n for n in load(written(who=ids), **options).warnings if "ids of who" in n]
            assert not any(value in note for value in ids if len(value) > 2)
    blanks = load(written(who=[f"P{i // 2}{' ' * (i % 2)}" for i in range(N)]), person="who")
    assert blanks.facts["people"] == N // 2


def test_ids_too_large_for_a_number_are_named_as_what_they_may_be(load):
    cohort = load(written(code=[10**18 + 7 * int(i) for i in RNG.permutation(N)]))
    assert cohort.inputs.columns == ("age",)
    assert "too large to be told apart" in cohort.left_out["code"]


CODES = {
    "leading zeros": (["01", "02", "03"], {"01", "02", "03"}),
    "leading zeros and a text": (["01", "02", "UK"], {"01", "02", "UK"}),
    "tumor stages": (["T1", "T2", "T3"], {"T1", "T2", "T3"}),
    "age groups": (["<18", "18-65", ">65"], {"<18", "18-65", ">65"}),
    "true, false and unknown": (["TRUE", "FALSE", "unknown"], {"TRUE", "FALSE", "unknown"}),
    "None": (["None", "some", "much"], {"None", "some", "much"}),
}


@pytest.mark.parametrize("case", CODES)
def test_codes_stay_as_they_are_written(load, case):
    values, levels = CODES[case]
    cohort = load(written(x=cycled(*values)))
    assert {name.removeprefix("x=") for name in cohort.inputs.columns if name != "age"} == levels


def test_four_codes_are_four_though_two_numbers(load):
    cohort = load(written(x=cycled("01882", "1882", "00321", "321")), categories=["x"])
    levels = ("321", "00321", "1882", "01882")
    assert sorted(cohort.schema.columns[1].levels) == sorted(levels)
    version = load(written(x=cycled("1.1", "1.10", "2.0")), categories=["x"])
    assert set(version.schema.columns[1].levels) == {"1.1", "1.10", "2"}


PLATELETS = [f"{v},{w}" for v, w in zip(WHOLE + 200, cycled("000", "358", "100"))]


def test_two_readings_are_decided_by_the_other_columns_or_by_the_study_or_asked(load):
    with pytest.raises(InputError, match=r"x of .* has 2\d\d,\d{3} in line 2, .* or 2\d\d\d\d\d;"):
        load(pd.DataFrame({"y": Y, "w": WHOLE, "x": PLATELETS}).to_csv(index=False))
    thousands = [float(text.replace(",", "")) for text in PLATELETS]
    with_points = load(written(x=PLATELETS))  # age has decimal points
    np.testing.assert_allclose(numbers_of(with_points, "x"), thousands, rtol=1e-5)
    with_commas = load(
        pd.DataFrame({"y": Y, "w": [f"{v},5" for v in WHOLE], "x": PLATELETS}).to_csv(index=False)
    )
    np.testing.assert_allclose(numbers_of(with_commas, "x"), np.array(thousands) / 1000, rtol=1e-5)
    for said, unit in (("1,234.5", 1), ("1.234,5", 1000)):
        for numbers in (said, {"x": said}):
            cohort = load(written(x=PLATELETS), numbers=numbers)
            np.testing.assert_allclose(
                numbers_of(cohort, "x"), np.array(thousands) / unit, rtol=1e-5
            )
    points = pd.DataFrame({"y": Y, "w": WHOLE, "x": [t.replace(",", ".") for t in PLATELETS]})
    cohort = load(points.to_csv(index=False))
    np.testing.assert_allclose(numbers_of(cohort, "x"), np.array(thousands) / 1000, rtol=1e-5)
    assert "if points stand between thousands" in cohort.warnings[0]
    cohort = load(points.to_csv(index=False), numbers="1.234,5")
    np.testing.assert_allclose(numbers_of(cohort, "x"), thousands, rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            [*["12 mg"] * 60, *["0.5 g"] * 60],
            "written in one way, but x .* '12 mg' in line 2 and '0",
        ),
        ([*["12 %"] * 119, "unknown"], "hold nothing else, but x .* 'unknown' in line 121"),
        ([*["1,5"] * 60, *["1.5"] * 60], "written in one way"),
    ],
)
def test_numbers_written_in_several_ways_are_refused_by_line(load, values, message):
    with pytest.raises(InputError, match=message):
        load(written(x=values))


# --- files ----------------------------------------------------------------------------------------

SEPARATED = {
    ";": written().replace(",", ";").replace(".", ","),
    "\t": written().replace(",", "\t"),
    "|": written().replace(",", "|"),
}


@pytest.mark.parametrize("separator", SEPARATED)
def test_other_separators_are_read_with_a_warning(load, separator):
    cohort = load(SEPARATED[separator])
    np.testing.assert_array_equal(cohort.features, load(written()).features)
    assert "is separated by" in cohort.warnings[0]


@pytest.mark.parametrize("separator", [";", ",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_line_in_which_excel_says_the_separator_is_no_header(load, separator, end):
    text = f"sep={separator}\n" + written().replace(",", separator)
    cohort = load(text.replace("\n", end))
    np.testing.assert_array_equal(cohort.features, load(written()).features)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"PK\x03\x04" + bytes(50), "a ZIP archive or an Excel workbook"),
        (b"PAR1" + bytes(50), "a Parquet table"),
        (b"\xef\xbb\xbf<!DOCTYPE html><table>", "a page of HTML"),
        (b'[{"y": 1, "age": 2},\n{"y": 0, "age": 3}]', "is JSON"),
        (b"SQLite format 3\x00", "an SQLite database"),
    ],
)
def test_a_file_of_another_kind_is_named(load, content, kind):
    with pytest.raises(InputError, match=kind):
        load(content)


def test_an_address_and_a_folder_are_no_table(tmp_path):
    for address in ("https://example.org/people.csv", "s3://bucket/people.parquet"):
        with pytest.raises(InputError, match="a file on this machine, but got the address"):
            load_cohort(address, "y")
    (tmp_path / "people.csv").mkdir()
    with pytest.raises(InputError, match=r"people.csv is a folder"):
        load_cohort(tmp_path / "people.csv", "y")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read_with_a_warning(load, encoding):
    text = written(größe=WHOLE % 7, ort=cycled("Köln", "Málaga", "Ærø"))
    cohort = load(text.encode(encoding))
    assert "größe" in cohort.inputs.columns and "ort=Köln" in cohort.inputs.columns
    assert bool(cohort.warnings) == (encoding != "utf-8-sig")


@pytest.mark.parametrize("nothing", [",\n,\n", ",,,,\n", "NA,NA\n", '"",""\n\n'])
def test_rows_of_nothing_at_the_end_are_left_out(load, nothing):
    cohort = load(written() + nothing)
    np.testing.assert_array_equal(cohort.features, load(written()).features)
    assert "without any value" in cohort.warnings[0]


def test_a_stored_index_is_an_id_and_never_a_variable(tmp_path):
    frame = pd.DataFrame(
        {"y": Y, "age": AGE}, index=pd.Index([f"P{i}" for i in range(N)], name="IID")
    )
    frame.to_parquet(tmp_path / "people.parquet")
    assert read_table(tmp_path / "people.parquet").frame["IID"].iloc[3] == "P3"
    for options in ({}, {"identifier": "IID"}):
        cohort = load_cohort(tmp_path / "people.parquet", "y", **options)
        assert cohort.inputs.columns == ("age",)


# --- columns that are no variables ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("Unnamed: 0", np.arange(N), "numbers the rows"),
        ("n", RNG.permutation(N) + 1, "numbers the rows"),
        ("nr", np.arange(N) * 7, "numbers the rows"),
        ("subset", np.arange(N) * 2 + 5, "numbers the rows"),
        ("patient_id", RNG.permutation(10 * N)[:N], "an id by its name"),
        ("MRN", RNG.permutation(10 * N)[:N] + 10**7, "an id by its name"),
    ],
)
def test_row_numbers_and_ids_are_dropped_and_keep_keeps_them(load, name, values, reason):
    cohort = load(written(**{name: values}))
    assert cohort.inputs.columns == ("age",)
    assert any(note.startswith(f"dropped {name}: ") and reason in note for note in cohort.warnings)
    assert load(written(**{name: values}), keep=[name]).inputs.columns == ("age", name)


def test_quantities_are_not_taken_for_ids(load):
    frame = {"width": RNG.permutation(10 * N)[:N], "site_id": np.arange(N) % 6}
    cohort = load(written(**frame))
    assert cohort.inputs.columns == ("age", "width", "site_id")
    assert cohort.warnings == ()


@pytest.mark.parametrize(
    ("outcome", "values"),
    [
        (Y, Y * 10 + RNG.random(N)),
        (Y, np.where(Y == 1, "died", np.where(np.arange(N) % 2, "home", "clinic"))),
        (Y, np.where(Y == 1, np.nan, AGE)),
        (AGE, AGE * 2.2 + RNG.random(N) / 100),
        (np.arange(N) % 3, np.arange(N) % 3 + RNG.random(N) / 2),
    ],
)
def test_a_column_that_tells_the_outcome_is_flagged(load, outcome, values):
    other = RNG.normal(size=N)
    cohort = load(pd.DataFrame({"y": outcome, "other": other, "leak": values}).to_csv(index=False))
    assert any(note.startswith("leak alone tells y") for note in cohort.warnings)
    assert not any(note.startswith("other alone") for note in cohort.warnings)


@pytest.mark.parametrize(
    ("values", "codes"),
    [
        ([-9, 0, 1, 3], [-9]),
        ([-99, -9, 2, 5], [-99, -9]),
        ([1, 2, 30, 88, 99], [88, 99]),
        ([70, 80, 93, 999], [999]),
        ([0, 1, 9], [9]),
        ([-9, -3, 2], []),
        ([1, 60, 98, 99], []),
        ([0.5, 1], []),
    ],
)
def test_codes_for_missing_stand_apart(values, codes):
    assert likely_codes(np.array(values, float)) == codes


def test_a_code_for_missing_in_the_target_is_asked_about_and_can_be_said(load):
    target = np.where(np.arange(N) % 10 == 0, -9, AGE)
    text = pd.DataFrame({"y": target, "x": RNG.normal(size=N)}).to_csv(index=False)
    assert any("y has the value -9" in note for note in load(text).warnings)
    with pytest.raises(InputError, match=r"y of people.csv is missing in 12 of 120 rows"):
        load(text, missing=[-9])
    cohort = load(written(x=np.where(np.arange(N) % 10 == 0, -9, AGE)), missing={"x": [-9]})
    assert "x missing" in cohort.inputs.columns and cohort.warnings == ()
    cohort = load(written(k=cycled("a", "b", "unknown")), missing=["unknown"])
    assert cohort.inputs.columns == ("age", "k=b", "k=missing")


def test_dates_become_years_on_request_alone(load):
    days = pd.Series(pd.date_range("1950-01-01", periods=N, freq="100D"))
    for texts in (
        days.dt.strftime("%Y-%m-%d"),
        days.dt.strftime("%d.%m.%Y"),
        days.dt.strftime("%m/%d/%Y"),
        days.dt.strftime("%d %b %Y"),
        days.dt.strftime("%B %d, %Y"),
        days.dt.strftime("%d-%b-%Y %H:%M"),
        days.dt.strftime("%d/%m/%Y %H:%M:%S"),
    ):
        with pytest.raises(InputError, match="holds dates or times; name it under dates"):
            load(written(born=texts))
        cohort = load(written(born=texts), dates=["born"])
        years = days.dt.year + (days.dt.dayofyear - 1) / np.where(days.dt.is_leap_year, 366, 365)
        np.testing.assert_allclose(numbers_of(cohort, "born"), years, rtol=1e-6)
    both = pd.Series(pd.date_range("1950-01-01", periods=12)).dt.strftime("%d/%m/%Y").tolist() * 10
    with pytest.raises(InputError, match="as day/month and as month/day"):
        load(written(born=both), dates=["born"])


# --- several rows a person ------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["classes", "quantities"])
def test_all_rows_of_a_person_are_in_one_part(load, outcome):
    person = np.repeat([f"P{i}" for i in range(N // 3)], 3)
    y = np.repeat(RNG.permutation(N // 3) % 2, 3) if outcome == "classes" else AGE
    text = pd.DataFrame(
        {"y": y, "visit": np.arange(N) % 3, "x": RNG.normal(size=N), "who": person}
    ).to_csv(index=False)
    for options in ({"person": "who"}, {"identifier": "who"}):
        cohort = load(text, **options)
        parts = [
            set(person[rows])
            for rows in (cohort.split.train, cohort.split.validation, cohort.split.test)
        ]
        assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
        assert sum(map(len, parts)) == cohort.facts["people"] == N // 3
        assert abs(len(cohort.split.test) - N / 5) <= 6 and cohort.facts["rows"] == N
    assert any("who occurs in several rows" in note for note in cohort.warnings)


def test_intervals_are_over_people_where_people_have_several_rows(load):
    rng = np.random.default_rng(8)
    columns = {"y": rng.integers(2, size=400), "x": rng.normal(size=400), "who": range(400)}
    text = pd.DataFrame(columns).loc[np.repeat(range(400), 4)].to_csv(index=False)
    by_person, by_row = load(text, person="who"), load(text, drop=["who"])
    copies = by_person.people[by_person.split.test]
    assert (np.bincount(np.unique(copies, return_inverse=True)[1]) == 4).all()
    found = []
    for cohort in (by_person, replace(by_person, people=None), by_row):
        rows = np.concatenate([cohort.split.train, cohort.split.validation, cohort.split.test])
        network = TrainedNetwork(
            predictions=cohort.features[rows].T[:1], final_predictions=cohort.features[rows].T[:1]
        )
        resamples = resampled_test_people([network], People(cohort, None), "log_loss")[0]
        assert (resamples["best"] == resamples["last"]).all()
        found.append(resamples["best"].std())
    # Four copies of a person say what one says: the standard deviation is twice that of rows.
    assert found[0] / found[1] == pytest.approx(2, rel=0.15)
    assert (
        people_key(by_person)
        != people_key(by_row)
        != people_key(load(text, drop=["who"], split_seed=1))
    )
    assert people_key(by_row) == people_key(load(text, drop=["who"]))


def test_a_repeated_id_that_nobody_named_is_a_warning(load):
    for ids in (np.repeat(np.arange(N // 3), 3), np.repeat([f"P{i}" for i in range(N // 3)], 3)):
        cohort = load(written(patient_id=ids))
        assert cohort.inputs.columns == ("age",)
        assert any("say `person: patient_id`" in note for note in cohort.warnings)


# --- outcomes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "case", "classes"),
    [
        (("dead", "alive"), "alive", ("dead", "alive")),
        (("dead", "alive"), "dead", ("alive", "dead")),
        ((1, 2), 1, (2, 1)),
        ((1, 2), "2", (1, 2)),
        (("yes", "no"), "no", ("yes", "no")),
        (("TRUE", "FALSE"), "false", (True, False)),
        (("TRUE", "FALSE"), False, (True, False)),
        ((0, 1), 0.0, (1, 0)),
    ],
)
def test_a_study_says_which_class_is_the_case(load, labels, case, classes):
    text = pd.DataFrame({"y": [labels[v] for v in Y], "age": AGE}).to_csv(index=False)
    plain, said = load(text), load(text, case=case)
    assert said.classes == classes and said.facts["case"] == str(classes[1])
    asked = {str(case).casefold(), str(case).partition(".")[0]}
    is_case = np.array([str(labels[v]).casefold() in asked for v in Y])
    np.testing.assert_array_equal(said.outcome, is_case)
    assert said.facts["cases"] == is_case.sum()
    np.testing.assert_array_equal(said.split.test, plain.split.test)
    assert "case" not in plain.facts and not any("a case is" in n for n in said.warnings)


def test_a_case_that_is_no_label_is_a_sentence(load):
    with pytest.raises(InputError, match=r"one of the labels of y, 0 or 1 in .*but got 2"):
        load(written(), case=2)
    with pytest.raises(InputError, match=r"but y of people\.csv is a multiclass target"):
        load(pd.DataFrame({"y": cycled("a", "b", "c"), "x": AGE}).to_csv(index=False), case="a")


@pytest.mark.parametrize("days", [2, 30])
@pytest.mark.parametrize("task", ["auto", "binary", "regression", "multiclass"])
def test_a_target_of_dates_is_a_sentence_and_not_nanoseconds(tmp_path, days, task):
    when = pd.Timestamp("1960-01-01") + pd.to_timedelta(np.arange(N) % days, "D")
    path = tmp_path / "people.parquet"
    for values in (when, when.tz_localize("UTC"), pd.Series(when).dt.date, when - when[0]):
        pd.DataFrame({"y": values, "age": AGE}).to_parquet(path)
        with pytest.raises(InputError, match=r"y of people\.parquet holds dates or times"):
            load_cohort(path, "y", task=task)


def test_every_column_left_out_has_its_reason_however_many_there_are(load):
    constant = {f"c{i}": np.ones(N, int) for i in range(14)}
    cohort = load(written(patient_id=np.arange(N) * 7 + 3, **constant))
    assert cohort.left_out["c13"] == "the same in every training row"
    assert cohort.left_out["patient_id"].startswith("an id by its name")
    assert set(cohort.left_out) == {*constant, "patient_id"}
    assert any(note.startswith("dropped c0") and "4 more" in note for note in cohort.warnings)


# --- rare levels ----------------------------------------------------------------------------------


def test_no_rare_level_is_kept_anywhere_however_small_the_table(load):
    rare = [f"secret{i}" if i < 20 else ("a" if i % 2 else "b") for i in range(N)]
    cohort = load(written(k=rare, name=[f"secret{i} person" for i in range(N)]))
    assert cohort.inputs.columns == ("age", "k=a", "k=b", "k=other")
    kept = f"{cohort.schema.as_json()}{cohort.inputs}{cohort.warnings}{cohort.facts}"
    assert "secret" not in kept
    text = pd.DataFrame(
        {"y": [0, 1] * 14, "x": RNG.normal(size=28), "who": [f"secret{i}" for i in range(28)]}
    )
    small = load(text.to_csv(index=False), categories=["who"])
    assert small.inputs.columns == ("x",)


# --- applied always -------------------------------------------------------------------------------

MIXED = {
    "ans": cycled("None", "some", "much"),
    "code": cycled("01", "02", "01", "02", "UK"),
    "zip": cycled("01882", "00321", "12345"),
    "flag": cycled("TRUE", "FALSE", "TRUE", "FALSE", "unknown"),
    "dose": [f"{v} mg" for v in WHOLE],
    "plate": [f"{v},358.5" for v in WHOLE],
    "some": ["" if v % 5 == 0 else str(v) for v in WHOLE],
}


def test_a_code_for_missing_beside_numbers_with_a_unit_may_come_as_a_number(load):
    doses = ["-9" if i % 10 == 0 else f"{v} mg" for i, v in enumerate(WHOLE)]
    cohort = load(written(dose=doses), missing={"dose": [-9]})
    new = pd.DataFrame({"age": AGE[:1], "dose": [-9]})
    features = cohort.schema.transform(new)[0]
    np.testing.assert_array_equal(features, cohort.features[:1])
    with pytest.raises(InputError, match="a bare number in row 2"):
        cohort.schema.transform(pd.DataFrame({"age": AGE[:2], "dose": [-9, 5]}))


def test_a_person_has_the_same_features_whatever_else_is_in_the_table(load, tmp_path):
    text = written(**MIXED)
    cohort = load(text)
    schema = from_json(cohort.schema.as_json())
    frame = pd.read_csv(io.StringIO(text))  # None is missing here
    features, notes = schema.transform(frame)
    np.testing.assert_array_equal(features, cohort.features)
    assert len(notes) == 1 and "taken for the answer None" in notes[0]
    lines = text.splitlines()
    everyday = [i for i in range(N) if MIXED["code"][i] != "UK" and MIXED["flag"][i] != "unknown"]
    for rows in ([0], [1], [5], everyday, range(3, 9)):
        part = "\n".join([lines[0], *(lines[i + 1] for i in rows)])
        (tmp_path / "new.csv").write_text(part)
        table = read_table(tmp_path / "new.csv")
        expected = cohort.features[list(rows)]
        np.testing.assert_array_equal(schema.transform(table.frame, as_read=True)[0], expected)
        np.testing.assert_array_equal(schema.transform(pd.read_csv(io.StringIO(part)))[0], expected)


def test_what_was_lost_is_said_and_not_guessed(load):
    codes = load(written(x=cycled("01882", "1882", "00321")), categories=["x"]).schema
    lost = pd.DataFrame({"age": [50.0], "x": [1882]})
    with pytest.raises(InputError, match=r"1882 .*are one number"):
        codes.transform(lost)
    known = codes.transform(pd.DataFrame({"age": [50.0] * 2, "x": [321, 321.0]}))[0]
    texts = codes.transform(pd.DataFrame({"age": [50.0] * 2, "x": ["00321"] * 2}))[0]
    np.testing.assert_array_equal(known, texts)
    both = load(written(x=cycled("None", "a", "b", ""))).schema
    with pytest.raises(InputError, match="both the answer None and missing values"):
        both.transform(pd.DataFrame({"age": [50.0], "x": [np.nan]}))
    told = both.transform(pd.DataFrame({"age": [50.0] * 2, "x": ["None", "NA"]}))
    assert told[1] == []
    thousands = load(written(x=[f"{v}.250.000" for v in WHOLE])).schema
    with pytest.raises(InputError, match="points between thousands"):
        thousands.transform(pd.DataFrame({"age": [50.0], "x": [1.25]}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dose": ["40 mg", "40"]}, "dose must hold numbers with mg after each, .* in row 2"),
        ({"dose": [40, 50]}, "dose must hold .* a bare number in row 1"),
        ({"age": ["50", "elderly"]}, "age must hold numbers, .* in row 2"),
        ({"age": [True, False]}, "age must hold numbers"),
        ({"age": ["50", "1,5"]}, "age must hold numbers, .* in row 2"),
        ({"age": None}, "lacks age"),
    ],
)
def test_what_does_not_fit_is_named_by_column_and_row_without_its_value(load, change, message):
    cohort = load(written(dose=[f"{v} mg" for v in WHOLE]))
    table = pd.DataFrame({"age": [50.0, 51.0], "dose": ["40 mg", "50 mg"]})
    for name, values in change.items():
        table = table.drop(columns=name) if values is None else table.assign(**{name: values})
    with pytest.raises(InputError, match=message) as caught:
        cohort.schema.transform(table)
    assert not re.search("elderly|1,5", str(caught.value))
    with pytest.raises(InputError, match=r"age.* occurs more than once"):
        cohort.schema.transform(pd.concat([table.assign(age=1.0)] * 2, axis=1))


def test_unknown_levels_are_none_of_the_levels_and_are_counted(load):
    schema = load(written(k=cycled("a", "b", "c"))).schema
    new = pd.DataFrame({"age": [50.0] * 3, "k": ["a", "z", "q"]})
    features, notes = schema.transform(new)
    assert notes == [
        "k: 2 of 3 rows have a level that the training rows did not have, or too rarely; "
        "they count as none of its levels"
    ]
    at_zero = [-f.center / f.scale for f in schema.features[1:]]
    np.testing.assert_allclose(features[1, 1:], at_zero, rtol=1e-6)


def test_a_notation_reads_value_by_value():
    notation = Notation(".", ",", after="%", bounds=True)
    read = [notation.number(text) for text in ("1,234.5 %", "<5%", "NA", "5", "1.234,5 %")]
    assert read[:2] == [1234.5, 5.0] and np.isnan(read[2]) and read[3:] == [None, None]
