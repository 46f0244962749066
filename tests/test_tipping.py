"""What divides the solutions, which values matter, and several studies on one page."""

import numpy as np
import pandas as pd
import pytest
from planted_study import case_study, group_lasso_study, network, record

from pipeline.errors import InputError
from pipeline.inspection.configurations import configuration_table
from pipeline.inspection.importance import importances, searched_values
from pipeline.inspection.tipping import dividing_words
from pipeline.networks import LAMBDAS
from pipeline.report.page import compare_studies, markdown_summary
from pipeline.report.pictures import lambda_pictures
from pipeline.report.plots import Boxes
from pipeline.report.summary import summarize
from pipeline.results import Inputs, StudyResults


def dividing(study: StudyResults) -> tuple[str, ...]:
    return dividing_words(study, configuration_table(study))


def test_the_stretches_of_lambda_are_told_in_order():
    assert dividing(group_lasso_study()) == (
        "Along lambda_group of group_lasso on clinical + genetic (simulated): at 0.002 all seeds "
        "end with clinical + genetic; at 0.005 all seeds end with clinical only; at 0.0075 the "
        "seed decides between clinical only and genetic only; at 0.02 all seeds end with clinical "
        "only.",
    )


def test_nothing_divides_where_every_seed_of_every_lambda_ends_alike():
    study = group_lasso_study()
    alike = tuple(n for n in study.networks if n.configuration in (1, 3))
    assert dividing(StudyResults(study.record, alike)) == ()


def test_a_study_that_asks_for_disagreement_answers_with_it_first():
    study = group_lasso_study()
    torn = StudyResults(record(objectives=("solution_entropy",)), study.networks)
    first = summarize(torn).answer[0]
    assert first.startswith("The seed decides at configuration 2") and "(0.97 bits)" in first
    assert len(summarize(torn).answer) == 3


def test_a_study_of_two_objectives_names_the_configurations_that_none_beats_in_both():
    study = group_lasso_study()
    both = StudyResults(record(objectives=("val_auroc", "kept_variables")), study.networks)
    # c3 keeps 3 at the best epoch with 0.62, c1 3 or 4 with 0.70; c0 and c2 keep 16 with less.
    said = "validation AUROC and variables kept: c3 (3.0 kept, 0.620) and c1 (3.5 kept, 0.700)."
    assert said in markdown_summary(both).replace("\\_", "_")
    assert "kept_variables" not in markdown_summary(study)


def test_the_value_that_decides_the_score_has_the_importance():
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"x": rng.uniform(size=60), "kind": rng.choice(["a", "b"], 60)})
    assert importances(values, values["x"] ** 2)["x"] > 0.9
    assert importances(values, values["kind"] == "a")["kind"] > 0.9
    assert sum(importances(values, values["x"]).values()) == pytest.approx(1)


def test_importance_needs_eight_configurations_and_a_score_that_varies():
    values = pd.DataFrame({"x": np.arange(12.0)})
    assert importances(values, np.ones(12)) == {}
    assert importances(values[:7], np.arange(7)) == {}
    assert importances(values, [np.nan] * 5 + list(range(7))) == {}


def test_an_unused_lambda_is_a_decade_below_the_smallest_used():
    values = searched_values(case_study(2))
    assert set(values) == {"regularizer", "inputs", *LAMBDAS}
    assert values["lambda_l1"].min() == pytest.approx(-4)  # 0.001 is the smallest


def test_studies_are_compared_on_one_page_with_their_names(tmp_path):
    case, networks = case_study(4), {}
    for n in case.networks:
        networks.setdefault(n.params["regularizer"], []).append(n)
    studies = [
        StudyResults(record(study=name, study_id=name), tuple(networks[name]))
        for name in ("none", "group_lasso")
    ]
    compare_studies(studies, tmp_path)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert html.count('class="map"') == 3  # none, and the two outcomes of the group lasso
    assert len(html.encode()) < 5_000_000
    assert all(f'href="#study-{i}"' in html and f'id="study-{i}"' in html for i in (1, 2))
    table = pd.read_csv(tmp_path / "results.csv")
    assert dict(table.groupby("study").size()) == {"group_lasso": 3, "none": 2}
    assert (tmp_path / "2_group_lasso_trajectories_c1.png").exists()


def test_a_variable_that_is_called_like_a_column_of_the_table_is_drawn_along_lambda():
    inputs = Inputs(("failed", "age"), ("failed", "age"), ("clinical", "clinical"))
    networks = [
        network(inputs, c, s, keep_best=("failed", "age"), keep_last=keep, val=0.6,
                lambdas={"lambda_group": lam})
        for c, (lam, keep) in enumerate([(0.002, ("failed", "age")), (0.01, ("failed",))])
        for s in range(2)
    ]  # fmt: skip
    (picture,) = lambda_pictures(summarize(StudyResults(record(), tuple(networks))))
    boxes = [m for m in picture.plot.marks() if isinstance(m, Boxes)]
    shares = {box.label: (box.top - box.bottom).tolist() for box in boxes}
    assert shares == {"failed": [0.0, 1.0], "all 2 clinical": [1.0, 0.0]}


def test_studies_of_different_targets_are_not_compared(tmp_path):
    study = group_lasso_study(2, units=3)
    other = StudyResults(record(study="other", target="death"), study.networks)
    with pytest.raises(InputError, match="same target, but group_lasso has TenYearCHD, other has"):
        compare_studies([study, other], tmp_path)
    other = StudyResults(record(study=study.record.study, target="death"), study.networks)
    with pytest.raises(InputError, match="has death, group_lasso has TenYearCHD"):
        compare_studies([other, study], tmp_path)  # two stores, one name
    assert list(tmp_path.iterdir()) == []
