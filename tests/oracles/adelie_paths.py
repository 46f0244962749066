"""Group-lasso paths by the package adelie, for tests/test_oracles.py: `adelie_paths.csv`.

adelie (Yang and Hastie, 2024: block coordinate descent with Newton's method on each group, in
float64) wants numpy below 2, so it does not stand in requirements-test.txt. In an environment of
its own:

    python -m venv oracle && oracle/bin/pip install adelie==1.1.52 scikit-learn==1.9.1
    oracle/bin/python tests/oracles/adelie_paths.py

It minimizes mean loss + λ·Σ_g √(|g|·o)·‖W_g‖ over o × p weights and free intercepts.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

FILE = Path(__file__).with_suffix(".csv")
STEPS, LAST = 20, 1e-3


def standardized(values: np.ndarray) -> np.ndarray:
    """Of mean 0 and deviation 1, as float32 has it: what the engine is given."""
    return ((values - values.mean(axis=0)) / values.std(axis=0)).astype(np.float32).astype(float)


def cancer():
    """Ten measures of cells, each with its mean, standard error and worst value: a variable."""
    inputs, target = load_breast_cancer(return_X_y=True)
    return standardized(inputs), target, "binary", np.arange(30) % 10, 1


def diabetes():
    """A quantity of ten columns; the six measures of blood serum are one variable."""
    inputs, target = load_diabetes(return_X_y=True)
    groups = np.array([0, 1, 2, 3, 4, 4, 4, 4, 4, 4])
    return standardized(inputs), standardized(target[:, None])[:, 0], "regression", groups, 1


def wine():
    """The first of the three cultivars, or another."""
    inputs, target = load_wine(return_X_y=True)
    return standardized(inputs), (target == 0).astype(int), "binary", np.arange(13), 1


def cultivars():
    """All three; a variable has its weights on each."""
    inputs, target = load_wine(return_X_y=True)
    return standardized(inputs), target, "multiclass", np.arange(13), 3


PROBLEMS = {f.__name__: f for f in (cancer, diabetes, wine, cultivars)}
"""Name → (inputs (n, p), target (n,), task, group of each column, outputs)."""


def strongest(inputs: np.ndarray, target: np.ndarray, task: str, groups: np.ndarray, outputs: int):
    """The least λ at which every weight is zero: max over g of ‖∇_g‖/√(|g|·o) at W = 0."""
    wanted = np.eye(outputs)[target] if task == "multiclass" else target[:, None].astype(float)
    gradient = (wanted - wanted.mean(axis=0)).T @ inputs / len(target)
    own = [gradient[:, groups == g] for g in np.unique(groups)]
    return max(np.linalg.norm(each) / np.sqrt(each.size) for each in own)


def solve(name: str) -> list[list]:
    """A row a λ: name, λ, the intercepts (o,), and the weights (o, p), an output after another."""
    import adelie as ad

    inputs, target, task, groups, outputs = PROBLEMS[name]()
    strengths = 0.99 * strongest(*PROBLEMS[name]()) * np.geomspace(1.0, LAST, STEPS)
    order = np.argsort(groups, kind="stable")  # a group's columns must be neighbors
    sizes = np.bincount(groups)
    if task == "binary":
        glm = ad.glm.binomial(target.astype(float))
    elif task == "regression":
        glm = ad.glm.gaussian(target, opt=False)
    else:
        glm = ad.glm.multinomial(np.eye(outputs)[target])
    state = ad.grpnet(
        np.asfortranarray(inputs[:, order]),
        glm,
        groups=np.concatenate([[0], np.cumsum(sizes)[:-1]]),
        penalty=np.sqrt(sizes * outputs),
        lmda_path=strengths / outputs,  # its multinomial loss is divided by the number of classes
        tol=1e-14,
        irls_tol=1e-14,
        newton_tol=1e-14,
        early_exit=False,
        progress_bar=False,
    )
    weights = np.zeros((STEPS, len(groups), outputs))
    weights[:, order] = np.asarray(state.betas.todense()).reshape(STEPS, len(groups), outputs)
    intercepts = np.asarray(state.intercepts).reshape(STEPS, outputs)
    return [[name, strengths[i], *intercepts[i], *weights[i].T.ravel()] for i in range(STEPS)]


def solutions(name: str) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """(λ, weights (o, p), intercepts (o,)) of every λ, as adelie left them."""
    _, _, _, groups, outputs = PROBLEMS[name]()
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = [[float(v) for v in row[1:] if v] for row in csv.reader(file) if row[0] == name]
    return [
        (
            row[0],
            np.reshape(row[1 + outputs :], (outputs, len(groups))),
            np.array(row[1:][:outputs]),
        )
        for row in rows
    ]


if __name__ == "__main__":
    with FILE.open("w", newline="", encoding="utf-8") as file:
        for row in (row for name in PROBLEMS for row in solve(name)):
            csv.writer(file).writerow([f"{v:.12g}" if isinstance(v, float) else v for v in row])
