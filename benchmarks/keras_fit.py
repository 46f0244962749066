"""Networks a second: a population against Keras `fit`, one network at a time.

Same rows and columns, layer sizes, batches of 128, 60 epochs of Adam, validation AUROC after every
epoch; ours with and without the full-batch finish, which Keras has not. Beside them scikit-learn's
`MLPClassifier`, without validation and without a penalty of groups, as many processes at once as
there are cores. The columns are filled up to 39, the width of the case study's inputs.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
from measure import Figure, clinical_data, seconds, write

NO_FINISH = {"tolerance": None}
NETWORKS, COLUMNS, UNITS, EPOCHS, BATCH = 128, 39, 50, 60, 128
AIM = 300


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


def neighbour_seconds(data, fits: int = 16) -> float:
    """Of a fit by scikit-learn, on all cores."""
    import joblib
    from whole_study import bare_fit

    from pipeline.networks import cores

    n = data.rows[0]
    parallel = joblib.Parallel(cores())
    parallel(joblib.delayed(bare_fit)(data.columns[:n], data.target[:n], i) for i in range(2))
    started = time.perf_counter()
    parallel(joblib.delayed(bare_fit)(data.columns[:n], data.target[:n], i) for i in range(fits))
    return (time.perf_counter() - started) / fits


def population_seconds(data, regularizers: str, finish: bool) -> float:
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    lambdas = {
        "group lasso": {"lambda_group": 4e-3},
        "all penalties": {"lambda_l1": 1e-3, "lambda_l2": 1e-3, "lambda_group": 2e-3},
    }[regularizers]
    specs = [NetworkSpec(seed=seed, **lambdas) for seed in range(NETWORKS)]
    schedule = Schedule(epochs=EPOCHS, batch_size=BATCH, **({} if finish else NO_FINISH))
    architecture = Architecture(COLUMNS, 0, (UNITS,))
    return seconds(lambda: train_population(data, architecture, specs, schedule))


if __name__ == "__main__":
    data = widened(clinical_data())
    alone = keras_seconds(data)
    beside = neighbour_seconds(data)
    rows = [
        ("Keras `fit`, one network", f"{alone:.2f}", "1"),
        ("scikit-learn's `MLPClassifier`, all cores", f"{beside:.3f}", f"{alone / beside:.0f}"),
    ]
    figures = []
    for regularizers in ("group lasso", "all penalties"):
        each = bare = 0.0
        for finish in (False, True):
            bare, each = each, population_seconds(data, regularizers, finish) / NETWORKS
            name = f"{NETWORKS} in a population, {regularizers}" + ", with its finish" * finish
            rows.append((name, f"{each:.4f}", f"{alone / each:.0f}"))
        figures.append(
            Figure(
                f"networks a second with the finish, {regularizers}: times Keras `fit`",
                alone / each, AIM, at_least=True,
                because=f"the finish takes {1 - bare / each:.0%} of the time",
            )
        )  # fmt: skip
    write(
        "Networks a second against Keras",
        "keras_fit.py",
        f"{data.rows[0]:,} rows × {COLUMNS} columns, {UNITS} units, {EPOCHS} epochs of batches of "
        f"{BATCH}, validation AUROC every epoch. The aim is {AIM}, with the finish.",
        pd.DataFrame(rows, columns=["", "seconds a network", "networks a second, ratio"]),
        figures,
    )
