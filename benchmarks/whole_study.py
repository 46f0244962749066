"""A whole study against the same written by hand, and against bare fits of scikit-learn.

By hand: a loop as tutorials have it, one network at a time: Optuna asks, Keras fits with a group
lasso on the first layer and validation AUROC after every epoch, MLflow records parameters, curves
and metrics, matplotlib draws the first layer, Optuna is told. A few networks are run after a first
one, which is not counted, and their time is multiplied. It has no best epoch, no certificate,
no intervals, no report and no way to go on after a stop.

scikit-learn: `MLPClassifier` on the same rows, columns, units, batches and epochs, on two
processes; no penalty of groups, nothing recorded.

Ours: `run_study`, as `mlflow run .` calls it, in an empty folder. Imports are counted nowhere, nor
is the making of the tracking store's tables, which `mlflow run` itself does before.

Each side is a process of its own. `python benchmarks/whole_study.py PART …` runs one alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import pandas as pd
from measure import HERE, Figure, clinical_data, processor_seconds, write

NETWORKS, EPOCHS, BATCH, UNITS, DIMENSIONS, VARIANTS = 160, 60, 128, 50, 20, 5000
BY_HAND, BARE = 3, 40
"""Networks that are run by hand, after one that is not counted, and fits of scikit-learn."""

IN_PROCESSES = {"finish and predictions"}
"""What other processes take part in: asking for their time takes a millisecond."""

AIMS = {"none": (150, 0.5), "simulated": (100, None)}


def hand(genotypes: str) -> dict:
    """Seconds of a study written by hand."""
    import keras
    import matplotlib.pyplot as plt
    import mlflow
    import numpy as np
    import optuna

    @keras.saving.register_keras_serializable("whole_study")
    class GroupLasso(keras.regularizers.Regularizer):
        def __init__(self, strength):
            self.strength = strength

        def __call__(self, weights):
            norms = keras.ops.sqrt(keras.ops.sum(keras.ops.square(weights), axis=1) + 1e-12)
            return self.strength * UNITS**0.5 * keras.ops.sum(norms)

    data = clinical_data()
    n, validation, _ = data.rows
    rng = np.random.default_rng(0)
    everything = [data.columns]
    if genotypes != "none":
        counts = rng.binomial(2, rng.uniform(0.1, 0.5, VARIANTS), (len(data.target), VARIANTS))
        scaled = (counts - counts.mean(0)) / counts.std(0) / VARIANTS**0.5
        everything.append(scaled.astype(np.float32))
    train, held_out = [x[:n] for x in everything], [x[n : n + validation] for x in everything]
    y = data.target.astype(np.float32)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("by hand")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize", storage="sqlite:///optuna.db", sampler=optuna.samplers.QMCSampler()
    )
    taken = []
    for network in range(BY_HAND + 1):
        started, used = time.perf_counter(), processor_seconds()
        trial = study.ask()
        strength = trial.suggest_float("lambda_group", 0.004, 0.025, log=True)
        keras.utils.set_random_seed(network)
        inputs = [keras.Input((x.shape[1],)) for x in train]
        joined = inputs[0]
        if genotypes != "none":
            encoded = keras.layers.Dense(DIMENSIONS, use_bias=False)(inputs[1])
            joined = keras.layers.Concatenate()([inputs[0], encoded])
        first = keras.layers.Dense(UNITS, "relu", kernel_regularizer=GroupLasso(strength))
        model = keras.Model(inputs, keras.layers.Dense(1)(first(joined)))
        model.compile(
            keras.optimizers.Adam(1e-3),
            keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.AUC(from_logits=True, name="auroc")],
        )
        history = model.fit(
            train,
            y[:n],
            batch_size=BATCH,
            epochs=EPOCHS,
            validation_data=(held_out, y[n : n + validation]),
            verbose=0,
        ).history
        with mlflow.start_run(run_name=f"network {network}"):
            mlflow.log_params({"lambda_group": strength, "seed": network})
            for epoch in range(EPOCHS):
                mlflow.log_metrics({k: v[epoch] for k, v in history.items()}, step=epoch)
            figure, axes = plt.subplots(figsize=(8, 8))
            axes.imshow(first.kernel.numpy(), cmap="RdBu", aspect="auto")
            mlflow.log_figure(figure, "first_layer.png")
            plt.close(figure)
        study.tell(trial, history["val_auroc"][-1])
        taken.append((time.perf_counter() - started, processor_seconds() - used))
    seconds, processor = (NETWORKS * sum(each) / BY_HAND for each in zip(*taken[1:], strict=True))
    return {"seconds": seconds, "cpu": processor}


def neighbours(processes: str) -> dict:
    """Seconds of all bare fits by scikit-learn, on so many processes that are there already."""
    import joblib
    from joblib.externals.loky import get_reusable_executor
    from threadpoolctl import threadpool_limits

    data = clinical_data()
    x, y = data.columns[: data.rows[0]], data.target[: data.rows[0]]
    with threadpool_limits(1), joblib.parallel_config("loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(int(processes))
        parallel(joblib.delayed(bare_fit)(x, y, seed) for seed in range(2))
        started = time.perf_counter()
        used = parallel(joblib.delayed(bare_fit)(x, y, seed) for seed in range(BARE))
    seconds = time.perf_counter() - started
    get_reusable_executor().shutdown()
    return {"seconds": NETWORKS / BARE * seconds, "cpu": NETWORKS / BARE * sum(used)}


def bare_fit(x, y, seed: int) -> float:
    """Processor seconds of one network of scikit-learn."""
    import warnings

    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    network = MLPClassifier(
        (UNITS,), batch_size=BATCH, max_iter=EPOCHS, tol=0.0, n_iter_no_change=EPOCHS + 1,
        random_state=seed,
    )  # fmt: skip
    started = time.process_time()
    network.fit(x, y)
    return time.process_time() - started


class Breakdown:
    """Wall and processor seconds within functions; what one calls of another is counted there.

    Of the main thread, whose processor seconds are the whole process's: others help it. What runs
    in a thread beside it is counted in `beside`, and for the main thread is where it waits.
    """

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)
        self.beside: dict[str, float] = defaultdict(float)
        self._open: list[list[float]] = []

    def watch(self, owner: object, name: str, words: str) -> None:
        """Count what this function of a class or module takes under these words."""
        inner = getattr(owner, name)

        def counted(*arguments, **named):
            if threading.current_thread() is not threading.main_thread():
                began = time.thread_time()
                try:
                    return inner(*arguments, **named)
                finally:
                    self.beside[words] += time.thread_time() - began
            wall, processor = time.perf_counter(), time.process_time()
            of_all = processor_seconds() if words in IN_PROCESSES else 0.0
            self._open.append([0.0, 0.0])
            try:
                return inner(*arguments, **named)
            finally:
                within = self._open.pop()
                took = time.perf_counter() - wall, time.process_time() - processor
                used = processor_seconds() - of_all if words in IN_PROCESSES else took[1]
                self.wall[words] += took[0] - within[0]
                self.processor[words] += used - within[1]
                if self._open:
                    self._open[-1][0] += took[0]
                    self._open[-1][1] += took[1]

        setattr(owner, name, counted)


def ours(genotypes: str) -> dict:
    """Seconds of the bundled study, and where they go."""
    import bokeh.embed
    import matplotlib.figure
    import mlflow.tracking
    import optuna
    import tensorflow
    from rich.console import Console

    from pipeline.report import page
    from pipeline.study import appraising, finalists, run
    from pipeline.study.recording import Recorder
    from pipeline.study.trials import Trials
    from pipeline.tracking import RunStore, StudyRun, reader
    from pipeline.training.training import Population

    assert all((bokeh.embed, matplotlib.figure, mlflow.tracking, optuna, tensorflow))
    RunStore("sqlite:///mlflow.db")
    parts = Breakdown()
    for owner, name, words in (
        (Population, "epoch", "epochs"),
        (Population, "finish", "finish and predictions"),
        (Recorder, "record", "recording"),
        (Recorder, "_pictures", "heat maps"),
        (Trials, "add", "Optuna"),
        (Recorder, "_wait_for_trials", "Optuna"),
        (RunStore, "__init__", "tracking store opened"),
        (page, "write_report", "report"),
        (run, "_with_variants", "weights of variants"),
        (run, "_genotypes", "genotypes"),
        (Trials, "__init__", "Optuna"),
        (run, "make_storage", "Optuna"),
        (reader, "load_study", "networks read again"),
        (run, "with_appraisal", "appraisal"),
        (appraising, "fit_baselines", "baselines"),
        (finalists, "log_finalists", "models"),
        (StudyRun, "finish", "results into the study's run"),
        (run, "_train_all", "around training"),
        (run, "_complete", "what is between"),
    ):
        parts.watch(owner, name, words)
    started, used = time.perf_counter(), processor_seconds()
    run.run_study(
        "group_lasso", given={"genotypes": genotypes}, console=Console(file=sys.stderr, quiet=True)
    )
    taken = {"seconds": time.perf_counter() - started, "cpu": processor_seconds() - used}
    parts.wall["what is before"] = taken["seconds"] - sum(parts.wall.values())
    parts.processor["what is before"] = taken["cpu"] - sum(parts.processor.values())
    return taken | {"wall": parts.wall, "processor": parts.processor, "beside": parts.beside}


PARTS = {f.__name__: f for f in (hand, neighbours, ours)}


def run_part(part: str, argument: str) -> dict:
    """One part in a process and a folder of its own: what it returns, and processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("data", "search_spaces"):
            shutil.copytree(HERE.parent / name, Path(folder) / name)
        command = [sys.executable, str(HERE / "whole_study.py"), part, argument]
        paths = {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)])}
        done = subprocess.run(
            command, cwd=folder, env=os.environ | paths, stdout=subprocess.PIPE, check=True
        )
    return json.loads(done.stdout.splitlines()[-1])


