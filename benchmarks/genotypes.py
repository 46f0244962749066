"""Genotypes at full scale: simulated, related, cached, trained on; beside Keras and plink2.

Every part runs in a process of its own, so that its peak of memory is its own. Files go into a
folder that is removed at the end (about 700 MB).
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measure import HERE, write

FULL, SMALL, PLINK_VARIANTS = 500_000, 5_000, 20_000
NETWORKS, EPOCHS, BATCH, DIMENSIONS, KERAS_STEPS = 32, 20, 128, 20, 4


def people():
    """The Framingham teaching table: 4,240 people, of whom 2,544 train."""
    from pipeline.data import load_cohort

    return load_cohort(
        HERE.parent / "data" / "framingham.csv", "TenYearCHD", categories=["education"]
    )


def simulate(folder: Path, variants: int) -> dict:
    from pipeline.genetics import Simulation, write_simulated
    from pipeline.serving import row_names

    outcome = people().outcome
    started = time.perf_counter()
    write_simulated(
        folder / str(variants), outcome, row_names(len(outcome)), Simulation(variants=variants)
    )
    return {"seconds": time.perf_counter() - started}


def load(folder: Path, variants: int):
    """The genotypes and the seconds from the fileset's name to the matrix."""
    from pipeline.data import read_table
    from pipeline.genetics import Filters, join, load_genotypes
    from pipeline.serving import open_fileset

    cohort, table = people(), read_table(HERE.parent / "data" / "framingham.csv")
    started = time.perf_counter()
    joined = join(table, None, open_fileset(folder / str(variants)))
    genotypes = load_genotypes(
        joined, cohort.outcome, cohort.split.train, folder / "cache", Filters(0.01, 0.1)
    )
    return cohort, genotypes, time.perf_counter() - started


def relate(folder: Path, variants: int) -> dict:
    _, genotypes, seconds = load(folder, variants)
    return {"seconds": seconds, "variants": genotypes.variants}


def train(folder: Path, variants: int) -> dict:
    """Seconds a network of a study with this many variants, after compilation."""
    from pipeline.networks import Architecture, NetworkSpec, Schedule, TrainingData
    from pipeline.study import People
    from pipeline.training import train_population

    cohort, genotypes, _ = load(folder, variants)
    group = People(cohort, genotypes)
    order = np.concatenate([cohort.split.train, cohort.split.validation, cohort.split.test])
    data = TrainingData(
        columns=cohort.features[order],
        target=cohort.outcome[order],
        task="binary",
        rows=tuple(
            len(r) for r in (cohort.split.train, cohort.split.validation, cohort.split.test)
        ),
        group_index=group.inputs(("clinical", "genetic"), DIMENSIONS).group_index,
        **group._relationships(False),
    )
    shape = Architecture(cohort.features.shape[1], DIMENSIONS, (50,))
    specs = [NetworkSpec(seed=s, lambda_group=1e-3) for s in range(NETWORKS)]
    taken = []
    for _ in range(3):  # the first compiles
        started = time.perf_counter()
        train_population(data, shape, specs, Schedule(epochs=EPOCHS, batch_size=BATCH))
        taken.append(time.perf_counter() - started)
    return {"seconds": min(taken[1:]) / NETWORKS}


