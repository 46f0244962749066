"""Fixtures that several files of tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

with suppress(ImportError):
    import psycopg  # noqa: F401  After TensorFlow it dies at its first TLS connection.

import pytest
from dask_processes import Dask
from study_runs import run_here
from tiny_study import write_study

DASK_FOLDER = "DASK_TEMPORARY_DIRECTORY"
"""Where Dask's workers have their folders; of Dask's own choice all tests' would be in one."""

if DASK_FOLDER not in os.environ:
    os.environ[DASK_FOLDER] = tempfile.mkdtemp(prefix="lariat-dask-")
    atexit.register(shutil.rmtree, os.environ[DASK_FOLDER], ignore_errors=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a study of two networks has ended."""
    folder = tmp_path_factory.mktemp("first")
    run_here(folder, write_study(folder))
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A copy of it, to change."""
    shutil.copytree(first, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Dask]:
    """Schedulers and workers as a person starts them, which end with the test."""
    dask = Dask(tmp_path / "scratch")
    try:
        yield dask
    finally:
        dask.end()
