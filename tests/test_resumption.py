"""A study that is stopped in any way goes on with the same command, and counts nothing twice."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna.trial import TrialState
from study_runs import (
    Run,
    complete_trials,
    of_kind,
    run_here,
    start,
    study_run,
    trials,
    wait_for_networks,
)

# Networks of different batch sizes train one population after another: three of each seed.
STUDY = """
# Does a study that was stopped go on? Under a minute.
target: TenYearCHD
categories: [education]
inputs: [clinical]
genotypes: none
sampler: grid
configurations: 3
seeds: 2
space:
  regularizer: [l1]
  lambda_l1: [0.003]
  batch_size: [32, 33, 34, 35]
network: {hidden_layer_sizes: [4]}
training: {epochs: 30}
"""


@dataclass
class Moment:
    """What the stores held when a command had ended."""

    networks: dict[tuple[int, int], str]
    study: Run
    statuses: set[str]
    complete_trials: dict
    states: list[TrialState]
    out: str = ""
    err: str = ""
    code: int = 0


def moment(folder: Path, out: str = "", err: str = "", code: int = 0) -> Moment:
    networks = of_kind(folder, "network")
    assert len({n.key for n in networks}) == len(networks)
    return Moment(
        networks={n.key: n.run_id for n in networks},
        study=study_run(folder),
        statuses={n.status for n in networks},
        complete_trials=dict(complete_trials(folder)),
        states=[t.state for t in trials(folder)],
        out=out,
        err=err,
        code=code,
    )


def stopped(folder: Path, how: signal.Signals, networks: int, *options: str) -> Moment:
    """The moment after a signal, sent as soon as so many networks are recorded."""
    process = start(folder, "--study", "small.yaml", *options)
    try:
        wait_for_networks(process, folder, networks)
        process.send_signal(how)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return moment(folder, out, err, process.returncode)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Moment]:
    """One study: killed, gone on and interrupted, ended, called again, and made larger."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "small.yaml").write_text(STUDY)
    moments = {"killed": stopped(folder, signal.SIGKILL, 2)}
    moments["interrupted"] = stopped(folder, signal.SIGINT, 4)
    moments["ended"] = moment(folder, run_here(folder, "small.yaml"))
    moments["again"] = moment(folder, run_here(folder, "small.yaml"))
    moments["larger"] = moment(folder, run_here(folder, "small.yaml", configurations=4, seeds=3))
    return moments


def replicates(configurations: int, seeds: int) -> set[tuple[int, int]]:
    return {(c, s) for c in range(configurations) for s in range(seeds)}


def test_a_killed_study_has_lost_nothing_that_was_recorded(story: dict[str, Moment]) -> None:
    killed = story["killed"]
    assert killed.code == -signal.SIGKILL
    assert 2 <= len(killed.networks) < 6
    assert killed.study.status == "RUNNING"  # nobody was left to end it
    networks = {key: story["interrupted"].networks[key] for key in killed.complete_trials}
    assert networks == {key: killed.networks[key] for key in killed.complete_trials}
    assert len(networks) >= 2


def test_ctrl_c_says_one_sentence_and_leaves_nothing_running(story: dict[str, Moment]) -> None:
    interrupted = story["interrupted"]
    assert interrupted.code == 130
    assert interrupted.err == "stopped; the same command goes on from here\n"
    assert interrupted.study.status == "KILLED"
    assert interrupted.statuses == {"FINISHED"}
    assert TrialState.RUNNING not in interrupted.states
    assert len(interrupted.networks) < 6


def test_the_same_command_ends_a_study_with_every_network_once(story: dict[str, Moment]) -> None:
    done = story["ended"]
    assert (
        f"going on: {len(story['interrupted'].complete_trials)} of 6 networks are done" in done.out
    )
    assert done.networks.keys() == replicates(3, 2)
    assert done.complete_trials == dict.fromkeys(replicates(3, 2), 1)
    assert (done.study.status, done.statuses) == ("FINISHED", {"FINISHED"})
    assert TrialState.RUNNING not in done.states
    assert done.study.run_id == story["killed"].study.run_id


def test_the_same_command_does_nothing_twice(story: dict[str, Moment]) -> None:
    again, done = story["again"], story["ended"]
    assert again.networks == done.networks
    assert again.states == done.states
    assert again.study.status == "FINISHED"


def test_more_configurations_and_more_seeds_add_to_a_study(story: dict[str, Moment]) -> None:
    larger, done = story["larger"], story["ended"]
    assert "going on: 6 of 12 networks are done" in larger.out
    assert larger.networks.keys() == replicates(4, 3)
    assert larger.complete_trials == dict.fromkeys(replicates(4, 3), 1)
    assert larger.networks.items() >= done.networks.items()
    assert larger.study.run_id == done.study.run_id