def keras(folder: Path, variants: int) -> dict:
    """Seconds of one network's EPOCHS epochs with a dense encoder of the standardized variants.

    A few steps of Keras' own `train_on_batch` on a batch that is in memory and standardized, so
    that reading the genotypes is not counted; extrapolated to all steps.
    """
    import tensorflow as tf

    cohort = people()
    rng = np.random.default_rng(0)
    genotypes = rng.standard_normal((BATCH, variants), np.float32)
    clinical = cohort.features[cohort.split.train[:BATCH]]
    target = cohort.outcome[cohort.split.train[:BATCH]].astype(np.float32)
    inputs = [tf.keras.Input((variants,)), tf.keras.Input((clinical.shape[1],))]
    encoded = tf.keras.layers.Dense(DIMENSIONS, use_bias=False)(inputs[0])
    joined = tf.keras.layers.Concatenate()([inputs[1], encoded])
    hidden = tf.keras.layers.Dense(50, activation="relu")(joined)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(1)(hidden))
    model.compile("adam", tf.keras.losses.BinaryCrossentropy(from_logits=True))
    batch = [tf.constant(genotypes), tf.constant(clinical)], tf.constant(target)[:, None]
    model.train_on_batch(*batch)
    started = time.perf_counter()
    for _ in range(KERAS_STEPS):
        model.train_on_batch(*batch)
    step = (time.perf_counter() - started) / KERAS_STEPS
    steps = EPOCHS * -(-len(cohort.split.train) // BATCH)
    return {"seconds": step * steps, "step": step}


def plink(folder: Path, variants: int) -> dict:
    """plink2 --make-rel of the variants that vary, and ours under the same scaling.

    Debian's plink2 is linked to libblas.so.3, which is the reference BLAS unless another package
    stands in for it; where OpenBLAS is installed (libopenblas0-pthread, or unpacked in the folder
    that OPENBLAS names), that is used.
    """
    from pipeline.genetics import Filters, relationship_matrix, standard_blocks
    from pipeline.serving import open_fileset

    prefix = folder / str(variants)
    started, used = time.perf_counter(), time.process_time()
    fileset = open_fileset(prefix)
    everyone = np.arange(len(fileset.people))
    blocks = standard_blocks(fileset.blocks(everyone, 2**22 // len(everyone)), everyone, Filters())
    ours = relationship_matrix(blocks).matrix
    our_seconds, our_processor = time.perf_counter() - started, time.process_time() - used
    command = ["plink2", "--bfile", prefix, "--make-rel", "bin4", "square", "--mac", "1"]
    found = [os.environ.get("OPENBLAS"), *Path("/usr/lib").glob("*/openblas-pthread")]
    folders = [str(each) for each in found if each]
    libraries = {"LD_LIBRARY_PATH": folders[0]} if folders else {}
    started = time.perf_counter()
    subprocess.run(
        [*command, "--out", prefix], check=True, capture_output=True, env=os.environ | libraries
    )
    seconds = time.perf_counter() - started
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    theirs = np.fromfile(f"{prefix}.rel.bin", np.float32).reshape(ours.shape)
    return {
        "seconds": our_seconds,
        "processor": our_processor,
        "plink2": seconds,
        "plink2 processor": children.ru_utime + children.ru_stime,
        "blas": "OpenBLAS" if folders else "the BLAS of libblas.so.3",
        "apart": float(np.abs(ours - theirs).max()),
    }


PARTS = {f.__name__: f for f in (simulate, relate, train, keras, plink)}


def run(part: str, folder: Path, variants: int) -> dict:
    """A part in a process of its own: what it found, and its peak of memory in GiB."""
    command = [sys.executable, __file__, part, str(folder), str(variants)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    results = json.loads(done.stdout.splitlines()[-1])
    print(part, variants, results, flush=True)
    return results


def everything(folder: Path) -> pd.DataFrame:
    rows = []

    def row(what: str, results: dict, seconds: float, words: str) -> None:
        peak = f"{results['peak']:.2f}" if "peak" in results else "–"
        rows.append((what, f"{seconds:.3g}", peak, words))

    made = run("simulate", folder, FULL)
    row(f"fileset of {FULL:,} variants simulated and written", made, made["seconds"], "≤ 300 s")
    first = run("relate", folder, FULL)
    row(
        f"relationship matrix of {first['variants']:,} variants that pass the filters",
        first, first["seconds"], "≤ 180 s, ≤ 4 GiB",
    )  # fmt: skip
    again = run("relate", folder, FULL)
    row("the same from the cache", again, again["seconds"], "≤ 5 s")
    run("simulate", folder, SMALL)
    run("relate", folder, SMALL)
    small, full = run("train", folder, SMALL), run("train", folder, FULL)
    row(f"a network, {EPOCHS} epochs, {SMALL:,} variants", small, small["seconds"], "")
    ratio = full["seconds"] / small["seconds"]
    row(
        f"a network, {EPOCHS} epochs, {FULL:,} variants", full, full["seconds"],
        f"{ratio:.2f} × that with {SMALL:,} (≤ 1.2)",
    )  # fmt: skip
    dense = run("keras", folder, FULL)
    row(
        f"a Keras network with a dense encoder of {FULL:,} variants, extrapolated",
        dense, dense["seconds"],
        f"{dense['seconds'] / full['seconds']:,.0f} × ours (≥ 50); "
        f"{KERAS_STEPS} steps of {dense['step']:.2f} s",
    )  # fmt: skip
    if shutil.which("plink2"):
        run("simulate", folder, PLINK_VARIANTS)
        both = run("plink", folder, PLINK_VARIANTS)
        row(f"relationship matrix of {PLINK_VARIANTS:,} variants, ours", both, both["seconds"], "")
        row(
            f"plink2 --make-rel of the same, with {both['blas']}", {}, both["plink2"],
            f"{both['plink2'] / both['seconds']:.1f} × ours, by processor seconds "
            f"{both['plink2 processor'] / both['processor']:.1f} ×; entries agree to "
            f"{both['apart']:.0e} (≤ 1e-3)",
        )  # fmt: skip
    return pd.DataFrame(rows, columns=["what", "seconds", "peak memory, GiB", "asked or compared"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        part, folder, variants = sys.argv[1:]
        results = PARTS[part](Path(folder), int(variants))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps(results | {"peak": peak}))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            table = everything(Path(temporary))
        write(
            "Genotypes at full scale",
            "genotypes.py",
            f"4,240 people, 2,544 of them in training. A network has the clinical columns, "
            f"{DIMENSIONS} genetic dimensions and 50 units, in batches of {BATCH}; ours train "
            f"{NETWORKS} at once. Keras' time is that of {KERAS_STEPS} steps on "
            "one standardized batch in memory, times the number of steps; reading genotypes is not "
            "in it. Peaks are of the whole process.",
            table,
        )
