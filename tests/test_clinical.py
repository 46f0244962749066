"""Calibration, decisions, masks, groups and Table 1: hand-worked, and by other packages."""

from __future__ import annotations

import sys
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import patsy
import pytest
import statsmodels.api as sm
from fairlearn.metrics import MetricFrame
from hypothesis import given
from hypothesis import strategies as st
from planted_study import group_lasso_study
from scipy.special import expit
from sklearn.metrics import accuracy_score, brier_score_loss, roc_auc_score
from tableone import TableOne

from pipeline.appraisal import (
    Grouping,
    Opponent,
    Predicted,
    Subject,
    TestRows,
    Variable,
    appraise,
    table_one,
)
from pipeline.appraisal.comparison import verdict
from pipeline.metrics import calibration, decisions
from pipeline.metrics.masking import MASK, masked_counts
from pipeline.report.checklist import checklist
from pipeline.report.clinical_plots import on_test_rows
from pipeline.report.figures import picture
from pipeline.report.page import build_report, summarize
from pipeline.report.plots import Band
from pipeline.tracking.format import appraisal_files, appraisal_from_files

sys.path.insert(0, str(Path(__file__).parent / "oracles"))
from decision_curve import people as oracle_people

ORACLE = Path(__file__).parent / "oracles/decision_curve.csv"


def logistic_people(rows: int = 600, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(-1.0, 1.2, rows)
    return (rng.random(rows) < expit(0.3 + 0.7 * z)).astype(int), z


def test_calibration_is_that_of_statsmodels_on_every_resample() -> None:
    y, z = logistic_people()
    times = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), 3).T
    found = calibration.of_risks(y, z, times)
    for b in range(3):
        rows = np.repeat(np.arange(len(y)), times[:, b])
        family = sm.families.Binomial()
        slope = sm.GLM(y[rows], sm.add_constant(z[rows]), family).fit().params[1]
        shift = sm.GLM(y[rows], np.ones(len(rows)), family, offset=z[rows]).fit().params[0]
        assert found["calibration_slope"][b] == pytest.approx(slope, rel=1e-6)
        assert found["calibration_intercept"][b] == pytest.approx(shift, rel=1e-6)
        brier = brier_score_loss(y[rows], expit(z[rows]))
        assert found["brier_score"][b] == pytest.approx(brier)


@pytest.mark.parametrize(("rows", "knots"), [(600, 3), (1200, 5)])
def test_the_smooth_curve_is_statsmodels_natural_spline_regression(rows: int, knots: int) -> None:
    """patsy's cr() is the natural cubic spline in another basis: linear beyond the outer knots."""
    y, z = logistic_people(rows)
    assert (min(y.sum(), rows - y.sum()) >= calibration.FEWEST_FOR_FIVE) == (knots == 5)
    risks, observed = calibration.curve(y, z, calibration.once(len(y)))
    lower, *inner, upper = np.quantile(z, calibration.KNOTS[knots])

    def basis(x: np.ndarray) -> np.ndarray:
        known = {"x": x, "low": lower, "high": upper, "knots": inner}
        return patsy.dmatrix("cr(x, knots=knots, lower_bound=low, upper_bound=high) - 1", known)

    fitted = sm.GLM(y, basis(z), sm.families.Binomial()).fit()
    expected = fitted.predict(basis(np.log(risks / (1 - risks))))
    np.testing.assert_allclose(observed[0], expected, rtol=1e-5)


def test_of_few_people_curves_have_no_bands_and_are_drawn() -> None:
    y, z = logistic_people(50)
    tables = appraise(
        Subject(TestRows(y, "binary"), "auroc", [Predicted("a", z[None])], "a")
    ).tables
    for name in ("calibration", "decision_curve"):
        assert len(tables[name]) > 5
        assert not np.isfinite(tables[name][["low", "high"]].to_numpy(float)).any()
    shown = (tables[name] for name in ("calibration", "decision_curve", "risk"))
    plot = on_test_rows(*shown, "a")
    assert not any(isinstance(mark, Band) for mark in plot.marks())
    assert picture(plot)


def test_predictions_that_separate_the_classes_have_an_intercept_and_no_slope() -> None:
    y, z = np.repeat([0, 1], 20), np.repeat([-3.0, 2.0], 20) + np.linspace(0, 0.1, 40)
    found = calibration.of_risks(y, z, calibration.once(40))
    assert np.isnan(found["calibration_slope"][0])
    shift = found["calibration_intercept"][0]
    assert expit(z + shift).mean() == pytest.approx(0.5)


