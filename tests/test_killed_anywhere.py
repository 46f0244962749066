"""Killed before any write, the same command ends as if nothing had happened.

Here at every 1/POINTS of a study's writes; `benchmarks/kills.py` does it at each.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kill_study import faults, prepare, start, tables, writes

POINTS = 5


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the study has ended; beside it `empty`, in which it has not begun."""
    place = tmp_path_factory.mktemp("kills")
    (place / "empty").mkdir()
    prepare(place / "empty")
    shutil.copytree(place / "empty", place / "whole")
    assert start(place / "whole") == 0
    assert faults(place / "whole") == []
    return place / "whole"


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
