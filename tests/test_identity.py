"""What is trained is known by what decided its numbers: it is taken over, and never deleted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from study_runs import complete_trials, of_kind, run_here, trials
from tiny_study import write_study


def networks_of(folder: Path, study: str) -> dict:
    return {n.key: n for n in of_kind(folder, "network") if n.tags["study"] == study}


def table_of(folder: Path, study: str) -> pd.DataFrame:
    return pd.read_csv(folder / "reports" / study / "networks.csv")


def test_a_copied_study_takes_over_what_is_trained_and_deletes_nothing(folder: Path) -> None:
    before = networks_of(folder, "tiny")
    out = run_here(folder, write_study(folder, "other", question="Is it known", seeds=3))
    assert "taken over: 2 networks" in out
    copies = networks_of(folder, "other")
    assert copies.keys() == {(0, 0), (0, 1), (0, 2)}
    for key, original in before.items():
        copy = copies[key]
        assert copy.tags["copied_from"] == original.run_id
        assert copy.tags["network_key"] == original.tags["network_key"]
        assert copy.tags["made_with"] == original.tags["made_with"]
        assert copy.metrics == original.metrics
        for name in ("first_layer.csv", "curves.csv", "network.npz"):
            assert (copy.artifacts / "weights" / name).read_bytes() == (
                original.artifacts / "weights" / name
            ).read_bytes()
    assert "copied_from" not in copies[0, 2].tags
    table = table_of(folder, "tiny")
    run_here(folder, "tiny.yaml")
    assert {c: n.run_id for c, n in networks_of(folder, "tiny").items()} == {
        c: n.run_id for c, n in before.items()
    }
    pd.testing.assert_frame_equal(table_of(folder, "tiny"), table)
    pd.testing.assert_frame_equal(table_of(folder, "other")[:2], table)


def test_a_wider_grid_takes_over_the_networks_that_it_shares(folder: Path) -> None:
    wider = write_study(folder, "wider", lambdas="[0.04, 0.03, 0.02, 0.01]", configurations=4)
    assert "taken over: 2 networks" in run_here(folder, wider)
    shared = {n.params["lambda_l1"] for n in networks_of(folder, "wider").values()
              if "copied_from" in n.tags}  # fmt: skip
    assert shared == {n.params["lambda_l1"] for n in networks_of(folder, "tiny").values()}


@pytest.mark.parametrize("changes", [{"epochs": 4}, {"data": "more_people.csv"}])
def test_other_training_or_another_table_is_another_network_and_another_report(
    folder: Path, changes: dict
) -> None:
    before = (folder / "reports/tiny/report.html").read_bytes()
    out = run_here(folder, write_study(folder, **changes))
    assert "taken over" not in out
    assert (folder / "reports/tiny/report.html").read_bytes() == before
    (other,) = (p for p in (folder / "reports").iterdir() if p.name != "tiny")
    (study,) = (s for s in of_kind(folder, "study") if s.tags["place"] != "tiny")
    assert other.name == study.tags["place"] == f"tiny-{study.tags['study_id'][:6]}"
    assert f"models:/lariat-{other.name}@champion" in study.tags["mlflow.note.content"]
    assert len(of_kind(folder, "network")) == 4


@pytest.mark.parametrize("how", ["lost", "another"])
def test_trials_that_optuna_lacks_are_rebuilt_from_the_runs(folder: Path, how: str) -> None:
    known = {t.number: (t.params, t.value) for t in trials(folder)}
    ids = {n.run_id for n in of_kind(folder, "network")}
    (folder / "optuna.db").rename(folder / "earlier.db")
    storage = "sqlite:///optuna.db" if how == "lost" else "sqlite:///b.db"
    out = run_here(folder, "tiny.yaml", storage=storage)
    assert "going on: 2 of 2" in out
    (folder / "b.db").exists() and (folder / "b.db").rename(folder / "optuna.db")
    assert {t.number: (t.params, t.value) for t in trials(folder)} == known
    assert {n.run_id for n in of_kind(folder, "network")} == ids


def test_a_storage_with_trials_whose_runs_are_in_another_store_counts_none_twice(
    folder: Path,
) -> None:
    for name in ("mlflow.db", "mlruns"):
        (folder / name).rename(folder / f"earlier_{name}")
    run_here(folder, "tiny.yaml")
    assert len(of_kind(folder, "network")) == 2
    assert set(complete_trials(folder).values()) == {1}
    assert len(trials(folder)) == 2


def test_networks_of_another_engine_are_other_networks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.study import identity

    monkeypatch.setattr(identity, "ENGINE_VERSION", identity.ENGINE_VERSION + 1)
    out = run_here(folder, "tiny.yaml")
    assert "going on" not in out and "taken over" not in out
    assert len(of_kind(folder, "network")) == 4


def test_networks_of_several_programs_are_told_apart_in_the_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.study import identity

    assert "trained by" not in (folder / "reports/tiny/report.html").read_text()
    facts = {"git_commit": "0ld", "trained_with": "numpy 1.0"}
    monkeypatch.setattr(identity, "reproduction_facts", lambda: facts)
    run_here(folder, "tiny.yaml", seeds=3)
    page = (folder / "reports/tiny/report.html").read_text()
    assert "The networks were trained by 2 versions of program and libraries" in page
    assert "code 0ld; numpy 1.0" in page
