"""Networks a second: a population against Keras `fit`, one network at a time.

Same rows and columns, layer sizes, batches of 128, 60 epochs of Adam, validation AUROC after every
epoch. The columns are filled up to 39, the width of the case study's inputs.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
from measure import clinical_data, seconds, write

NETWORKS, COLUMNS, UNITS, EPOCHS, BATCH = 128, 39, 50, 60, 128


def widened(data):
    """The table's columns and standard normal ones beside them, 39 in all."""
    rng = np.random.default_rng(0)
    missing = COLUMNS - data.columns.shape[1]
    noise = rng.standard_normal((len(data.columns), missing)).astype(np.float32)
    columns = np.concatenate([data.columns, noise], axis=1)
    return replace(data, columns=columns, group_index=np.arange(COLUMNS))


def keras_seconds(data) -> float:
    """One network by Keras fit, the shortest of three after one that compiles."""
    import keras

    n, validation, _ = data.rows
    x, y = data.columns, data.target.astype(np.float32)
    taken = []
    for _ in range(4):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((COLUMNS,)),
                keras.layers.Dense(UNITS, "relu", kernel_regularizer=keras.regularizers.L1(1e-3)),
                keras.layers.Dense(1),
            ]
        )
        model.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.AUC(from_logits=True)],
        )
        started = time.perf_counter()
        model.fit(
            x[:n],
            y[:n],
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=(x[n : n + validation], y[n : n + validation]),
            validation_batch_size=validation,
            verbose=0,
        )
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def population_seconds(data, regularizers: str) -> float:
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    lambdas = {
        "group lasso": {"lambda_group": 4e-3},
        "all penalties": {"lambda_l1": 1e-3, "lambda_l2": 1e-3, "lambda_group": 2e-3},
    }[regularizers]
    specs = [NetworkSpec(seed=seed, **lambdas) for seed in range(NETWORKS)]
    schedule = Schedule(epochs=EPOCHS, batch_size=BATCH, tolerance=None)
    architecture = Architecture(COLUMNS, 0, (UNITS,))
    return seconds(lambda: train_population(data, architecture, specs, schedule))


if __name__ == "__main__":
    data = widened(clinical_data())
    alone = keras_seconds(data)
    rows = [("Keras `fit`, one network", f"{alone:.2f}", "1")]
    for regularizers in ("group lasso", "all penalties"):
        each = population_seconds(data, regularizers) / NETWORKS
        name = f"{NETWORKS} in a population, {regularizers}"
        rows.append((name, f"{each:.4f}", f"{alone / each:.0f}"))
    write(
        "Networks a second against Keras",
        "keras_fit.py",
        f"{data.rows[0]:,} rows × {COLUMNS} columns, {UNITS} units, {EPOCHS} epochs of batches of "
        f"{BATCH}, validation AUROC every epoch, without the full-batch finish. The aim is 300.",
        pd.DataFrame(rows, columns=["", "seconds a network", "networks a second, ratio"]),
    )
