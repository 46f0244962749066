"""Studies whose end is looked at on the test rows: kept baselines, other keys, other machines."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from study_runs import command, of_kind, run_here, study_run
from tiny_study import write_study

from pipeline.errors import InputError
from pipeline.search_space import load_search_space

ROWS, PLOT_ID = 500, r'<div (id|data-root-id)="[^>]*>'


def write_table(folder: Path) -> None:
    rng = np.random.default_rng(1)
    age, dose = rng.normal(55, 9, ROWS), rng.normal(size=ROWS)
    z = (age - 55) / 9 + dose
    sick = (z + rng.logistic(size=ROWS) > 0.7).astype(int)
    ward = rng.choice(["north", "south", "attic"], ROWS, p=[0.55, 0.44, 0.01])
    frame = pd.DataFrame({"age": age.round(2), "dose": dose, "c": rng.normal(size=ROWS)})
    frame.assign(ward=ward, sick=sick).to_csv(folder / "people.csv", index=False)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with a finished study, and what it printed."""
    folder = tmp_path_factory.mktemp("appraised")
    write_table(folder)
    name = write_study(folder, lambdas="[0.001]", epochs=100)
    printed = run_here(folder, name, report_by="ward,age", drop="ward", thresholds="0.3,0.5")
    return folder, printed


@pytest.fixture
def folder(ended: tuple[Path, str], tmp_path: Path) -> Path:
    shutil.copytree(ended[0], tmp_path / "copy")
    return tmp_path / "copy"


ODD_STUDY = """
# What is appraised of it?
data: people.csv
target: y
genotypes: none
sampler: grid
configurations: 1
seeds: 2
report_by: [site]
{keys}
space: {{regularizer: [l1], lambda_l1: [{strength}]}}
network: {{hidden_layer_sizes: [4]}}
training: {{epochs: 30, batch_size: 32, learning_rate: 0.01}}
"""