def test_resamples_far_from_the_rows_as_they_are_have_their_own_fits() -> None:
    """Also where a step from the fit of all rows would go astray, or where there is no fit."""
    y, z = logistic_people(200)
    times = np.zeros((len(y), 4), int)
    times[:, 0] = 1 + 50 * ((y == 1) & (z < -2))  # mostly cases of small risk
    times[:, 1] = 1 + 3000 * ((y == 0) & (z < 0))  # hardly a case
    times[:, 2] = y == 1  # no others
    times[:, 3] = (y == 1) == (z > z.mean())  # what separates them
    found = calibration.of_risks(y, z, times)
    for b in range(2):
        design = sm.add_constant(z)
        family = sm.families.Binomial()
        fitted = sm.GLM(y, design, family, freq_weights=times[:, b]).fit(tol=1e-12)
        shift = sm.GLM(y, design[:, :1], family, offset=z, freq_weights=times[:, b]).fit(tol=1e-12)
        assert found["calibration_slope"][b] == pytest.approx(fitted.params[1], rel=1e-6)
        assert found["calibration_intercept"][b] == pytest.approx(shift.params[0], rel=1e-6)
    assert np.isnan(found["calibration_slope"][2:]).all()
    assert np.isnan(found["calibration_intercept"]).tolist() == [False, False, True, False]


def test_quantities_are_calibrated_by_least_squares() -> None:
    rng = np.random.default_rng(4)
    f = rng.normal(1000, 3, 80)
    y = 200 + 0.8 * f + rng.normal(size=80)
    times = rng.integers(0, 3, (80, 2))
    found = calibration.of_quantities(y, f, times)
    for b in range(2):
        ols = sm.WLS(y, sm.add_constant(f), weights=times[:, b]).fit()
        assert found["calibration_slope"][b] == pytest.approx(ols.params[1], rel=1e-6)
        assert found["mean_error"][b] == pytest.approx(np.average(y - f, weights=times[:, b]))


def test_bins_have_ten_people_and_five_of_either_outcome() -> None:
    rng = np.random.default_rng(5)
    risk = rng.beta(1, 12, 400)
    y = (rng.random(400) < risk).astype(int)
    found = calibration.bins(y, risk, calibration.once(400), binary=True)
    cases = (found["observed"] * found["rows"]).round()
    assert found["rows"].sum() == 400
    assert len(found) > 2
    assert (cases >= 5).all()
    assert (found["rows"] - cases >= 5).all()
    assert found["predicted"].is_monotonic_increasing
    tied = calibration.bins(y, np.full(400, 0.1), calibration.once(400), binary=True)
    assert tied["rows"].tolist() == [400]


def test_net_benefit_is_that_of_dcurves() -> None:
    people, oracle = oracle_people(), pd.read_csv(ORACLE)
    thresholds = oracle.loc[oracle["model"] == "risk", "threshold"].to_numpy()
    once = calibration.once(len(people))
    sick, risk = people["sick"].to_numpy(), people["risk"].to_numpy()
    found = decisions.fourfold(sick, risk, thresholds, once)
    expected = {name: part["net_benefit"].to_numpy() for name, part in oracle.groupby("model")}
    np.testing.assert_allclose(found.net_benefit()[0], expected["risk"], atol=1e-9)
    of_all = decisions.net_benefit_of_all(sick, thresholds, once)[0]
    np.testing.assert_allclose(of_all, expected["all"], atol=1e-9)
    assert (expected["none"] == 0).all()


def test_operating_points_worked_by_hand() -> None:
    """Four cases at .1 .3 .5 .9 and six others at .1 .1 .2 .2 .3 .6; treated from .3 on."""
    outcome = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    risk = np.array([0.1, 0.3, 0.5, 0.9, 0.1, 0.1, 0.2, 0.2, 0.3, 0.6])
    found = decisions.fourfold(outcome, risk, np.array([0.3]), calibration.once(10))
    assert [found.tp[0, 0], found.fp[0, 0], found.fn[0, 0], found.tn[0, 0]] == [3, 2, 1, 4]
    measures = {name: values[0, 0] for name, values in found.measures().items()}
    assert measures == pytest.approx(
        {"sensitivity": 3 / 4, "specificity": 4 / 6, "ppv": 3 / 5, "npv": 4 / 5, "treated": 0.5}
    )
    assert found.net_benefit()[0, 0] == pytest.approx(3 / 10 - 2 / 10 * 3 / 7)


