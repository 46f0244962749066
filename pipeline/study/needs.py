"""What a study needs of the machine, memory and a place for its report: where it is not there, an
error before work starts.

Shapes: N people, p columns, h units of the first layer, M networks of the study.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pipeline.data import Cohort
from pipeline.errors import InputError
from pipeline.networks import (
    POPULATION_BYTES,
    Architecture,
    Schedule,
    TrainingData,
    bytes_of_a_network,
)
from pipeline.process import require_memory
from pipeline.search_space import Sampling, SearchSpace
from pipeline.study.replicates import resamples_of

BYTES_BY_SUFFIX = {".csv": 10, ".gz": 40, ".parquet": 20}
"""Bytes of memory for each byte of a table's file, while it is read into numbers."""

COPIES_OF_THE_TABLE = 10
"""Of the table's columns in float32, while networks train: both precisions, and what is made of
them on the way."""

OTHER_BYTES = 400 * 2**20
"""Compiled programs, the tracking store and figures, whatever the table's size."""


def require_memory_to_read(path: Path) -> None:
    """InputError where a table's file is too large to be read; other faults are the reader's."""
    if not path.is_file():
        return
    memory_per_byte = BYTES_BY_SUFFIX.get(path.suffix.lower(), max(BYTES_BY_SUFFIX.values()))
    require_memory(
        memory_per_byte * path.stat().st_size,
        f"the table {path.name}",
        "leave out rows or columns, or take a larger machine",
    )


def bytes_of_a_study(space: SearchSpace, cohort: Cohort) -> int:
    """10·4·N·p for the data, and the larger of a population and of all results with their weights
    at the best and at the last epoch, M·(8·p·h + 100·p) bytes; of the widest networks. With R
    resamples 8·N·(R + M·o) besides."""
    people, columns = cohort.features.shape
    sizes = space.space.get("hidden_layer_sizes", (space.network.hidden_layer_sizes,))
    outputs = len(cohort.classes) if len(cohort.classes) > 2 else 1
    split = cohort.split
    rows = len(split.train), len(split.validation), len(split.test)
    no_rows = np.zeros((0, columns))
    data = TrainingData(no_rows, cohort.outcome, cohort.task, rows, np.arange(columns))
    schedule = Schedule(batch_size=space.training.batch_size)
    networks = networks_of_a_study(space)
    needed = 0
    for hidden in sizes:
        architecture = Architecture(columns, 0, tuple(hidden), outputs)
        network_bytes = bytes_of_a_network(data, architecture, schedule)
        population = max(network_bytes, min(POPULATION_BYTES, networks * network_bytes))
        results = networks * (8 * columns * architecture.layer_sizes[0] + 100 * columns)
        needed = max(needed, population, results)
    if space.resamples is not None:  # who is drawn, and every network's predictions at the end
        needed += people * (8 * space.resamples.draws + 8 * networks * outputs)
    return COPIES_OF_THE_TABLE * 4 * people * columns + needed + OTHER_BYTES


def networks_of_a_study(space: SearchSpace) -> int:
    """Configurations × seeds, on the table and on every resample."""
    return Sampling(space).total * len(space.seeds) * len(resamples_of(space))


def require_memory_to_train(space: SearchSpace, cohort: Cohort) -> None:
    """InputError, with the bytes needed and available, unless the study fits into memory."""
    people, columns = cohort.features.shape
    networks = networks_of_a_study(space)
    require_memory(
        bytes_of_a_study(space, cohort),
        f"a study of {networks:,} networks on {people:,} rows and {columns:,} columns",
        "take fewer columns, rows, units, seeds or configurations, or a larger machine",
    )


def require_writable(folder: Path) -> None:
    """InputError unless a report can be written there; makes nothing."""
    there = folder.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise InputError(f"output must be a folder, but {there} is a file; give another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(
            f"output must be a folder that can be written to, but {there} cannot; give another "
            "folder, or mend its permissions"
        )
