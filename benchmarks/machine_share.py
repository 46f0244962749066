"""Share of the machine: the engine's matrix products against bare ones of the same shapes.

Counted are the operations of the first layer's two products, 2·b·p·K·h forward and as many
backward, and of the output layer's, 2·b·K·h, which are all that a step needs to do: per second of
all that training does, over per second of the bare products and nothing else, in TensorFlow's own
loop. Where the engine's time goes is read from TensorFlow's profiler.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from keras_fit import COLUMNS, EPOCHS, NETWORKS, UNITS, widened
from measure import Figure, clinical_data, seconds, write

PROFILED_EPOCHS, AIM = 10, 0.4


def bare_seconds(batch: int, steps: int) -> float:
    """The products of all networks, those of a part on each core, so many steps."""
    import tensorflow as tf

    from pipeline.networks import cores

    part = NETWORKS // 4
    k, h, p = part, UNITS, COLUMNS + 1
    weights, columns = tf.random.normal([k * h, p]), tf.random.normal([batch, p])
    gradient, out = tf.random.normal([k * h, batch]), tf.random.normal([k, 1, h])
    hidden = tf.random.normal([k, h, batch])

    @tf.function
    def products():
        def body(i, total):
            x = columns + tf.cast(i, tf.float32) * 1e-9  # else TensorFlow would do it once
            z = tf.matmul(weights, x, transpose_b=True)
            y = tf.matmul(out + tf.cast(i, tf.float32) * 1e-9, hidden)
            back = tf.matmul(gradient, x)
            return i + 1, total + z[0, 0] + y[0, 0, 0] + back[0, 0]

        return tf.while_loop(lambda i, _: i < steps, body, (0, 0.0), parallel_iterations=1)[1]

    products()
    with ThreadPoolExecutor(cores()) as threads:
        return seconds(lambda: list(threads.map(lambda _: products().numpy(), range(4))))


def train(data, batch: int, epochs: int):
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    specs = [NetworkSpec(seed=seed, lambda_group=4e-3) for seed in range(NETWORKS)]
    schedule = Schedule(epochs=epochs, batch_size=batch, tolerance=None)
    return train_population(data, Architecture(COLUMNS, 0, (UNITS,)), specs, schedule)


def profile(data, batch: int) -> dict[str, float]:
    """Scope of the compiled program → its share of the time of all operations."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    train(data, batch, 1)
    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train(data, batch, PROFILED_EPOCHS)
        for path in Path(folder).rglob("*.xplane.pb"):
            space = xplane_pb2.XSpace()
            space.ParseFromString(path.read_bytes())
            for plane in space.planes:
                for line in plane.lines:
                    for event in line.events:
                        name = plane.event_metadata[event.metadata_id].name
                        if scope := scope_of(name):
                            spent[scope] += event.duration_ps
    whole = sum(spent.values())
    return {scope: spent[scope] / whole for scope in sorted(spent, key=spent.get, reverse=True)}


def scope_of(name: str) -> str | None:
    """What an operation of the compiled epoch belongs to; None for anything else."""
    path, _, kind = name.partition(":")
    if not kind or "::" in name:
        return None
    scopes = ("rows", "forward", "backward", "first_layer_step", "later_step", "loss", "validation")
    scope_of_kernel = next((scope for scope in scopes if f"/{scope}/" in f"/{path}"), None)
    if scope_of_kernel in ("forward", "backward"):
        words = {"_MklMatMul": "first layer's product", "MatMul": "first layer's product"}
        return f"{scope_of_kernel}: {words.get(kind, 'activations and output layer')}"
    return scope_of_kernel and scope_of_kernel.replace("_", " ") if scope_of_kernel else None


if __name__ == "__main__":
    data = widened(clinical_data())
    rows, where = [], {}
    for batch in (128, 512):
        steps = EPOCHS * -(-data.rows[0] // batch)
        bare = bare_seconds(batch, steps)
        engine = seconds(lambda batch=batch: train(data, batch, EPOCHS))
        operations = 2 * EPOCHS * data.rows[0] * NETWORKS * UNITS * (2 * (COLUMNS + 1) + 1)
        bare_operations = 2 * steps * batch * NETWORKS * UNITS * (2 * (COLUMNS + 1) + 1)
        rates = operations / engine, bare_operations / bare
        rows.append((str(batch), *(f"{rate / 1e9:.0f}" for rate in rates), rates[0] / rates[1]))
        where[batch] = profile(data, batch)
    shares = pd.DataFrame(rows, columns=["batch", "engine GFLOP/s", "bare GFLOP/s", "share"])
    parts = pd.DataFrame(where).fillna(0.0)
    print(parts)
    products = sum(share for name, share in parts[128].items() if "first layer's" in name)
    figure = Figure(
        "share of the machine at batch 128", shares["share"][0], AIM, at_least=True,
        because=f"the two products are {products:.0%} of the epoch's time",
    )  # fmt: skip
    shares_in_words = "; ".join(f"{name} {100 * share:.0f} %" for name, share in parts[128].items())
    write(
        "Share of the machine",
        "machine_share.py",
        f"{NETWORKS} networks, {data.rows[0]:,} × {COLUMNS}, {UNITS} units, group lasso, {EPOCHS} "
        "epochs: all that training does (validation AUROC, best states, certificates) against the "
        f"bare products. The aim is {AIM} at batch 128. Of the time of the compiled epoch at batch "
        f"128, by TensorFlow's profiler: {shares_in_words}.",
        shares.assign(share=[f"{share:.2f}" for share in shares["share"]]),
        [figure],
    )