def test_a_single_small_count_takes_the_smallest_other_with_it() -> None:
    assert masked_counts([3, 20, 30], [(0, 1, 2)]).tolist() == [True, True, False]
    assert masked_counts([3, 20, 30]).tolist() == [True, False, False]
    assert masked_counts([3, 4, 30], [(0, 1, 2)]).tolist() == [True, True, False]
    # 10 rows of the second are of three people
    assert masked_counts([10, 10], people=np.array([10, 3])).tolist() == [False, True]


@given(st.lists(st.lists(st.integers(0, 12), min_size=3, max_size=3), min_size=2, max_size=4))
def test_no_masked_count_of_a_table_follows_from_its_totals(table: list[list[int]]) -> None:
    """An equation for one count alone would be a sum of the known ones: it would add no rank."""
    counts = np.array(table)
    at = np.arange(counts.size).reshape(counts.shape)
    sums = [*at.T.tolist(), *at.tolist()]
    hidden = masked_counts(counts.ravel(), sums)
    assert hidden[counts.ravel() < 5].all()
    matrix = np.array([[float(j in members) for j in range(counts.size)] for members in sums])
    unknown = matrix[:, hidden]
    for j in range(int(hidden.sum())):
        alone = np.eye(int(hidden.sum()))[j]
        assert np.linalg.matrix_rank(np.vstack([unknown, alone])) > np.linalg.matrix_rank(unknown)


def binary_rows(rows: int = 400) -> tuple[TestRows, Predicted]:
    y, z = logistic_people(rows, 8)
    return TestRows(y, "binary", ("no", "yes")), Predicted("champion", z[None])


def test_scores_by_group_are_those_of_fairlearn() -> None:
    rows, champion = binary_rows()
    which = np.random.default_rng(1).integers(0, 3, 400)
    subject = Subject(
        rows, "auroc", [champion], "champion", thresholds=[0.3],
        groupings=[Grouping("ward", ("a", "b", "c"), which)],
    )  # fmt: skip
    found = appraise(subject).tables["groups"].set_index(["group", "metric"])
    risk = expit(champion.raw[0])
    for metric, function, predicted in (
        ("auroc", roc_auc_score, risk), ("brier_score", brier_score_loss, risk),
        ("accuracy", accuracy_score, risk >= 0.5),
    ):  # fmt: skip
        frame = MetricFrame(
            metrics=function, y_true=rows.outcome, y_pred=predicted, sensitive_features=which
        )
        for i, label in enumerate("abc"):
            row = found.loc[(label, metric)]
            assert row["value"] == pytest.approx(frame.by_group[i])
            assert row["low"] < row["value"] < row["high"]
    assert found.loc[("a", "auroc"), "people"] == (which == 0).sum()
    assert found.loc[("a", "auroc"), "cases"] == rows.outcome[which == 0].sum()


def test_small_groups_have_no_scores_and_their_size_does_not_follow() -> None:
    rows, champion = binary_rows()
    which = np.zeros(400, int)
    which[:3], which[3:60] = 2, 1
    subject = Subject(
        rows, "auroc", [champion], "champion", groupings=[Grouping("ward", "abc", which)]
    )
    found = appraise(subject).tables["groups"].groupby("group").first()
    assert np.isnan(found.loc["c", "people"])
    assert np.isnan(found.loc["c", "value"])
    assert np.isnan(found.loc["b", "people"])  # 400 − 340 − 57 would be the three
    assert found.loc["a", "people"] == 340


@pytest.mark.parametrize(
    ("better_by", "expected"), [(1.5, "better"), (-1.5, "worse"), (0.0, "no difference shown")]
)
def test_the_verdict_on_planted_networks_and_baselines(better_by: float, expected: str) -> None:
    """A network that sees a second cause, a baseline that does, and two of the same information."""
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 800))
    y = (rng.random(800) < expit(first + 1.5 * second - 1)).astype(int)
    network, baseline = first + max(better_by, 0) * second, first + max(-better_by, 0) * second
    baseline = baseline + 0.02 * rng.normal(size=800)
    found = appraise(
        Subject(
            TestRows(y, "binary", ("0", "1")), "auroc", [Predicted("n", network[None])], "n",
            [
                Opponent("weak", "a", "", rng.normal(size=(1, 800)), 0.5, 0.1),
                Opponent("strong", "a", "", baseline[None], 0.7, 0.1),
                Opponent("none", "a", "", np.empty((1, 0)), np.nan, 0.1, "failed"),
            ],
        )
    )  # fmt: skip
    assert found.facts["best_baseline"] == 1  # by the validation rows
    row = found.tables["baselines"].iloc[1]
    assert row["verdict"] == expected
    auroc = [roc_auc_score(y, network), roc_auc_score(y, baseline)]
    assert row["difference"] == pytest.approx(auroc[0] - auroc[1])
    assert found.tables["baselines"].iloc[2]["failure"] == "failed"


