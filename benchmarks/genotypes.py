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
from measure import HERE, Figure, write

FULL, SMALL, PLINK_VARIANTS = 500_000, 5_000, 20_000
NETWORKS, EPOCHS, BATCH, DIMENSIONS, UNITS, STRENGTH, KERAS_STEPS = 32, 20, 128, 20, 50, 1e-3, 4
BLAS = "BENCHMARK_BLAS"
"""Environment variable: the folder of the libblas.so.3 that plink2 is run with."""


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
    """Seconds a network of a study with this many variants, after compilation: without a penalty
    and its finish, as Keras trains; and with both, as a study does."""
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
    shape = Architecture(cohort.features.shape[1], DIMENSIONS, (UNITS,))

    def shortest(strength: float, **schedule) -> float:
        specs = [NetworkSpec(seed=s, lambda_group=strength) for s in range(NETWORKS)]
        taken = []
        for _ in range(3):  # the first compiles
            started = time.perf_counter()
            how = Schedule(epochs=EPOCHS, batch_size=BATCH, **schedule)
            train_population(data, shape, specs, how)
            taken.append(time.perf_counter() - started)
        return min(taken[1:]) / NETWORKS

    return {"bare": shortest(0.0, tolerance=None), "finished": shortest(STRENGTH)}


def keras_network(variants: int, columns: int):
    """The same network with a dense encoder of the variants: widths, units, loss, Adam."""
    import tensorflow as tf

    inputs = [tf.keras.Input((variants,)), tf.keras.Input((columns,))]
    encoded = tf.keras.layers.Dense(DIMENSIONS, use_bias=False)(inputs[0])
    joined = tf.keras.layers.Concatenate()([inputs[1], encoded])
    hidden = tf.keras.layers.Dense(UNITS, activation="relu")(joined)
    model = tf.keras.Model(inputs, tf.keras.layers.Dense(1)(hidden))
    loss = tf.keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=[tf.keras.metrics.AUC(from_logits=True)])
    return model


def keras_fit(folder: Path, variants: int) -> dict:
    """Seconds of one network's EPOCHS epochs by `fit`, on the people of ours, AUROC of the
    validation rows every epoch; the shortest of two after one that compiles."""
    from pipeline.genetics import Filters, standard_blocks
    from pipeline.serving import open_fileset

    cohort, fileset = people(), open_fileset(folder / str(variants))
    train, validation = cohort.split.train, cohort.split.validation
    blocks = fileset.blocks(np.arange(len(fileset.people)), variants)
    genotypes = next(iter(standard_blocks(blocks, train, Filters(0.01, 0.1)))).genotypes
    genotypes = np.ascontiguousarray(genotypes)

    def of(rows: np.ndarray) -> tuple:
        return [genotypes[rows], cohort.features[rows]], cohort.outcome[rows].astype(np.float32)

    taken = []
    for _ in range(3):
        model = keras_network(genotypes.shape[1], cohort.features.shape[1])
        started = time.perf_counter()
        model.fit(
            *of(train), batch_size=BATCH, epochs=EPOCHS, validation_data=of(validation),
            validation_batch_size=len(validation), verbose=0,
        )  # fmt: skip
        taken.append(time.perf_counter() - started)
    return {"seconds": min(taken[1:])}


