"""What other people cost beside other seeds: 100 networks that differ in who is in the table.

All of them are one population: the clinical columns, one λ of the group lasso, 50 units, 60 epochs
of batches of 128, the best epoch by AUROC, and the full-batch finish. Seeds train on the 2,544
training rows of the table and validate on 848; subsamples, bootstrap samples and folds are of these
3,392 together, every network with its own rows, standardization and imputed values, and validate on
who is not drawn. Times are seconds of both cores' processors, since the machine is shared: the
smallest of several runs, in turn, after one of an epoch that compiles.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
from measure import HERE, Figure, processor_seconds, write

NETWORKS, UNITS, LAMBDA, REPEATS, AIM = 100, 50, 0.01, 2, 1.3


def tables():
    """Name → TrainingData, of seeds and of every kind of resample."""
    from pipeline.data import ResampleDesign, draw_resamples, load_cohort
    from pipeline.networks import Resamples, TrainingData

    cohort = load_cohort(
        HERE.parent / "data" / "framingham.csv", "TenYearCHD", categories=["education"]
    )
    raw = pd.read_csv(HERE.parent / "data" / "framingham.csv")
    split = cohort.split
    order = np.concatenate([split.train, split.validation, split.test])
    development = len(split.train) + len(split.validation)
    missing = np.zeros(cohort.features.shape, bool)
    for i, feature in enumerate(cohort.schema.features):
        column = cohort.schema.columns[feature.column]
        if column.kind == "number" and column.has_missing and feature.code == 0:
            missing[:, i] = raw[column.name].isna()
    seeds = TrainingData(
        cohort.features[order],
        cohort.outcome[order],
        "binary",
        (len(split.train), len(split.validation), len(split.test)),
        cohort.inputs.group_index,
    )
    found = {"seeds": seeds}
    for kind, given in (
        ("subsample", {"count": NETWORKS}),
        ("bootstrap", {"count": NETWORKS}),
        ("folds", {"folds": 5, "repeats": NETWORKS // 5}),
    ):
        draws = draw_resamples(
            ResampleDesign(kind, **given), cohort.outcome[order][:development], "binary"
        )
        found[kind] = replace(
            seeds,
            rows=(development, 0, len(split.test)),
            resamples=Resamples(draws.weights, draws.validation),
            missing=missing[order],
        )
    return found


def train(data, epochs: int = 60) -> list:
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    resampled = data.resamples is not None
    specs = [
        NetworkSpec(0, lambda_group=LAMBDA, resample=i)
        if resampled
        else NetworkSpec(i, lambda_group=LAMBDA)
        for i in range(NETWORKS)
    ]
    architecture = Architecture(data.columns.shape[1], 0, (UNITS,))
    return train_population(data, architecture, specs, Schedule(epochs=epochs))


def main() -> None:
    data_of, taken, finished = tables(), {}, {}
    for data in data_of.values():
        train(data, epochs=1)
    for _ in range(REPEATS):
        for name, data in data_of.items():
            started, epochs = processor_seconds(), time.perf_counter()
            finished[name] = train(data)
            used = processor_seconds() - started, time.perf_counter() - epochs
            taken[name] = min(taken.get(name, used), used)
    rows = []
    for name, (processor, wall) in taken.items():
        networks = finished[name]
        certified = sum(network.kkt_residual <= 1e-3 for network in networks)
        kept = np.mean([np.any(network.first_layer_final, axis=1).sum() for network in networks])
        rows.append(
            {
                "100 networks that differ in": name,
                "processor seconds": f"{processor:.1f}",
                "seconds on the clock": f"{wall:.1f}",
                "beside seeds": f"{processor / taken['seeds'][0]:.2f}",
                "certified": certified,
                "columns kept": f"{kept:.1f}",
            }
        )
    beside = taken["subsample"][0] / taken["seeds"][0]
    write(
        "Other people beside other seeds",
        "resamples.py",
        "Clinical columns, 50 units, group lasso, 60 epochs and the finish, all in one population. "
        "Seeds train on 2,544 rows and validate on 848; resamples are of these 3,392. Others used "
        "the machine meanwhile, so that processor seconds count. The aim is at most "
        f"{AIM} times the seeds' time for subsamples.",
        pd.DataFrame(rows),
        [Figure("processor seconds of subsamples over those of seeds", beside, AIM)],
    )


if __name__ == "__main__":
    main()
