"""Memory of wide and tall tables grows linearly, and what does not fit is said before it is tried."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pipeline.data import load_cohort
from pipeline.errors import InputError
from pipeline.metrics import bootstrap, metrics
from pipeline.networks import TrainedNetwork, Weights, penalties
from pipeline.networks.network import Layer
from pipeline.report.tables import death_rows
from pipeline.results import Inputs, NetworkResult, StudyRecord, StudyResults
from pipeline.report.summary import summarize
from pipeline.search_space import Sampling, load_search_space
from pipeline.study import needs
from pipeline.study.evaluation import network_result
from pipeline.study.replicates import Replicate
from pipeline.study.study_cohort import study_cohort
from pipeline.tracking import format as run_format

EPOCHS, UNITS = 12, 4


def peak(run: Callable[[], object]) -> int:
    """Bytes at most held by what `run` makes."""
    run()  # what is kept for later calls is not counted
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def inputs(columns: int) -> Inputs:
    names = tuple(f"gene_{i}" for i in range(columns))
    return Inputs(names, names, ("clinical",) * columns)


def trained(columns: int) -> TrainedNetwork:
    """A network that keeps 20 columns at its end and all at its best epoch."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal((UNITS, columns + 1)).astype(np.float32)
    final = np.where(np.arange(columns)[:, None] < 20, first[:, :columns].T, np.float32(0.0))
    kept = np.arange(columns) < np.linspace(columns, 20, EPOCHS)[:, None]
    later = (Layer(np.ones((1, UNITS), np.float32), np.zeros((1, 1), np.float32)),)
    return TrainedNetwork(
        best_epoch=1,
        final_epoch=EPOCHS,
        first_layer=first[:, :columns].T,
        first_layer_final=final,
        weights=Weights(first, later),
        curves={"train_loss": [0.7] * EPOCHS, "score": [0.5] * EPOCHS},
        kept=list(kept),
    )
