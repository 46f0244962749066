"""The Pareto front of score against number of kept variables: what none beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def pareto_front(kept: np.ndarray, score: np.ndarray, maximize: bool) -> list[int]:
    """Indices of the networks that none beats in both: fewest variables first."""
    sign = 1.0 if maximize else -1.0
    order = sorted(np.flatnonzero(np.isfinite(score)), key=lambda i: (kept[i], -sign * score[i]))
    front, best = [], -math.inf
    for i in order:
        if sign * score[i] > best:
            best = sign * score[i]
            front.append(int(i))
    return front


def front_steps(
    kept: np.ndarray, score: np.ndarray, maximize: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The Pareto front as a line: level until the next point, then up (or down) to it."""
    front = pareto_front(kept, score, maximize)
    x, y = np.asarray(kept, float)[front], np.asarray(score, float)[front]
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


def configuration_front(table: pd.DataFrame, families: Sequence[str], maximize: bool) -> list[dict]:
    """Configurations that none beats in both means at the best epoch: `configuration`, `kept`,
    `score`, fewest variables first. table has one row a configuration, as `configuration_table`."""
    if table.empty:
        return []
    totals = [table[f"total_{f}"] - table[f"zeroed_{f}_mean"] for f in families]
    kept = pd.concat(totals, axis=1).fillna(0.0).sum(axis=1).to_numpy()
    score = table["objective_mean"].to_numpy(dtype=float)
    numbers = table["configuration"].tolist()
    return [
        {"configuration": numbers[i], "kept": float(kept[i]), "score": float(score[i])}
        for i in pareto_front(kept, score, maximize)
    ]