def keras_steps(folder: Path, variants: int) -> dict:
    """Seconds of one network's EPOCHS epochs, extrapolated from a few steps.

    Of Keras' own `train_on_batch` on a batch that is in memory and standardized: neither reading
    the genotypes (5 GB in float32) nor validation is counted.
    """
    import tensorflow as tf

    cohort = people()
    rng = np.random.default_rng(0)
    rows = cohort.split.train[:BATCH]
    genotypes = rng.standard_normal((BATCH, variants), np.float32)
    target = tf.constant(cohort.outcome[rows].astype(np.float32))[:, None]
    batch = [tf.constant(genotypes), tf.constant(cohort.features[rows])], target
    model = keras_network(variants, cohort.features.shape[1])
    model.train_on_batch(*batch)
    started = time.perf_counter()
    for _ in range(KERAS_STEPS):
        model.train_on_batch(*batch)
    step = (time.perf_counter() - started) / KERAS_STEPS
    return {"seconds": step * EPOCHS * -(-len(cohort.split.train) // BATCH), "step": step}


def matrix(folder: Path, variants: int) -> dict:
    """Seconds of our relationship matrix of the variants that vary; it stays in the folder."""
    from pipeline.genetics import Filters, relationship_matrix, standard_blocks
    from pipeline.serving import open_fileset

    prefix = folder / str(variants)
    started, used = time.perf_counter(), time.process_time()
    fileset = open_fileset(prefix)
    everyone = np.arange(len(fileset.people))
    blocks = standard_blocks(fileset.blocks(everyone, 2**22 // len(everyone)), everyone, Filters())
    ours = relationship_matrix(blocks).matrix
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    np.save(f"{prefix}.ours.npy", ours)
    return {"seconds": seconds, "processor": processor}


def plink(folder: Path, variants: int) -> dict:
    """Seconds of plink2 --make-rel of the same, on the cores that the process may use, with the
    libblas.so.3 of the folder BLAS; how far its entries are from ours."""
    prefix, threads = folder / str(variants), str(len(os.sched_getaffinity(0)))
    command = ["plink2", "--bfile", prefix, "--make-rel", "bin4", "square", "--mac", "1"]
    limits = {"OPENBLAS_NUM_THREADS": threads, "LD_LIBRARY_PATH": os.environ[BLAS]}
    started = time.perf_counter()
    subprocess.run(
        [*command, "--threads", threads, "--out", prefix],
        check=True, capture_output=True, env=os.environ | limits,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    ours = np.load(f"{prefix}.ours.npy")
    theirs = np.fromfile(f"{prefix}.rel.bin", np.float32).reshape(ours.shape)
    return {
        "seconds": seconds,
        "processor": used.ru_utime + used.ru_stime,
        "apart": float(np.abs(ours - theirs).max()),
        "peak": used.ru_maxrss / 2**20,
    }


def blas_folders() -> dict[str, str]:
    """Name → a folder that has libblas.so.3: of OpenBLAS, and the reference, where they are.

    Debian's plink2 is linked to libblas.so.3, for which another package stands in by alternatives:
    `apt-get install libopenblas0-pthread`. OPENBLAS names a folder where that is unpacked.
    """
    found = {}
    asked = [Path(os.environ["OPENBLAS"])] if "OPENBLAS" in os.environ else []
    for name, places in {
        "OpenBLAS": [*asked, *Path("/usr/lib").glob("*/openblas-*")],
        "the reference BLAS": Path("/usr/lib").glob("*/blas"),
    }.items():
        usable = [place for place in places if (place / "libblas.so.3").exists()]
        if usable:
            found[name] = str(usable[0])
    return found


PARTS = {f.__name__: f for f in (simulate, relate, train, keras_fit, keras_steps, matrix, plink)}


def run(part: str, folder: Path, variants: int, cores: int | None = None, **given: str) -> dict:
    """A part in a process of its own: what it found, and its peak of memory in GiB.

    cores: so many of the machine's, and libraries told so; given: environment variables.
    """
    usable = sorted(os.sched_getaffinity(0))[:cores]
    limits = {} if cores is None else {"OPENBLAS_NUM_THREADS": str(cores)}
    command = [sys.executable, __file__, part, str(folder), str(variants)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | limits | given,
        preexec_fn=lambda: os.sched_setaffinity(0, usable),
    )  # fmt: skip
    results = json.loads(done.stdout.splitlines()[-1])
    print(part, variants, cores or "", given or "", results, flush=True)
    return results


class Rows:
    """The table as it grows, and the key figures."""

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.figures: list[Figure] = []

    def ask(self, what: str, found: float, target: float, at_least: bool = False) -> None:
        self.figures.append(Figure(what, found, target, at_least))

    def add(self, what: str, results: dict, words: str = "", which: str = "seconds") -> None:
        self.rows.append((what, f"{results[which]:.3g}", f"{results['peak']:.2f}", words))

    def table(self) -> pd.DataFrame:
        names = ["what", "seconds", "peak memory, GiB", "asked or compared"]
        return pd.DataFrame(self.rows, columns=names)


def of_matrices(folder: Path, rows: Rows) -> None:
    """From a simulated fileset to the cached matrix."""
    made = run("simulate", folder, FULL)
    rows.add(f"fileset of {FULL:,} variants simulated and written", made, "≤ 300 s")
    rows.ask(f"seconds to simulate {FULL:,} variants", made["seconds"], 300)
    first = run("relate", folder, FULL)
    what = f"relationship matrix of {first['variants']:,} variants that pass the filters"
    rows.add(what, first, "≤ 180 s, ≤ 4 GiB")
    again = run("relate", folder, FULL)
    rows.add("the same from the cache", again, "≤ 5 s")
    rows.ask(f"seconds of the relationship matrix of {FULL:,} variants", first["seconds"], 180)
    rows.ask("its peak of memory, GiB", first["peak"], 4)
    rows.ask("seconds of the same from the cache", again["seconds"], 5)


def of_networks(folder: Path, rows: Rows) -> None:
    """Ours with few and many variants, and beside Keras."""
    run("simulate", folder, SMALL)
    run("relate", folder, SMALL)
    ours = {variants: run("train", folder, variants) for variants in (SMALL, FULL)}
    beside = {SMALL: run("keras_fit", folder, SMALL), FULL: run("keras_steps", folder, FULL)}
    bare = {variants: found["bare"] for variants, found in ours.items()}
    for variants, found in ours.items():
        words = "" if variants == SMALL else f"{bare[FULL] / bare[SMALL]:.2f} × (≤ 1.2)"
        rows.add(f"ours, {variants:,} variants, epochs alone", found, words, "bare")
    what = f"epochs of a network of {FULL:,} variants over those of {SMALL:,}"
    rows.ask(what, bare[FULL] / bare[SMALL], 1.2)
    what = f"a Keras network of {FULL:,} variants over ours, the same epochs"
    rows.ask(what, beside[FULL]["seconds"] / bare[FULL], 50, at_least=True)
    for variants, found in beside.items():
        how = "" if variants == SMALL else f", from {KERAS_STEPS} steps of {found['step']:.3f} s"
        aim = "" if variants == SMALL else " (≥ 50)"
        words = f"{found['seconds'] / bare[variants]:,.0f} × ours{aim}"
        rows.add(f"Keras, {variants:,} variants{how}", found, words)
    for variants, found in ours.items():
        what = f"ours, {variants:,} variants, group lasso λ = {STRENGTH:g} with its finish"
        rows.add(what, found, "", "finished")


def beside_plink(folder: Path, rows: Rows) -> None:
    """The matrix of fewer variants, on one core and on two."""
    run("simulate", folder, PLINK_VARIANTS)
    several = [n for n in (1, 2) if n <= len(os.sched_getaffinity(0))]
    what = f"of {PLINK_VARIANTS:,} variants"
    for cores in several:
        own = run("matrix", folder, PLINK_VARIANTS, cores)
        on = "1 core" if cores == 1 else f"{cores} cores"
        rows.add(f"matrix {what}, ours, {on}", own)
        for name, blas in blas_folders().items():
            if name != "OpenBLAS" and cores > 1:
                continue  # it knows one core only
            other = run("plink", folder, PLINK_VARIANTS, cores, **{BLAS: blas})
            rows.ask(f"difference from plink2's matrix, with {name}, {on}", other["apart"], 1e-3)
            rows.add(
                f"plink2 --make-rel {what}, {name}, {on}", other,
                f"{other['seconds'] / own['seconds']:.1f} × ours, by processor "
                f"{other['processor'] / own['processor']:.1f} ×; entries agree to "
                f"{other['apart']:.0e} (≤ 1e-3)",
            )  # fmt: skip


def everything(folder: Path) -> Rows:
    rows = Rows()
    of_matrices(folder, rows)
    of_networks(folder, rows)
    if shutil.which("plink2"):
        beside_plink(folder, rows)
    return rows


if __name__ == "__main__":
    if len(sys.argv) > 1:
        part, folder, variants = sys.argv[1:]
        results = PARTS[part](Path(folder), int(variants))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"peak": peak} | results))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            rows = everything(Path(temporary))
        write(
            "Genotypes at full scale",
            "genotypes.py",
            "4,240 people, 2,544 of them in training. A network has the clinical columns, "
            f"{DIMENSIONS} genetic dimensions and {UNITS} units, in batches of {BATCH}, {EPOCHS} "
            f"epochs of Adam; ours train {NETWORKS} at once, Keras' one at a time. *Epochs alone* "
            "are those of ours that Keras has too: same people, widths, batches and epochs, no "
            "penalty, no finish. Two things differ: ours sees variants through the relationship "
            "matrix, which is exact (tests/test_variant_weights.py), and its Adam shares the "
            f"second moment within a variable. {SMALL:,} variants are fitted by Keras' `fit`, "
            f"AUROC of the validation rows every epoch; of {FULL:,} its time is that of "
            f"{KERAS_STEPS} steps on one standardized batch in memory, times the number of steps: "
            "reading genotypes and validation are not in it. With the penalty and its finish the "
            "two of ours are other networks, as other variables are left, and take other times. "
            "Matrices are timed on one core and on two, for both sides (`--threads`, "
            "OPENBLAS_NUM_THREADS, and the cores that the process may use); reading is in it. "
            "Peaks are of the whole process.",
            rows.table(),
            rows.figures,
        )
