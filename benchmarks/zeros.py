"""Zeros at the default tolerance against those at a hundredfold tighter one, with tanh units.

The clinical inputs of the bundled studies, for each regularizer that makes zeros, at five λ from
end to end of what its study searches. `python benchmarks/zeros.py SEEDS`.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
from measure import HERE, Figure, clinical_data, write

UNITS, EPOCHS, TIGHTER, AIMS = 50, 60, 100.0, (99.9, 99.0)
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


def compared(seeds: int) -> tuple[pd.DataFrame, list[Figure]]:
    """A row a study: shares of variables and of weights on which both agree that they are zero."""
    from pipeline.networks import Architecture, NetworkSpec, Schedule
    from pipeline.training import train_population

    data, rows = clinical_data(), []
    shares: dict[str, list[tuple[float, str]]] = {"variables": [], "weights": []}
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
        agree = np.mean(variables[0] == variables[1]), np.mean(zeros[0] == zeros[1])
        unlike = (int(np.sum(each[0] != each[1])) for each in (variables, zeros))
        for kind, share, differ in zip(("variables", "weights"), agree, unlike, strict=True):
            shares[kind].append((100 * float(share), f"{study}: {differ} differ"))
        rows.append(
            (
                study, len(specs), sum(within), sum(reached), f"{100 * np.mean(zeros[1]):.1f} %",
                variables[0].size,
                *(f"{100 * share:.2f} %" for share in agree),
            )
        )  # fmt: skip
    names = ["study", "networks", "at the tolerance", "at the tighter one", "weights at zero",
             "variables", "variables that agree", "weights that agree"]  # fmt: skip
    figures = [
        Figure(f"{kind} with the zeros of a hundredfold tighter tolerance, tanh, least of the "
               "studies, %", min(found)[0], aim, at_least=True, because=min(found)[1])
        for (kind, found), aim in zip(shares.items(), AIMS, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=names), figures


def without_hidden_layer() -> tuple[float, int, int]:
    """(largest relative excess over adelie's objectives, networks with other zeros, networks)."""
    sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests/oracles")]
    import adelie_paths
    import formulas
    from test_oracles import engine, table

    excess, apart, networks = 0.0, 0, 0
    for name in adelie_paths.PROBLEMS:
        problem, found = table(name), adelie_paths.solutions(name)
        path = [np.array([0.0, 0.0, strength]) for strength, _, _ in found]
        for lambdas, (_, weights, intercept), (own, bias, _) in zip(
            path, found, engine(problem, path), strict=True
        ):
            theirs = problem.objective(weights, intercept, lambdas)
            excess = max(excess, problem.objective(own, bias, lambdas) / theirs - 1.0)
            kept = (formulas.kept(each, problem.group_index) for each in (own, weights))
            apart += len(set(map(tuple, map(sorted, kept)))) > 1
            networks += 1
    return excess, apart, networks


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    excess, apart, paths = without_hidden_layer()
    table, figures = compared(number)
    write(
        "Zeros at the default tolerance",
        "zeros.py",
        f"Clinical inputs, {UNITS} tanh units, {number} seeds at five λ of each study's range; "
        f"the same networks at the default tolerance and at one {TIGHTER:g} times as tight. The "
        f"aim is {AIMS[0]} % of variables and {AIMS[1]:g} % of weights.\n\nWithout a hidden layer "
        "a network is penalized regression, and other solvers say what it should be: along the "
        "paths of 20 λ over three decades in tests/oracles/adelie_paths.csv the largest objective "
        f"above that of adelie (float64) is {excess:.0e} of it, and {apart} of {paths} networks "
        "keep other variables than adelie's.",
        table,
        [
            Figure("without a hidden layer: objective above adelie's, relative", excess, 1e-6),
            Figure("without a hidden layer: networks whose zeros are not adelie's", apart, 0),
            *figures,
        ],
    )