def odd_study(folder: Path, keys: str = "drop: [pid]", strength: float = 0.001, **target) -> str:
    """A study of 400 rows of 200 people, of another kind; returns what it printed."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    frame = pd.DataFrame(x, columns=["a_$x$", "b", "c"]).assign(
        site=rng.choice(list("abcd"), 400), pid=np.repeat(np.arange(200), 2)
    )
    signal = x[:, 0] + 0.7 * rng.normal(size=400)
    y = target.get("of", lambda z: (z > 0.3).astype(int))(signal)
    frame.assign(y=y).to_csv(folder / "people.csv", index=False)
    (folder / "odd.yaml").write_text(ODD_STUDY.format(keys=keys, strength=strength))
    return run_here(folder, "odd.yaml")


def page(folder: Path) -> str:
    return (folder / "reports/odd/report.html").read_text()


def test_a_quantity_is_calibrated_by_its_mean_and_compared_with_linear_models(
    tmp_path: Path,
) -> None:
    printed = odd_study(tmp_path, of=lambda z: 1500 + 40 * z)
    assert "linear regression" in printed
    found = table(tmp_path, "performance")
    slope = found[found["champion"] & (found["metric"] == "calibration_slope")]["value"].iloc[0]
    assert 0.5 < slope < 2
    bins = table(tmp_path, "calibration")
    assert bins["predicted"].between(1300, 1700).all()
    assert "Calibration of the mean" in page(tmp_path)
    assert "Who is treated" not in page(tmp_path)
    assert set(table(tmp_path, "groups")["metric"]) >= {"r2", "mean_error"}


def test_several_classes_are_each_calibrated_against_the_rest(tmp_path: Path) -> None:
    names = np.array(["low", "mid", "high"])
    odd_study(tmp_path, of=lambda z: names[np.digitize(z, [-0.5, 0.6])])
    assert set(table(tmp_path, "calibration")["outcome"]) == {"high", "low", "mid"}
    assert "Calibration of each class against the rest" in page(tmp_path)
    baselines = table(tmp_path, "baselines")
    assert baselines["test_auroc"].min() > 0.6
    assert baselines["failure"].isna().all()


def test_people_with_several_rows_are_drawn_together(tmp_path: Path) -> None:
    odd_study(tmp_path, "person: pid")
    facts = json.loads((study_run(tmp_path).artifacts / "appraisal/facts.json").read_text())
    assert facts["people_test"] * 2 == facts["rows_test"]
    assert f"of {facts['people_test']} people" in page(tmp_path)


def test_networks_that_keep_nothing_predict_one_risk_and_the_report_says_so(tmp_path: Path) -> None:
    printed = odd_study(tmp_path, strength=5.0)
    assert "A simpler model is better" in printed
    found = table(tmp_path, "performance")
    own = found[found["champion"]].set_index("metric")["value"]
    assert own["auroc"] == 0.5
    assert np.isnan(own["calibration_slope"])
    assert "How good the predictions are" in page(tmp_path)


def test_on_noise_nobody_is_better(tmp_path: Path) -> None:
    coin = np.random.default_rng(9).integers(0, 2, 400)
    printed = odd_study(tmp_path, of=lambda z: coin)
    assert "is not shown to be better" in " ".join(printed.split())


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(study_run(folder).artifacts / "appraisal" / f"{name}.csv")


def test_the_champion_is_what_its_own_run_says(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    scores = table(folder, "performance")
    own = scores[scores["champion"]].set_index("metric")
    name = own["model"].iloc[0]
    (run,) = [r for r in of_kind(folder, "network") if r.name == name]
    for metric in ("auroc", "average_precision", "log_loss", "accuracy"):
        assert own.loc[metric, "value"] == pytest.approx(run.metrics[f"test_{metric}"], abs=1e-6)
    assert own.loc["auroc", "low"] == pytest.approx(run.metrics["test_auroc_low"], abs=1e-4)
    assert f"Champion: [{name}]" in study_run(folder).tags["mlflow.note.content"]


def test_the_models_are_beside_each_other_in_the_answer_and_in_mlflow(
    ended: tuple[Path, str],
) -> None:
    folder, printed = ended
    assert re.search(r"baselines: 3 models in [\d.]+ s", printed)
    run = study_run(folder)
    (said,) = re.findall(r"The champion \(.*?\)\.", " ".join(printed.split()))
    assert "logistic regression" in said or "gradient boosting" in said
    assert said.split(",")[0].replace("_", "\\_") in run.tags["mlflow.note.content"]
    shown = {entry["path"] for entry in json.loads(run.tags["mlflow.loggedArtifacts"])}
    assert {"tables/baselines.json", "tables/groups.json", "tables/table_one.json"} <= shown
    assert run.metrics["champion_minus_baseline"] == pytest.approx(
        run.metrics["champion_test_auroc"] - run.metrics["baseline_test_auroc"]
    )


def test_a_second_start_fits_no_baseline_and_other_thresholds_train_nothing(folder: Path) -> None:
    before = {r.run_id for r in of_kind(folder, "network")}
    kept = table(folder, "baselines")
    printed = run_here(folder, "tiny.yaml", drop="ward", thresholds="0.4")
    assert "baselines:" not in printed
    assert {r.run_id for r in of_kind(folder, "network")} == before
    assert table(folder, "operating_points")["threshold"].unique().tolist() == [0.4]
    pd.testing.assert_frame_equal(table(folder, "baselines"), kept)
    assert (
        not (study_run(folder).artifacts / "appraisal/groups.csv").exists()
        or table(folder, "groups").empty
    )


def test_baselines_can_be_left_out(folder: Path) -> None:
    printed = run_here(folder, "tiny.yaml", drop="ward", baselines="none")
    assert "simpler model" not in printed
    html = (folder / "reports/tiny/report.html").read_text()
    assert "The study leaves simpler models out" in html
    assert table(folder, "baselines").empty  # an earlier start's are gone
    assert not (folder / "reports/tiny/baselines.csv").exists()


def test_the_report_is_the_same_where_neither_table_nor_cache_is(folder: Path) -> None:
    before = (folder / "reports/tiny/report.html").read_text()
    (folder / "people.csv").unlink()
    shutil.rmtree(folder / ".lariat")
    shutil.rmtree(folder / "reports")
    done = command(folder, "report.py")
    assert done.returncode == 0, done.stderr
    after = (folder / "reports/tiny/report.html").read_text()
    for part in ("Beside simpler models", "How good the predictions are", "Who the people are"):
        section = re.compile(rf"<h2[^>]*>{part}</h2>(.*?)</section>", re.DOTALL)
        one, other = (re.sub(PLOT_ID, "", section.search(page)[1]) for page in (before, after))
        assert one == other
    assert (folder / "reports/tiny/tripod_ai.md").exists()


def test_no_small_count_and_no_rare_name_leaves(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    groups = table(folder, "groups")
    assert groups["people"].dropna().min() >= 5
    assert groups["cases"].dropna().min() >= 5
    assert table(folder, "risk")["people"].dropna().min() >= 5
    for path in (study_run(folder).artifacts / "appraisal").iterdir():
        assert "attic" not in path.read_text()
    for path in (folder / "reports/tiny").glob("*.*"):
        assert b"attic" not in path.read_bytes()
    counts = pd.read_csv(folder / "reports/tiny/table_one.csv", dtype=str, na_values=[])
    counts = counts.fillna("").to_numpy().ravel()
    small = [text for text in counts if re.fullmatch(r"[0-4] \(.*", text)]
    assert small == []


def test_groups_are_those_of_the_table(ended: tuple[Path, str]) -> None:
    folder, _ = ended
    groups = table(folder, "groups")
    ages = groups[groups["column"] == "age"]["group"].unique()
    assert ages[0].startswith("below")
    assert len(ages) == 3
    wards = groups[groups["column"] == "ward"].set_index(["group", "metric"])
    # `attic` is of too few people, and what it is joined with is shown nowhere.
    assert {g for g, _ in wards.index} >= {"north", "south"}
    assert 0.4 < wards.loc[("north", "auroc"), "value"] <= 1


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"thresholds": "0.1,1.2"}, "thresholds"),
        ({"report_by": "sick"}, "without the target"),
        ({"report_by": "{age: [50, 40]}"}, "increasing bounds of age"),
        ({"baselines": "perhaps"}, "true, false or none"),
    ],
)
def test_a_mistake_in_a_key_is_a_sentence(tmp_path: Path, given: dict, law: str) -> None:
    name = write_study(tmp_path)
    with pytest.raises(InputError, match=law):
        load_search_space(str(tmp_path / name), given)


def test_a_column_that_is_not_there_and_bounds_of_a_category_are_sentences(folder: Path) -> None:
    with pytest.raises(InputError, match="report_by must name a column of people"):
        run_here(folder, "tiny.yaml", report_by="sex")
    with pytest.raises(InputError, match="bounds under report_by are for quantities"):
        run_here(folder, "tiny.yaml", report_by="{ward: [1, 2]}")


def test_the_planted_cause_is_worth_its_auroc(ended: tuple[Path, str]) -> None:
    """Logistic regression sees all of it: on the test rows it is near the score of the truth."""
    folder, _ = ended
    people = pd.read_csv(folder / "people.csv")
    truth = roc_auc_score(people["sick"], (people["age"] - 55) / 9 + people["dose"])
    found = table(folder, "baselines").set_index("model")
    row = found.loc["logistic regression"]
    assert row["test_auroc_low"] < truth < row["test_auroc_high"]