def everything() -> None:
    """The table, from all parts in one run."""
    bare = run_part("neighbours", "2")
    name = "scikit-learn's MLPClassifier, clinical, 2 processes, multiplied"
    rows, words = [(name, f"{bare['seconds']:.1f}", f"{bare['cpu']:.1f}", "")], []
    figures = []
    for genotypes, name in (("none", "clinical"), ("simulated", "clinical and genetic")):
        written, our = run_part("hand", genotypes), run_part("ours", genotypes)
        aim, most = AIMS[genotypes]
        told = (f"{written[key]:.0f}" for key in ("seconds", "cpu"))
        rows.append((f"by hand, {name}, multiplied", *told, ""))
        ratios = {key: written[key] / our[key] for key in ("seconds", "cpu")}
        shares = {key: our[key] / bare[key] for key in ("seconds", "cpu")}
        said = f"{ratios['seconds']:.0f}, by processor {ratios['cpu']:.0f} (≥ {aim})"
        if most:
            said += f"; of scikit-learn's {shares['seconds']:.2f}, {shares['cpu']:.2f} (≤ {most})"
        rows.append((f"ours, {name}", f"{our['seconds']:.1f}", f"{our['cpu']:.1f}", said))
        where = sorted(our["wall"], key=our["wall"].get, reverse=True)
        most_of_it = ", ".join(f"{w} {our['wall'][w]:.1f} s" for w in where[:3])
        because = f"of {our['seconds']:.1f} s: {most_of_it}"
        what = f"a whole study, {name}: times the one written by hand"
        figures.append(Figure(what, ratios["seconds"], aim, at_least=True, because=because))
        if most:
            what = f"a whole study, {name}: share of scikit-learn's {NETWORKS} bare fits"
            figures.append(Figure(what, shares["seconds"], most, because=because))
        parts = (f"{w} {our['wall'][w]:.1f} ({our['processor'][w]:.1f})" for w in where)
        beside = (f"{w} ({seconds:.1f})" for w, seconds in our["beside"].items())
        words.append(
            f"Of ours, {name}, seconds (processor seconds): {', '.join(parts)}. In a thread beside "
            f"training, and in its processor seconds: {', '.join(beside) or 'nothing'}."
        )
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    write(
        "A whole study",
        "whole_study.py",
        f"{NETWORKS} networks of the study `group_lasso`, {EPOCHS} epochs; imports are not in it. "
        f"{BY_HAND} networks are run by hand and {BARE} by scikit-learn, and multiplied. Load of "
        f"the machine at the end, 1, 5 and 15 minutes: {load}.\n\n" + "\n\n".join(words),
        pd.DataFrame(rows, columns=["what", "seconds", "processor seconds", "ratio and aim"]),
        figures,
    )


if __name__ == "__main__":
    if len(sys.argv) > 2:
        result = PARTS[sys.argv[1]](sys.argv[2])
        print(json.dumps(result | {"used": processor_seconds()}))
    else:
        everything()
