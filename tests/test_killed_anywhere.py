"""Killed before any write, the same command ends as if nothing had happened.

Here at every 1/POINTS of a study's writes; `benchmarks/kills.py` does it at each.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kill_study import faults, files_of_people, prepare, start, tables, writes

POINTS = 5
RESAMPLES = 4


def ended(place: Path, resamples: int = 0) -> Path:
    """A folder in which the study has ended; beside it `empty`, in which it has not begun."""
    (place / "empty").mkdir()
    prepare(place / "empty", resamples)
    shutil.copytree(place / "empty", place / "whole")
    assert start(place / "whole") == 0, (place / "whole.log").read_text()
    assert faults(place / "whole", resamples) == []
    return place / "whole"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ended(tmp_path_factory.mktemp("kills"))


@pytest.fixture(scope="module")
def with_resamples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ended(tmp_path_factory.mktemp("resamples"), RESAMPLES)


@pytest.mark.parametrize("point", range(1, POINTS + 1))
def test_a_study_killed_before_a_write_ends_as_if_it_had_not_been(
    undisturbed: Path, tmp_path: Path, point: int
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(undisturbed.with_name("empty"), folder)
    assert start(folder, 1 + writes(undisturbed) * point // (POINTS + 1)) == 9
    assert start(folder) == 0, folder.with_name("study.log").read_text()
    assert faults(folder) == []
    assert tables(folder) == tables(undisturbed)


@pytest.mark.parametrize("point", (3, 5))
def test_a_study_on_resamples_that_is_killed_has_every_network_once_and_its_predictions(
    with_resamples: Path, tmp_path: Path, point: int
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(with_resamples.with_name("empty"), folder)
    assert start(folder, 1 + writes(with_resamples) * point // (POINTS + 1)) == 9
    assert start(folder) == 0, folder.with_name("study.log").read_text()
    assert faults(folder, RESAMPLES) == []
    assert tables(folder) == tables(with_resamples)
    assert files_of_people(folder) == files_of_people(with_resamples)
