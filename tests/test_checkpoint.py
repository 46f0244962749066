"""A population that was stopped goes on from its checkpoint, and ends in the same numbers."""

import dataclasses
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_data import architecture, small, spec
from study_runs import of_kind, run_here
from test_independence import assert_same

from pipeline.metrics import metrics
from pipeline.networks import Schedule, backward, forward
from pipeline.process.stopping import Stopped
from pipeline.progress import StudyProgress
from pipeline.training import Checkpoint, train_population
from pipeline.training import population as parts
from pipeline.training.checkpoint import _PROGRAM

SCHEDULE = Schedule(epochs=8, batch_size=32, patience_epochs=3, finish_steps=20)
SPECS = [
    spec(0, lambda_l1=0.01),
    spec(1, lambda_group=0.02, learning_rate=0.02),
    spec(2, lambda_l2=0.1, learning_rate=0.05),
    spec(3, learning_rate=1e18),  # diverges
    spec(4, lambda_group=0.05),
]


@pytest.fixture(autouse=True)
def _every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.training.checkpoint.SHARE_OF_TIME", float("inf"))


def stopped(data, specs, folder: Path, epoch: int) -> None:
    """Train with a checkpoint after each epoch, and stop in the next one."""

    def on_epoch(done: int, training: int, score: float) -> None:
        if done == epoch:
            raise Stopped

    with pytest.raises(Stopped):
        train_population(
            data, architecture(data), specs, SCHEDULE, on_epoch, checkpoint=Checkpoint(folder, 0)
        )


def resumed(data, specs, folder: Path) -> tuple[list, list[int]]:
    """The networks, and the epochs that were trained for them."""
    epochs: list[int] = []
    networks = train_population(
        data,
        architecture(data),
        specs,
        SCHEDULE,
        lambda epoch, *_: epochs.append(epoch),
        checkpoint=Checkpoint(folder, 0),
    )
    return networks, epochs


def assert_all_the_same(networks, others) -> None:
    for network, other in zip(networks, others, strict=True):
        assert network.failure == other.failure
        if network.failure is None:
            assert_same(network, other)
            if network.encoder is not None:
                assert np.array_equal(network.encoder[0], other.encoder[0])
                assert network.encoder[1] == other.encoder[1]


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
def test_stopped_after_some_epochs_it_ends_in_the_same_numbers(
    tmp_path: Path, genetic_dimensions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = small(genetic_dimensions=genetic_dimensions)
    undisturbed = train_population(data, architecture(data), SPECS, SCHEDULE)
    assert [n.failure is None for n in undisturbed] == [True, True, True, False, True]
    stopped(data, SPECS, tmp_path, 3)
    stopped(data, SPECS, tmp_path, 5)
    monkeypatch.setattr(parts, "cores", lambda: 3)
    networks, epochs = resumed(data, SPECS, tmp_path)
    assert epochs[0] == 6
    assert_all_the_same(networks, undisturbed)


def test_some_of_its_networks_go_on_alone(tmp_path: Path) -> None:
    data = small(genetic_dimensions=3)
    some = [SPECS[4], SPECS[1]]
    undisturbed = train_population(data, architecture(data), some, SCHEDULE)
    stopped(data, SPECS, tmp_path, 4)
    networks, epochs = resumed(data, some, tmp_path)
    assert epochs[0] == 5
    assert_all_the_same(networks, undisturbed)


def test_after_the_last_epoch_only_the_end_is_done_again(tmp_path: Path) -> None:
    data = small()
    undisturbed = train_population(data, architecture(data), SPECS[:2], SCHEDULE)
    last = max(network.final_epoch for network in undisturbed)
    stopped(data, SPECS[:2], tmp_path, last)
    networks, epochs = resumed(data, SPECS[:2], tmp_path)
    assert epochs == []
    assert_all_the_same(networks, undisturbed)


def test_another_population_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = small()
    stopped(data, SPECS[:2], tmp_path, 3)
    checkpoint = Checkpoint(tmp_path)
    content = checkpoint.path.read_bytes()
    assert stat.S_IMODE(checkpoint.path.stat().st_mode) == 0o600
    anew = {
        "another spec": (data, SPECS[1:3]),
        "other data": (dataclasses.replace(data, target=1 - data.target), SPECS[:2]),
    }
    for name, (table, specs) in anew.items():
        checkpoint.path.write_bytes(content)
        assert resumed(table, specs, tmp_path)[1][0] == 1, name
    for damaged in (content[:-100], b"", content.replace(b"epoch", b"EPOCH")):
        checkpoint.path.write_bytes(damaged)
        assert resumed(data, SPECS[:2], tmp_path)[1][0] == 1
    checkpoint.path.write_bytes(content)
    monkeypatch.setattr("pipeline.training.checkpoint._program", lambda: "another version")
    assert resumed(data, SPECS[:2], tmp_path)[1][0] == 1


def test_a_change_of_what_scores_an_epoch_is_another_program() -> None:
    """Scores of classes come from probabilities of `pipeline.serving`, and decide patience."""
    deciding = forward, backward, train_population, metrics.score, metrics.probabilities
    assert {function.__module__.split(".")[1] for function in deciding} <= set(_PROGRAM)


def test_it_is_written_when_it_is_due_and_removed_in_the_end(tmp_path: Path) -> None:
    data, checkpoint = small(), Checkpoint(tmp_path, every_seconds=3600)
    train_population(data, architecture(data), SPECS[:1], SCHEDULE, checkpoint=checkpoint)
    assert not checkpoint.path.exists()
    checkpoint = Checkpoint(tmp_path, every_seconds=0)
    train_population(data, architecture(data), SPECS[:1], SCHEDULE, checkpoint=checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.path.name]
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


STUDY = """
# Does a study that was stopped in training lose more than a moment?
data: people.csv
target: ill
inputs: [clinical]
genotypes: none
configurations: 1
seeds: 2
space:
  regularizer: [l1]
  lambda_l1: [0.01]
network: {hidden_layer_sizes: [4]}
training: {epochs: 8}
"""


def _people() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(size=120), "weight": rng.normal(size=120)})
    return table.assign(ill=(table["age"] + rng.normal(size=120) > 0).astype(int))


