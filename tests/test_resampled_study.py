"""A study on resamples from its file to its stores: every network once, with its resample; longer,
copied, and with the cache lost."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_runs import complete_trials, of_kind, run_here, study_run, trials, working_in
from tiny_study import write_study

from pipeline.data import load_cohort
from pipeline.search_space import Configuration, load_search_space
from pipeline.search_space.sampling import Sampling
from pipeline.study.identity import Keys
from pipeline.study.people import People
from pipeline.study.replicates import Replicate, replicates_of
from pipeline.study.resampled import resampled_people
from pipeline.tracking.reader import load_study
from pipeline.tracking.store import RunStore

PLANTED = 0.7318291


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One configuration from two seeds, on the table and on four halves of its people."""
    folder = tmp_path_factory.mktemp("ended")
    file = write_study(folder, resamples="subsample:4")
    table = pd.read_csv(folder / "people.csv")
    table.loc[7, "b"] = PLANTED
    table.to_csv(folder / "people.csv", index=False)
    (folder / "out.txt").write_text(run_here(folder, file))
    return folder


@pytest.fixture
def folder(ended: Path, tmp_path: Path) -> Path:
    shutil.copytree(ended, tmp_path / "copy")
    with working_in(tmp_path / "copy"):
        RunStore()  # whose artifacts are those of the copy from here on
    return tmp_path / "copy"


def replicates(draws: int) -> set[tuple[int, int, int]]:
    return {(0, s, r) for s in (0, 1) for r in range(-1, draws)}


def people_tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {p.stem: pd.read_csv(p) for p in (study_run(folder).artifacts / "people").glob("*.csv")}


def test_every_network_is_a_run_and_a_trial_with_its_resample(ended: Path) -> None:
    networks = of_kind(ended, "network")
    assert {n.replicate for n in networks} == replicates(4)
    assert len(networks) == 10
    for network in networks:
        c, s, r = network.replicate
        assert network.name == f"l1 c{c} s{s}" + ("" if r == -1 else f" r{r}")
        assert ("left_out_auroc" in network.metrics) == (r >= 0)
        assert {"train_auroc", "val_auroc", "test_auroc"} <= network.metrics.keys()
    by_number = {t.number: t for t in trials(ended)}
    assert complete_trials(ended) == {
        (0, s) if r == -1 else (0, s, r): 1 for _, s, r in replicates(4)
    }
    for network in networks:
        trial = by_number[int(network.tags["trial"])]
        assert trial.params.get("resample", -1) == network.replicate[2]
        assert trial.value == network.metrics["val_auroc"]
    assert study_run(ended).params["resamples"] == "subsample:4"
    assert len({n.tags["network_key"] for n in networks}) == 10


def test_metrics_of_a_resample_are_of_its_own_people(ended: Path) -> None:
    from sklearn.metrics import roc_auc_score

    space = load_search_space(str(ended / "tiny.yaml"))
    cohort = load_cohort(ended / "people.csv", "sick")
    resampled = resampled_people(space, cohort)
    stored = {}
    for path in (ended / ".lariat/predictions").glob("*/*.npz"):
        with np.load(path) as arrays:
            keys = arrays["keys"].tobytes().decode().split("\n")
            stored |= dict(zip(keys, arrays["predictions"], strict=True))
    for network in of_kind(ended, "network"):
        predictions, resample = stored[network.tags["network_key"]][0], network.replicate[2]
        if resample == -1:
            parts = {"train": cohort.split.train, "val": cohort.split.validation}
        else:
            draws, rows = resampled.draws, resampled.development
            parts = {
                "train": rows[draws.weights[resample] > 0],
                "val": rows[draws.validation[resample]],
                "left_out": rows[draws.left_out[resample]],
            }
        for part, rows in {**parts, "test": cohort.split.test}.items():
            expected = roc_auc_score(cohort.outcome[rows], predictions[rows])
            assert network.metrics[f"{part}_auroc"] == pytest.approx(expected, abs=1e-6)


def test_predictions_are_their_owners_alone_and_no_person_is_in_a_store(ended: Path) -> None:
    paths = list((ended / ".lariat/predictions").glob("*/*.npz"))
    assert len(paths) == 2  # of the table's networks, and of those on resamples
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    networks = [network for path in paths for network in np.load(path)["predictions"][:, 0]]
    counts = [np.unique(network, return_counts=True) for network in networks]
    # Of many people a network may predict the same: its bias, which its weights have too.
    predicted = [p for values, times in counts for p in values[times == 1][:20]]
    assert len(predicted) > 100
    needles = {str(PLANTED).encode(), np.float64(PLANTED).tobytes(), np.float32(PLANTED).tobytes()}
    needles |= {np.float32(p).tobytes() for p in predicted}
    needles |= {repr(float(p)).encode() for p in predicted}
    kept = [p for place in ("mlruns", "reports") for p in (ended / place).rglob("*")]
    for path in [ended / "mlflow.db", ended / "optuna.db", *filter(Path.is_file, kept)]:
        content = path.read_bytes()
        assert not [needle for needle in needles if needle in content], path