def test_losses_are_better_where_they_are_smaller() -> None:
    assert verdict(-0.2, -0.1, maximize=False) == "better"
    assert verdict(-0.2, -0.1, maximize=True) == "worse"
    assert verdict(-0.2, 0.1, maximize=True) == "no difference shown"


def people_frame(rows: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    frame = pd.DataFrame({"age": rng.normal(50, 9, rows), "ward": rng.choice(list("abc"), rows)})
    frame.loc[:30, "age"] = np.nan
    return frame.assign(part=np.repeat(["training", "test"], [200, 100]))


def variables_of(frame: pd.DataFrame) -> list[Variable]:
    codes = frame["ward"].map({"a": 0, "b": 1, "c": 2}).fillna(-1).to_numpy(int)
    return [
        Variable("age", frame["age"].to_numpy(float)),
        Variable("ward", codes, ("a", "b", "c")),
    ]


def test_table_one_is_that_of_tableone() -> None:
    frame = people_frame()
    split = {name: (frame["part"] == name).to_numpy() for name in ("training", "test")}
    own = table_one(variables_of(frame), split, {}).set_index(["variable", "level"])
    theirs = TableOne(
        frame, columns=["age", "ward"], categorical=["ward"], groupby="part", missing=False
    ).tableone
    theirs.columns = theirs.columns.get_level_values(-1)
    theirs.index = [(v.partition(",")[0], level) for v, level in theirs.index]
    assert (
        own.loc[("age", "mean (sd)"), "training"] == theirs.loc[[("age", "")]]["training"].iloc[0]
    )
    for level in "abc":
        text = own.loc[("ward" if level == "a" else "", level), "test"]
        count, share = theirs.loc[[("ward", level)]]["test"].iloc[0].split(" ")
        assert text.split(" ") == [count, share.replace(")", "%)")]
    assert own.loc[("", "missing"), "training"] == MASK  # all 31, since there are 0 in the other


def test_small_counts_of_table_one_are_masked_with_others_that_would_tell_them() -> None:
    frame = people_frame()
    frame["ward"] = ["a"] * 3 + ["b"] * 97 + ["c"] * 200
    split = {name: (frame["part"] == name).to_numpy() for name in ("training", "test")}
    found = table_one(variables_of(frame), split, {}).set_index("level")
    assert found.loc["a", "all"] == found.loc["a", "training"] == MASK
    assert found.loc["b", "training"] == MASK
    assert found.loc["c", "test"].startswith("100")


def test_what_is_appraised_of_people_with_several_rows_is_drawn_by_people() -> None:
    y, z = logistic_people(150, 9)
    whose = np.repeat(np.arange(150), 4)
    alone = appraise(Subject(TestRows(y, "binary"), "auroc", [Predicted("n", z[None])], "n"))
    rows = TestRows(y[whose], "binary", people=whose)
    copied = appraise(Subject(rows, "auroc", [Predicted("n", z[None, whose])], "n"))
    for name in ("low", "high"):
        np.testing.assert_allclose(
            alone.tables["performance"][name], copied.tables["performance"][name], rtol=1e-6
        )


def test_several_classes_and_quantities_have_what_makes_sense_of_them() -> None:
    rng = np.random.default_rng(3)
    y, raw = rng.integers(0, 3, 300), rng.normal(size=(3, 300))
    raw[y, np.arange(300)] += 1
    found = appraise(
        Subject(TestRows(y, "multiclass", ("a", "b", "c")), "auroc", [Predicted("n", raw)], "n")
    )
    assert set(found.tables["calibration"]["outcome"]) == {"a", "b", "c"}
    assert found.tables["decision_curve"].empty
    assert found.tables["risk"].empty
    quantity = rng.normal(size=300)
    raw = 0.5 * quantity + rng.normal(size=300)
    found = appraise(
        Subject(TestRows(quantity, "regression"), "r2", [Predicted("n", raw[None])], "n")
    )
    assert set(found.tables["calibration"]["kind"]) == {"bin"}
    assert found.tables["operating_points"].empty


def test_risks_by_outcome_add_up_and_hide_small_bins() -> None:
    rows, champion = binary_rows()
    found = appraise(Subject(rows, "auroc", [champion], "champion")).tables["risk"]
    for label, value in (("no", 0), ("yes", 1)):
        part = found[found["outcome"] == label]
        assert part["people"].sum() <= (rows.outcome == value).sum()
        assert part["people"].min() >= 5
        assert part["people"].isna().sum() != 1


def appraised_results(**changes: object):
    """The planted study of the report's tests, with an appraisal of two networks."""
    rows, champion = binary_rows()
    other = Predicted("other", champion.raw * 1.7, "age")
    which = np.random.default_rng(1).integers(0, 2, 400)
    frame = people_frame(400 - 100)
    split = {name: (frame["part"] == name).to_numpy() for name in ("training", "test")}
    fields = {
        "opponents": [Opponent("gradient boosting", "clinical", "9 trees", champion.raw, 0.7, 1.0)],
        "thresholds": [0.2, 0.3], "groupings": [Grouping("sex", ("f", "m"), which)],
        "people_table": table_one(variables_of(frame), split, {}),
    }  # fmt: skip
    subject = Subject(rows, "auroc", [champion, other], "champion", **(fields | changes))
    return replace(group_lasso_study(3), appraisal=appraise(subject))


def test_an_appraisal_comes_back_from_its_files_as_it_went() -> None:
    appraisal = appraised_results().appraisal
    files = {path.split("/")[1]: content for path, content in appraisal_files(appraisal).items()}
    again = appraisal_from_files(files)
    assert again.facts == {**appraisal.facts}
    for name, table in appraisal.tables.items():
        expected = table.astype(object).where(table.notna(), None)
        found = again.tables[name].astype(object).where(again.tables[name].notna(), None)
        assert found.columns.tolist() == expected.columns.tolist()
        for column in expected:
            for one, other in zip(expected[column], found[column], strict=True):
                if isinstance(one, float):
                    assert other == pytest.approx(one)
                else:
                    assert (one or "") == (other or "")


def test_the_page_its_csv_and_its_documents_say_the_same(tmp_path: Path) -> None:
    results = appraised_results()
    summary = build_report(results, tmp_path)
    html = unescape((tmp_path / "report.html").read_text())
    card, listed = ((tmp_path / n).read_text() for n in ("model_card.md", "tripod_ai.md"))
    scores = pd.read_csv(tmp_path / "performance.csv")
    own = scores[scores["champion"] & (scores["metric"] == "brier_score")].iloc[0]
    text = f"{own['value']:.3f} ({own['low']:.3f} to {own['high']:.3f})"
    assert text in html
    assert text in card
    assert summary.answer[-1] in html
    assert "is not shown to be better than gradient boosting" in summary.answer[-1]
    assert summary.answer[-1].startswith("The champion (champion)")
    assert "a difference of 0.000" in summary.answer[-1]
    assert (tmp_path / "test_rows.png").exists()
    assert (tmp_path / "groups.png").exists()
    assert summary.best_metrics["champion_test_brier_score"] == pytest.approx(own["value"])
    assert summary.best_metrics["champion_minus_baseline"] == 0.0
    rows = [line.split(" | ")[0].strip("| ") for line in listed.splitlines() if "| " in line]
    assert len(set(rows)) == 52 + 2
    assert "| 17 | Ethics | approval, and consent or its waiver | open | … |" in listed
    assert "by sex" in listed


def test_a_study_without_an_appraisal_has_no_such_sections(tmp_path: Path) -> None:
    results = group_lasso_study(3)
    summary = build_report(results, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert "simpler model" not in html
    assert len(summary.answer) == 3
    assert "How good it is" not in (tmp_path / "model_card.md").read_text()


def test_the_checklist_has_all_items_of_the_statement() -> None:
    """27 items; those with parts, and how many."""
    parts = {3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3}
    expected = [
        f"{n}{letter}" for n in range(1, 28) for letter in "abcdefg"[: parts.get(n, 0)] or [""]
    ]
    assert [item.number for item in checklist(summarize(appraised_results()))] == expected