def _watched(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The epochs that are trained from now on; a checkpoint is kept after each."""
    epochs: list[float] = []
    monkeypatch.setattr("pipeline.training.checkpoint.EVERY_SECONDS", 0.0)
    monkeypatch.setattr(StudyProgress, "training", lambda self, worth: epochs.append(worth * 4))
    return epochs


def test_a_study_that_was_stopped_in_training_goes_on_in_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, epochs = _people(), _watched(monkeypatch)
    tables = {}
    for name in ("undisturbed", "stopped"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ask.yaml").write_text(STUDY)
        table.to_csv(folder / "people.csv", index=False)
        if name == "stopped":
            with monkeypatch.context() as patch:
                patch.setattr(StudyProgress, "training", _stop)
                with pytest.raises(Stopped):
                    run_here(folder, "ask.yaml")
            assert list((folder / ".lariat/checkpoints").rglob("*.npz"))
        epochs.clear()
        run_here(folder, "ask.yaml")
        tables[name] = {t.name: t.read_bytes() for t in (folder / "reports/ask").rglob("*.csv")}
        assert not list((folder / ".lariat/checkpoints").rglob("*.npz"))
    assert epochs == [6.0, 7.0, 8.0]
    assert "networks.csv" in tables["undisturbed"] and tables["stopped"] == tables["undisturbed"]


def test_a_study_that_was_stopped_in_the_finish_does_that_alone_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, epochs = _people(), _watched(monkeypatch)

    def stopped(*_: object) -> None:
        raise Stopped

    tables = {}
    for name in ("undisturbed", "stopped"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ask.yaml").write_text(STUDY)
        table.to_csv(folder / "people.csv", index=False)
        if name == "stopped":
            with monkeypatch.context() as patch:
                patch.setattr("pipeline.training.final_state.finished", stopped)
                with pytest.raises(Stopped):
                    run_here(folder, "ask.yaml")
            assert not of_kind(folder, "network")
            assert list((folder / ".lariat/checkpoints").rglob("*.npz"))
        epochs.clear()
        run_here(folder, "ask.yaml")
        tables[name] = {t.name: t.read_bytes() for t in (folder / "reports/ask").rglob("*.csv")}
        assert not list((folder / ".lariat/checkpoints").rglob("*.npz"))
    assert epochs == []  # all of them were kept: the finish alone is done again
    assert "networks.csv" in tables["undisturbed"] and tables["stopped"] == tables["undisturbed"]


def _stop(progress: StudyProgress, worth: float) -> None:
    if worth * 4 == 5.0:
        raise Stopped
