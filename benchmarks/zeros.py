"""Zeros at the default tolerance against those at a hundredfold tighter one, with tanh units.

The clinical inputs of the bundled studies, for each regularizer that makes zeros, at five λ from
end to end of what its study searches. `python benchmarks/zeros.py SEEDS`.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from measure import HERE, clinical_data, write

UNITS, EPOCHS, TIGHTER = 50, 60, 100.0
ALONG = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Where in the ranges of λ, on a logarithmic scale."""
STUDIES = ("l1", "elastic_net", "group_lasso", "sparse_group_lasso")


def strengths(study: str) -> list[dict[str, float]]:
    """λ of a bundled study along its ranges."""
    from pipeline.search_space import load_search_space

    space = load_search_space(str(HERE.parent / "search_spaces" / f"{study}.yaml"), {}).space
    ranges = {name: value for name, value in space.items() if name.startswith("lambda_")}
    return [
        {name: float(of.low * (of.high / of.low) ** share) for name, of in ranges.items()}
        for share in ALONG
    ]


def compared(seeds: int) -> pd.DataFrame:
    """A row a study: shares of variables and of weights on which both agree that they are zero."""
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    data, rows = clinical_data(), []
    architecture = Architecture(data.columns.shape[1], 0, (UNITS,), activation="tanh")
    usual = Schedule(epochs=EPOCHS)
    assert usual.tolerance is not None
    schedules = (
        usual,
        Schedule(epochs=EPOCHS, tolerance=usual.tolerance / TIGHTER, finish_steps=20_000),
    )
    for study in STUDIES:
        specs = [
            NetworkSpec(seed, **lambdas) for lambdas in strengths(study) for seed in range(seeds)
        ]
        loose, tight = (train_population(data, architecture, specs, each) for each in schedules)
        firsts = [np.array([n.first_layer_final for n in each]) for each in (loose, tight)]
        zeros = [first == 0.0 for first in firsts]
        variables = [
            np.array([z.all(axis=2)[:, data.group_index == g].all(axis=1) for g in groups])
            for z in zeros
            if len(groups := np.unique(data.group_index))
        ]
        reached = (n.kkt_residual <= usual.tolerance / TIGHTER for n in tight)
        within = (n.kkt_residual <= usual.tolerance for n in loose)
        rows.append(
            (
                study, len(specs), sum(within), sum(reached), f"{100 * np.mean(zeros[1]):.1f} %",
                variables[0].size,
                f"{100 * np.mean(variables[0] == variables[1]):.2f} %",
                f"{100 * np.mean(zeros[0] == zeros[1]):.2f} %",
            )
        )  # fmt: skip
    names = ["study", "networks", "at the tolerance", "at the tighter one", "weights at zero",
             "variables", "variables that agree", "weights that agree"]  # fmt: skip
    return pd.DataFrame(rows, columns=names)


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    write(
        "Zeros at the default tolerance",
        "zeros.py",
        f"Clinical inputs, {UNITS} tanh units, {number} seeds at five λ of each study's range; "
        f"the same networks at the default tolerance and at one {TIGHTER:g} times as tight. The "
        "aim is 99.9 % of variables and 99 % of weights.",
        compared(number),
    )
