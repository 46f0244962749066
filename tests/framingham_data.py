"""The training rows of the bundled Framingham table, for what is compared on real data."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.data.cohort import load_cohort

TABLE = Path(__file__).parents[1] / "data" / "framingham.csv"


class Rows(NamedTuple):
    """inputs (n, p) standardized, as float32 holds them; target (n,); group_index (p,)."""

    inputs: np.ndarray
    target: np.ndarray
    group_index: np.ndarray
    names: tuple[str, ...]


@cache
def training_rows() -> Rows:
    """Whether coronary heart disease follows, from the clinical columns; education is a category
    of five columns."""
    cohort = load_cohort(TABLE, "TenYearCHD", categories=["education"])
    rows = cohort.split.train
    return Rows(
        cohort.features[rows].astype(np.float64),
        cohort.outcome[rows],
        cohort.inputs.group_index,
        cohort.inputs.columns,
    )


def without(variable: str) -> Rows:
    """The rows with one variable taken out of the inputs; its columns are the target."""
    rows = training_rows()
    own = np.array([name.split("=")[0] == variable for name in rows.names])
    group_index = np.unique(rows.group_index[~own], return_inverse=True)[1]
    names = tuple(name for name, is_own in zip(rows.names, own, strict=True) if not is_own)
    return Rows(rows.inputs[:, ~own], rows.inputs[:, own], group_index, names)