def test_what_is_told_over_people_is_recorded_and_read_back(ended: Path) -> None:
    tables = people_tables(ended)
    told = tables["cross_validation"].set_index("estimate")
    networks = [n for n in of_kind(ended, "network") if n.replicate[2] >= 0]
    by_resample = {
        r: np.mean([n.metrics["left_out_auroc"] for n in networks if n.replicate[2] == r])
        for r in range(4)
    }
    assert told.loc["nested", "value"] == pytest.approx(np.mean(list(by_resample.values())))
    assert told.loc["nested", "low"] < told.loc["nested", "value"] < told.loc["nested", "high"]
    table = [n for n in of_kind(ended, "network") if n.replicate[2] == -1]
    best = max(n.metrics["val_auroc"] for n in table)
    assert told.loc["validation_best_network", "value"] == pytest.approx(best)
    assert told.loc["nested", "trained_rows"] == 48  # half of the 96 that are no test rows
    assert tables["instability"]["number_of_people"].tolist() == [24, 96]
    results = load_study("tiny", f"sqlite:///{ended / 'mlflow.db'}")
    assert results.people.keys() == tables.keys()
    assert results.people["cross_validation"]["chosen"].iloc[0] == ""
    page = (ended / "reports/tiny/report.html").read_text()
    assert "How good, honestly" in page
    assert f"{told.loc['nested', 'value']:.3f}" in page
    assert study_run(ended).metrics["nested_auroc"] == pytest.approx(told.loc["nested", "value"])


def test_networks_of_resamples_have_no_say_in_what_is_said_of_the_table(
    ended: Path, tmp_path: Path
) -> None:
    shutil.copy(ended / "people.csv", tmp_path)
    run_here(tmp_path, write_study(tmp_path))
    plain = {n.key: n for n in of_kind(tmp_path, "network")}
    for network in of_kind(ended, "network"):
        if network.replicate[2] == -1:
            assert network.tags["network_key"] == plain[network.key].tags["network_key"]
            assert network.metrics["test_auroc"] == plain[network.key].metrics["test_auroc"]
    drawn = pd.read_csv(ended / "reports/tiny/results.csv")
    pd.testing.assert_frame_equal(drawn, pd.read_csv(tmp_path / "reports/tiny/results.csv"))
    assert study_run(tmp_path).tags["study_id"] != study_run(ended).tags["study_id"]
    assert "resample" not in pd.read_csv(tmp_path / "reports/tiny/networks.csv")
    assert not (tmp_path / ".lariat/predictions").exists()


def test_a_longer_series_goes_on_with_what_is_trained(folder: Path) -> None:
    before = {n.replicate: n.run_id for n in of_kind(folder, "network")}
    out = run_here(folder, "tiny.yaml", resamples="subsample:6")
    assert "going on: 10 of 14 networks are done" in out
    after = {n.replicate: n.run_id for n in of_kind(folder, "network")}
    assert after.keys() == replicates(6)
    assert {key: after[key] for key in before} == before
    assert set(complete_trials(folder).values()) == {1}
    table = pd.read_csv(folder / "reports/tiny/networks.csv")
    assert sorted(table["resample"].dropna().unique()) == list(range(6))
    again = run_here(folder, "tiny.yaml")  # fewer are asked for, and all are looked at
    assert "going on: 10 of 10" in again
    told = people_tables(folder)["cross_validation"].set_index("estimate")
    assert told.loc["nested", "networks"] == 12


def test_a_renamed_study_takes_over_everything_and_says_the_same(folder: Path) -> None:
    (folder / "tiny.yaml").rename(folder / "other.yaml")
    assert "taken over: 10 networks" in run_here(folder, "other.yaml")
    copies = [n for n in of_kind(folder, "network") if n.tags["study"] == "other"]
    assert {n.replicate for n in copies} == replicates(4)
    assert all("copied_from" in n.tags for n in copies)
    studies = {run.name: run for run in of_kind(folder, "study")}
    for name in ("cross_validation.csv", "instability.csv"):
        tables = [(studies[s].artifacts / "people" / name).read_bytes() for s in ("tiny", "other")]
        assert tables[0] == tables[1]


