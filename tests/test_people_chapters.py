"""The report of a study with resamples: what it says, on planted networks and predictions."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted_study import group_lasso_study, other_people_study

from pipeline.people import ResampledPredictions, prediction_tables
from pipeline.report import views_of
from pipeline.report.page import build_report, markdown_summary
from pipeline.report.summary import summarize

PEOPLE = 300


def predictions(study):
    """One person, of a risk of 0.987654, is far from all others."""
    rng = np.random.default_rng(0)
    risk = rng.beta(2, 10, PEOPLE)
    risk[0] = 0.987654
    networks = [n for n in study.networks if n.configuration == 2 and "resample" in n.params]
    predicted = np.clip(risk + rng.normal(0, 0.03, (len(networks), PEOPLE)), 0, 1)
    seed, drawn = [n.seed for n in networks], [n.params["resample"] for n in networks]
    return ResampledPredictions(2, predicted, seed, drawn, risk)


@pytest.fixture(scope="module")
def study():
    planted = other_people_study()
    return replace(planted, people=prediction_tables([predictions(planted)], 0.2))


@pytest.fixture(scope="module")
def built(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return build_report(study, folder), folder


def test_the_answer_says_which_whose_and_how_good(built):
    which, whose, good = built[0].answer
    assert which.startswith("Whoever was in the table, group lasso on clinical keeps age and sysBP")
    assert "at least 75 % of 40 halves of the people; of these 2, at most 0.9 expected" in which
    assert "of the variance of what c2 keeps" in whose and "95 % intervals" in whose
    assert "the best is configuration 2" in good


def test_other_chapters_are_of_the_networks_of_the_table(built, study):
    summary, folder = built
    assert len(summary.results.networks) == 20 and len(summary.every.networks) == 820
    assert (summary.configurations["networks"] == 5).all()
    networks = pd.read_csv(folder / "networks.csv")
    assert len(networks) == 820 and networks["resample"].isna().sum() == 20
    assert networks["resample"].dropna().astype(str).str.fullmatch(r"\d+(\.0)?").all()
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert "820 of 820 networks finished" in html
    for heading in ("Which variables, whoever was in the table", "Seed or people?",
                    "Each person's prediction"):  # fmt: skip
        assert html.index(heading) < html.index("Solutions across seeds")


def test_tables_and_figures_lie_beside_the_page(built):
    _, folder = built
    for name in ("selection", "selection_path", "seed_or_people", "instability",
                 "instability_bands", "instability_cells"):  # fmt: skip
        assert len(pd.read_csv(folder / f"{name}.csv"))
    for name in ("stability_path_0", "seed_or_people", "instability"):
        assert (folder / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_nobody_can_be_read_off(built):
    _, folder = built
    for path in folder.glob("*.csv"):
        assert "0.9876" not in path.read_text(encoding="utf-8")
    assert "0.9876" not in (folder / "report.html").read_text(encoding="utf-8")
    assert (pd.read_csv(folder / "instability_bands.csv")["number_of_people"] >= 5).all()


def test_the_same_numbers_go_to_mlflow(built, study):
    summary, _ = built
    metrics = summary.best_metrics
    assert metrics["stable_variables"] == 2
    assert metrics["expected_false_selections"] == summary.people.paths[0].stable.expected_false
    whole = metrics["kept_share_seed"] + metrics["kept_share_resample"] + metrics["kept_share_both"]
    assert whole == pytest.approx(1)
    said = re.search(r"(\d+) % \(\d+ to \d+ %\) is due to who", summary.answer[1])[1]
    assert int(said) == round(100 * metrics["kept_share_resample"])
    assert metrics["prediction_mean_error"] == pytest.approx(0.03 * np.sqrt(2 / np.pi), rel=0.1)
    assert any(key.endswith("-by-resample") for key in views_of(summary))
    assert "Integrated paths expect at most 1 false" in markdown_summary(study)


def test_a_study_without_resamples_has_none_of_it(tmp_path):
    summary = build_report(group_lasso_study(), tmp_path)
    assert summary.people is None and not (tmp_path / "selection.csv").exists()
    assert "whoever was in the table" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(views_of(summary)) == 2


def test_one_seed_or_folds_are_said_to_be_too_little():
    one = summarize(other_people_study(seeds=1, resamples=10))
    assert one.answer[1].startswith("Seed or people cannot be told apart")
    few = summarize(other_people_study(seeds=2, resamples=10, kind="folds"))
    assert "no intervals from 2 seeds and 10 resamples" in few.answer[1]
    assert "is bounded for subsamples alone" in few.answer[0]
    assert few.people.paths[0].stable is None
