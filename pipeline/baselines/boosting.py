"""Gradient-boosted trees (scikit-learn's HistGradientBoosting) on the table's columns.

Trees are added while the loss of the validation rows falls, as a network's best epoch is chosen
there; so is the number of leaves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from pipeline.baselines.choosing import best_of
from pipeline.baselines.data import BaselineData, NotFitted, Predictions
from pipeline.baselines.linear import outputs

LEAVES, MANY_CELLS = (3, 8, 24), 2_000_000
MANY_COLUMNS = 2_000
"""With more it is left out: every tree looks at every column, for longer than networks train."""

SETTINGS = {
    "learning_rate": 0.05, "max_iter": 400, "early_stopping": True, "n_iter_no_change": 20,
    "random_state": 0,
}  # fmt: skip


def boosting(data: BaselineData) -> Predictions:
    """The best number of leaves on the validation rows.

    Raises NotFitted above MANY_COLUMNS columns.
    """
    columns = data.x.shape[1]
    if columns > MANY_COLUMNS:
        raise NotFitted(f"is left out above {MANY_COLUMNS:,} columns, and there are {columns:,}")
    return best_of(data, _candidates(data))


def _candidates(data: BaselineData) -> Iterator[Predictions]:
    kind = HistGradientBoostingRegressor if data.quantities else HistGradientBoostingClassifier
    train, held_out = data.train, data.validation
    smallest_leaf = int(np.clip(len(train) // 20, 1, 20))
    # Threads that wait for each other take longer than a small table does.
    threads = 1 if data.x[train].size < MANY_CELLS else None
    for leaves in LEAVES:
        model = kind(max_leaf_nodes=leaves, min_samples_leaf=smallest_leaf, **SETTINGS)
        with threadpool_limits(threads, user_api="openmp"):
            model.fit(
                data.x[train], data.y[train], sample_weight=data.training_weights,
                X_val=data.x[held_out], y_val=data.y[held_out],
            )  # fmt: skip
            made = outputs(model, data, data.x)
        yield Predictions(*made, f"{model.n_iter_} trees of {leaves} leaves")
