"""How long until the first network trains: compilation, in a process that has trained nothing yet.

From the call that starts a population to the end of its first epoch, beside what an epoch takes
once the program is compiled.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pandas as pd
from measure import Figure, clinical_data, write

NETWORKS, BATCH, AIM = 64, 128, 10
SHAPES = {
    "50 units": (50,),
    "three hidden layers of 50": (50, 50, 50),
    "no hidden layer": (),
}


def first_epochs(sizes: tuple[int, ...]) -> dict[str, float]:
    started = time.perf_counter()
    import tensorflow as tf

    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    tf.constant(0.0)
    imported = time.perf_counter() - started
    data = clinical_data()
    specs = [
        NetworkSpec(seed=s, lambda_l1=1e-3, lambda_l2=1e-3, lambda_group=1e-3)
        for s in range(NETWORKS)
    ]
    ends = [time.perf_counter()]
    train_population(
        data,
        Architecture(data.columns.shape[1], 0, sizes),
        specs,
        Schedule(epochs=5, batch_size=BATCH, tolerance=None),
        lambda *_: ends.append(time.perf_counter()),
    )
    taken = [after - before for before, after in zip(ends, ends[1:])]
    return {"imported": imported, "first": taken[0], "later": min(taken[1:])}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(first_epochs(tuple(json.loads(sys.argv[1])))))
    else:
        rows, slowest = [], 0.0
        for name, sizes in SHAPES.items():
            command = [sys.executable, __file__, json.dumps(sizes)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds = json.loads(done.stdout.splitlines()[-1])
            slowest = max(slowest, seconds["first"])
            ratio = f"{seconds['first'] / seconds['later']:.0f}"
            rows.append(
                (name, *(f"{seconds[k]:.2f}" for k in ("imported", "first", "later")), ratio)
            )
        names = ("TensorFlow imported, s", "first epoch, s", "a later epoch, s", "first : later")
        write(
            "Until the first network trains",
            "first_network.py",
            f"{NETWORKS} networks, all penalties, 2,544 rows; the first epoch holds the "
            f"compilation. The aim is {AIM} s from the start of training.",
            pd.DataFrame(rows, columns=["network", *names]),
            [Figure("seconds until the first epoch of a population has ended", slowest, AIM)],
        )