def test_where_the_cache_is_gone_what_was_recorded_stays_and_a_sentence_says_so(
    folder: Path,
) -> None:
    before = people_tables(folder)
    shutil.rmtree(folder / ".lariat")
    out = run_here(folder, "tiny.yaml")
    assert "the predictions of 8 of 10 networks are not on this machine" in out
    assert "stay as recorded" in out
    after = people_tables(folder)
    assert before.keys() == after.keys()
    for name, table in before.items():
        pd.testing.assert_frame_equal(table, after[name])


def test_where_it_is_gone_before_the_end_there_are_scores_without_intervals(folder: Path) -> None:
    shutil.rmtree(study_run(folder).artifacts / "people")
    shutil.rmtree(folder / ".lariat")
    assert "cannot be made again" in run_here(folder, "tiny.yaml")
    tables = people_tables(folder)
    assert tables.keys() == {"cross_validation"}
    nested = tables["cross_validation"].set_index("estimate").loc["nested"]
    assert np.isfinite(nested["value"]) and np.isnan(nested["low"])


@pytest.fixture
def made(tmp_path: Path):
    """(space, cohort, people) of a table and a study file."""

    def make(frame: pd.DataFrame, study: str, **roles):
        frame.to_csv(tmp_path / "table.csv", index=False)
        (tmp_path / "mine.yaml").write_text(
            f"target: y\ndata: table.csv\ngenotypes: none\nspace: {{regularizer: [none]}}\n{study}"
        )
        space = load_search_space(str(tmp_path / "mine.yaml"))
        cohort = load_cohort(tmp_path / "table.csv", "y", **roles)
        space = space.for_task(cohort.task)
        return space, cohort, People(cohort, None, resampled_people(space, cohort))

    return make


def frame(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.normal(5.0, 2.0, size=(rows, 3)), columns=["a", "b", "c"])
    table.loc[rng.random(rows) < 0.2, "b"] = np.nan
    return table.assign(y=rng.permutation(np.arange(rows) % 2), who=np.arange(rows) // 2)


def configuration(space) -> Configuration:
    return Sampling(space).next({})[0]


def test_networks_of_resamples_see_everyone_but_the_test_rows_first(made) -> None:
    space, cohort, people = made(frame(), "resamples: bootstrap:6\ndrop: [who]", drop=["who"])
    data = people.training_data(configuration(space), on_resamples=True)
    n = 160
    assert data.rows == (n, 0, 40)
    assert data.resamples.weights.shape == data.resamples.validation.shape == (6, n)
    assert np.abs(data.columns[:n].mean(axis=0)).max() < 1e-6
    assert data.columns[:n].std(axis=0) == pytest.approx(np.ones(4), abs=1e-5)
    order = np.concatenate([people.resampled.development, cohort.split.test])
    assert np.array_equal(data.target, cohort.outcome[order])
    raw = frame()["b"].isna().to_numpy()[order]
    assert np.array_equal(data.missing[:, 1], raw)
    assert not data.missing[:, [0, 2, 3]].any()
    assert not np.any(np.isin(cohort.split.test, people.resampled.development))


def test_people_with_several_rows_are_drawn_as_wholes(made) -> None:
    space, cohort, people = made(frame(), "resamples: folds:4x1\nperson: who", person="who")
    draws, rows = people.resampled.draws, people.resampled.development
    whose = cohort.people[rows]
    for left_out in draws.left_out:
        assert not set(whose[left_out]) & set(whose[~left_out])
    assert Keys(people, space.objective).of(Replicate(configuration(space), 0, 1))


def test_quantities_and_class_weights_are_handed_to_the_engine(made) -> None:
    table = frame().drop(columns="who")
    table["y"] = table["a"] * 100.0 + 7.0
    space, _, people = made(table, "resamples: folds:3x1")
    assert people.training_data(configuration(space), True).task == "regression"
    space, _, people = made(
        frame().drop(columns="who"),
        "resamples: folds:3x1\ntraining: {class_weight: balanced}",
    )
    data = people.training_data(configuration(space), True)
    assert data.resamples.balanced and data.row_weights is None


def test_a_network_is_known_by_who_is_in_its_resample_and_not_by_its_number(made) -> None:
    table = frame().drop(columns="who")
    space, _, people = made(table, "resamples: subsample:4")
    more_space, _, more = made(table, "resamples: subsample:8")
    keys, more_keys = Keys(people, "val_auroc"), Keys(more, "val_auroc")
    few, many = (replicates_of(configuration(s), s) for s in (space, more_space))
    assert len(few) == 10 * 5 and len(many) == 10 * 9
    known = {r.key: more_keys.of(r) for r in many}
    assert all(keys.of(r) == known[r.key] for r in few)
    assert len(set(known.values())) == len(known)
    _, _, other = made(table, "resamples: {kind: subsample, count: 4, seed: 1}")
    drawn = [r for r in few if r.resample >= 0]
    assert not {Keys(other, "val_auroc").of(r) for r in drawn} & set(known.values())
