"""What networks are trained on, as the engine's tensors.

First-layer columns stand as `pipeline.networks.FirstLayer` says.

Shapes: K networks, N people (n training rows first), h units, o outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pipeline.networks import (
    LAMBDAS,
    Architecture,
    Constants,
    FirstLayer,
    NetworkSpec,
    TrainingData,
    optimizer,
    penalties,
    resting,
    row_losses,
)
from pipeline.training.draws import genetic_draws
from pipeline.training.own_rows import Ownership

LARGEST_VALUE = 1e18
"""Of a column: Adam squares gradients, which are of the order of the column's values."""


def constants(
    data: TrainingData, architecture: Architecture, places: FirstLayer, dtype=tf.float32
) -> Constants:
    """The data's tensors, with first-layer columns in these places."""
    n, dtype = data.rows[0], tf.as_dtype(dtype)
    columns = np.zeros((len(data.target), places.count - places.genetic), dtype.as_numpy_dtype)
    columns[:, places.columns], columns[:, places.bias] = data.columns, 1.0
    if data.task == "multiclass":
        target = np.eye(architecture.outputs)[data.target.astype(int)].T
    else:
        target = np.asarray(data.target, float)[None, :]
    row_weights = np.ones(n) if data.row_weights is None else np.asarray(data.row_weights, float)
    factor = np.ones(len(data.group_index)) if data.penalty_factor is None else data.penalty_factor
    # The bias is one variable more, the spare columns are another, and neither has a penalty.
    variables = data.group_index.max(initial=-1) + 1
    index = places.spread(data.group_index, variables, variables + 1)
    factor = places.spread(np.asarray(factor, float), 0.0, 0.0)
    relationship = np.zeros((0, 0)) if data.relationship is None else data.relationship[:, :n]
    return Constants(
        tf.constant(columns),
        tf.constant(target, dtype),
        tf.constant(row_weights / row_weights.mean(), dtype),
        tf.constant(relationship, dtype),
        tf.constant(float(data.rank), dtype),
        penalties.groups(index, factor, dtype),
    )


def unusable(columns: np.ndarray) -> str | None:
    """Why no network can be trained on these columns, or None."""
    largest = np.abs(columns).max(axis=0, initial=0.0)
    beyond = np.flatnonzero(~(largest <= LARGEST_VALUE))  # nan too
    if not len(beyond):
        return None
    return (
        f"diverged: values must be at most {LARGEST_VALUE:g} for their squares to be float32 "
        f"numbers, but column {beyond[0]} of the inputs has {largest[beyond[0]]:g}; standardize it"
    )


def losses_of_predicting_zero(
    constants: Constants, task: str, specs: Sequence[NetworkSpec], own: Ownership | None = None
) -> np.ndarray:
    """(K,) mean training loss of predictions that are all 0; 1 where that fits every row."""
    target = constants.of_training_rows().target
    losses = row_losses(tf.zeros_like(target)[None], target, task)[0]
    if own is None:
        return np.full(len(specs), float(tf.reduce_mean(losses * constants.row_weights)) or 1.0)
    each = []
    for fitted in (own.fitted(spec.resample) for spec in specs):
        center, unit = fitted.target
        own_target = (target.numpy()[0] - center) / unit
        own_losses = 0.5 * np.square(own_target) if task == "regression" else losses.numpy()
        each.append(float(fitted.share @ own_losses[fitted.rows]) or 1.0)
    return np.array(each)


def hyperparameters(specs: Sequence[NetworkSpec]) -> optimizer.Hyperparameters:
    """Each (K,), one spec a network."""

    def values(name: str) -> tf.Tensor:
        return tf.constant([getattr(spec, name) for spec in specs], tf.float32)

    return optimizer.Hyperparameters(
        penalties.Lambdas(*map(values, LAMBDAS)),
        values("learning_rate"),
        values("weight_decay"),
        values("genetic_learning_rate"),
        values("genetic_weight_decay"),
    )


def uses(specs: Sequence[NetworkSpec]) -> penalties.Uses:
    """Which λs any of these networks has; not a number is one too."""
    return penalties.Uses(*(any(getattr(spec, name) != 0.0 for spec in specs) for name in LAMBDAS))


def initial_encodings(
    data: TrainingData,
    architecture: Architecture,
    specs: Sequence[NetworkSpec],
    own: Ownership | None = None,
) -> tf.Tensor:
    """E₀ = F·z, (N, K, d), with F the relationship_factor and z standard normal: V₀ is normal with
    variance 1/variants. Of networks with a resample F is that of their own people."""
    d = architecture.genetic_dimensions
    if not d:
        return tf.zeros([0, len(specs), 0])
    if own is not None:
        return tf.constant(np.stack([initial_encoding(data, s, d, own) for s in specs], axis=1))
    # Once for each seed, and a panel of columns at a time: a wider product may round otherwise, and
    # a network's numbers would depend on how many stand beside it.
    seeds = sorted({spec.seed for spec in specs})
    n, panel = data.rows[0], resting.PAIRS_AT_ONCE
    draws = np.concatenate([genetic_draws(seed, n, d) for seed in seeds], axis=1)
    draws = np.pad(draws, [(0, 0), (0, -draws.shape[1] % panel)])
    factor = tf.constant(data.relationship_factor)
    panels = [
        tf.matmul(factor, draws[:, start : start + panel]).numpy()
        for start in range(0, draws.shape[1], panel)
    ]
    encodings = np.concatenate(panels, axis=1)[:, : len(seeds) * d]
    of_seed = encodings.reshape(-1, len(seeds), d)
    return tf.constant(of_seed[:, [seeds.index(spec.seed) for spec in specs]])


def initial_encoding(
    data: TrainingData, spec: NetworkSpec, dimensions: int, own: Ownership
) -> np.ndarray:
    """E₀ (N, d) float32 of one network of a population with resamples."""
    if spec.resample is None:
        assert data.relationship_factor is not None
        return data.relationship_factor @ genetic_draws(spec.seed, data.rows[0], dimensions)
    people = len(own.fitted(spec.resample).rows)
    drawn = genetic_draws(spec.seed, people, dimensions)
    return own.initial_encodings(spec.seed, spec.resample, drawn)
