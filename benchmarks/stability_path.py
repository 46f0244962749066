"""Stability selection along λ: ours on 100 subsamples × 20 λ, beside LassoNet's own.

Both are given the 3,392 people of the Framingham table who are no test rows, the same columns, 50
hidden units, and otherwise their defaults. LassoNet (Lemhadri, Ruan, Abraham and Tibshirani 2021)
walks its path on a random half of the rows, one resample after another; `--resamples` says how many
of its default of 20 are waited for. Its groups of columns are a loop in Python, so that it is given
single columns, its better side. Ours has groups, standardizes every resample anew, and runs all of
them together. Neither's first run, which compiles or loads, is counted.

Times are those of the processors: on an idle machine of two cores ours takes half of that.

Needs `pip install -r benchmarks/requirements.txt` beside the project's own.
"""

from __future__ import annotations

import argparse
import random
import time

import numpy as np
import pandas as pd
from measure import HERE, Figure, clinical_data, processor_seconds, write

RESAMPLES, LAMBDAS, UNITS, AIM = 100, 20, 50, 120


def development():
    """(X, y), the variable of every column, and its name."""
    from pipeline.data import load_cohort

    data = clinical_data()
    n = data.rows[0] + data.rows[1]
    cohort = load_cohort(
        HERE.parent / "data" / "framingham.csv", "TenYearCHD", categories=["education"]
    )
    return data.columns[:n], data.target[:n], np.array(cohort.inputs.variables)


def ours(X, y, variables):
    """(the path, processor seconds, seconds on the clock)."""
    from pipeline import stability_path

    given = {"groups": variables, "hidden_layer_sizes": (UNITS,), "resamples": RESAMPLES}
    stability_path(X, y, n_lambdas=2, epochs=1, **given)
    started, clock = processor_seconds(), time.perf_counter()
    path = stability_path(X, y, n_lambdas=LAMBDAS, **given)
    return path, processor_seconds() - started, time.perf_counter() - clock


def lassonet(X, y, resamples: int):
    """(models of all paths, probabilities (λ, columns), processor seconds, seconds)."""
    import torch
    from lassonet import LassoNetClassifier

    torch.set_num_threads(2)
    random.seed(0)
    LassoNetClassifier(hidden_dims=(UNITS,), n_iters=1, verbose=0).path(X, y, lambda_seq=[])
    model = LassoNetClassifier(hidden_dims=(UNITS,), random_state=0, torch_seed=0, verbose=0)
    started, clock = processor_seconds(), time.perf_counter()
    _, _, _, paths, probability = model.stability_selection(X, y, n_models=resamples)
    used = processor_seconds() - started, time.perf_counter() - clock
    # The path that gives its λs is walked too, and is one model of each λ more.
    return sum(map(len, paths)) + len(paths[0]), probability.numpy(), *used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=20, help="of LassoNet; 0: none")
    arguments = parser.parse_args()
    X, y, variables = development()
    path, processor, clock = ours(X, y, variables)
    ours_clock = clock
    models = RESAMPLES * LAMBDAS
    stable = path.stable_variables()
    rows = [row("stability_path", RESAMPLES, models, processor, clock)]
    words = (
        f"3,392 rows × {X.shape[1]} columns ({len(path.variables)} variables), {UNITS} units. The "
        f"aim is {AIM} seconds on two idle cores; here others used them too. "
        f"Stable with at most one false variable expected: {', '.join(stable) or 'none'}."
    )
    if arguments.resamples:
        theirs, probability, processor, clock = lassonet(X, y, arguments.resamples)
        rows.append(row("LassoNet", arguments.resamples, theirs, processor, clock))
        anywhere = pd.Series(probability.mean(axis=0)).groupby(variables).max()
        most = anywhere.sort_values(ascending=False).index[: len(stable)]
        words += (
            f" LassoNet (`--resamples {arguments.resamples}`) keeps longest along its path: "
            f"{', '.join(most) or 'none'}."
        )
    figure = Figure("seconds of `stability_path`, 100 resamples", ours_clock, AIM)
    table = pd.DataFrame(rows)
    write("Stability selection against LassoNet", "stability_path.py", words, table, [figure])


def row(name: str, resamples: int, models: int, processor: float, clock: float) -> dict:
    return {
        "": name,
        "resamples": resamples,
        "networks × λ": models,
        "processor seconds": f"{processor:.0f}",
        "seconds on the clock": f"{clock:.0f}",
        "processor milliseconds a network and λ": f"{1e3 * processor / models:.1f}",
    }


if __name__ == "__main__":
    main()
