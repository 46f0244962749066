"""A small problem whose answer is known: of 6 columns in 5 variables, `pair` and `first` matter."""

import numpy as np

from pipeline.genetics.relationship import encoding_factor
from pipeline.networks.network import Architecture
from pipeline.networks.types import NetworkSpec, Schedule, TrainingData
from pipeline.training.training import train_population

ROWS = (240, 120, 60)
GROUP_INDEX = np.array([0, 1, 1, 2, 3, 4])
"""first, pair, pair, and three variables that do not matter."""
VARIANTS = 500


def small(task="binary", genetic_dimensions=0, rows=ROWS, row_weights=None, penalty_factor=None):
    """TrainingData, the same people each time."""
    rng = np.random.default_rng(11)
    people = sum(rows)
    columns = rng.normal(size=(people, 6)).astype(np.float32)
    signal = 1.5 * columns[:, 0] - columns[:, 1] + columns[:, 2] * np.tanh(columns[:, 2])
    noisy = signal + rng.logistic(size=people)
    target = {
        "binary": (noisy > 0.5).astype(int),
        "multiclass": np.digitize(noisy, (-0.5, 1.5)),
        "regression": noisy / noisy.std(),
    }[task]
    relationship = None
    if genetic_dimensions:
        genotypes = rng.normal(size=(people, VARIANTS)) / np.sqrt(VARIANTS)
        relationship = (genotypes @ genotypes.T).astype(np.float32)
    return TrainingData(
        columns=columns,
        target=target,
        task=task,
        rows=rows,
        group_index=np.concatenate([GROUP_INDEX, 5 + np.arange(genetic_dimensions)]),
        penalty_factor=penalty_factor,
        row_weights=row_weights,
        relationship=relationship,
        relationship_factor=None
        if relationship is None
        else encoding_factor(relationship, rows[0]),
        rank=min(rows[0], VARIANTS),
    )


def architecture(data, sizes=(8,), activation="tanh", dropout=0.0):
    columns = data.columns.shape[1]
    outputs = len(np.unique(data.target)) if data.task == "multiclass" else 1
    dimensions = len(data.group_index) - columns
    return Architecture(columns, dimensions, sizes, outputs, activation, dropout)


def train(data, specs, shape=None, **schedule):
    """Networks of one population; 20 epochs of batches of 64 unless told otherwise."""
    given = {"epochs": 20, "batch_size": 64} | schedule
    if data.task == "regression":
        given.setdefault("objective", "mean_squared_error")
    return train_population(data, shape or architecture(data), specs, Schedule(**given))


def spec(seed=0, **given):
    return NetworkSpec(seed, **({"learning_rate": 1e-2} | given))
