"""Share of the machine: the engine's matrix products against bare ones of the same shapes.

Counted are the first layer's products, 2·b·p·K·h operations forward and as many backward, and the
output layer's; the bare side runs the same float32 products one after another and nothing else.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
from keras_fit import COLUMNS, NETWORKS, UNITS, widened
from measure import clinical_data, seconds, write

EPOCHS = 10


def bare_seconds(batch: int, steps: int) -> float:
    """All products of all networks, those of half the networks on each core."""
    import tensorflow as tf

    cores = len(os.sched_getaffinity(0))
    k, h, p = NETWORKS // cores, UNITS, COLUMNS + 1
    weights, columns = tf.random.normal([k * h, p]), tf.random.normal([batch, p])
    gradient = tf.random.normal([k * h, batch])
    hidden, out = tf.random.normal([k, h, batch]), tf.random.normal([k, 1, h])
    delta = tf.random.normal([k, 1, batch])

    def products(_):
        for _ in range(steps):
            tf.matmul(weights, columns, transpose_b=True)
            tf.matmul(out, hidden)
            tf.matmul(delta, hidden, transpose_b=True)
            tf.matmul(out, delta, transpose_a=True)
            last = tf.matmul(gradient, columns)
        last.numpy()

    with ThreadPoolExecutor(cores) as threads:
        return seconds(lambda: list(threads.map(products, range(cores))))


def engine_seconds(data, batch: int) -> float:
    from pipeline.network import Architecture
    from pipeline.training import NetworkSpec, Schedule, train_population

    specs = [NetworkSpec(seed=seed, lambda_group=4e-3) for seed in range(NETWORKS)]
    schedule = Schedule(epochs=EPOCHS, batch_size=batch, tolerance=None)
    architecture = Architecture(COLUMNS, 0, (UNITS,))
    return seconds(lambda: train_population(data, architecture, specs, schedule))


if __name__ == "__main__":
    data = widened(clinical_data())
    rows = []
    for batch in (128, 512):
        steps = EPOCHS * -(-data.rows[0] // batch)
        bare, engine = bare_seconds(batch, steps), engine_seconds(data, batch)
        operations = 2 * EPOCHS * data.rows[0] * NETWORKS * UNITS * (2 * (COLUMNS + 1) + 3)
        rows.append(
            (
                str(batch),
                f"{operations / engine / 1e9:.0f}",
                f"{operations / bare / 1e9:.0f}",
                f"{bare / engine:.2f}",
            )
        )
    write(
        "Share of the machine",
        "machine_share.py",
        f"{NETWORKS} networks, {data.rows[0]:,} × {COLUMNS}, {UNITS} units, group lasso: all "
        "that training does (validation AUROC, best states) against the bare products. "
        "The aim is 0.4 at batch 128.",
        pd.DataFrame(rows, columns=["batch", "engine GFLOP/s", "bare GFLOP/s", "share"]),
    )
