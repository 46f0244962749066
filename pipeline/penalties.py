"""The penalties on the first layer: value, proximal step and residual, for a whole population.

For one network with first-layer weights W (h units × p columns), variables g of |g| columns each:

    Ω(W) = λ1·Σ|W| + λ2·½ΣW² + λg·Σ_g √(|g|·h)·‖W_g‖_F

so `none`, `l1`, `l2`, `elastic_net`, `group_lasso` and `sparse_group_lasso` are settings of
(λ1, λ2, λg), and one population can mix them. Sources: Tibshirani 1996 (l1), Zou and Hastie 2005
(elastic net; their λ2 has no ½), Yuan and Lin 2006 (group lasso and its √|g|), Simon et al. 2013
(sparse group lasso), Scardapane et al. 2017 (groups of a network's first-layer weights).

Shapes: K networks, h units, p columns, g variables. Weights are (K, h, p).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

REGULARIZERS = {
    "none": (),
    "l1": ("lambda_l1",),
    "l2": ("lambda_l2",),
    "elastic_net": ("lambda_l1", "lambda_l2"),
    "group_lasso": ("lambda_group",),
    "sparse_group_lasso": ("lambda_l1", "lambda_group"),
}
"""Regularizer → the lambdas it uses; the others are exactly 0."""


class Groups(NamedTuple):
    """Which columns make one variable.

    members  (p, g), 1 where the column belongs to the variable, else 0
    factor   (p,) multiplies every λ on that column; 0 leaves the column unpenalised
    """

    members: tf.Tensor
    factor: tf.Tensor


class Lambdas(NamedTuple):
    """λ1, λ2 and λg of every network, each (K,)."""

    l1: tf.Tensor
    l2: tf.Tensor
    group: tf.Tensor


def groups(group_index: np.ndarray, factor: np.ndarray | None = None, dtype=tf.float32) -> Groups:
    """Groups from the variable number (p,) of each column; factor defaults to 1 everywhere.

    Raises ValueError where the columns of one variable have different factors: the group norm
    of such a variable has no single weight.
    """
    group_index = np.asarray(group_index)
    factor = np.ones(len(group_index)) if factor is None else np.asarray(factor, float)
    for variable in np.unique(group_index):
        if np.ptp(factor[group_index == variable]) > 0:
            raise ValueError(
                "the columns of one variable must share one penalty factor, but variable "
                f"{variable} has {sorted(set(factor[group_index == variable]))}; give them one"
            )
    members = np.eye(int(group_index.max()) + 1)[group_index]
    return Groups(tf.constant(members, dtype), tf.constant(factor, dtype))


def _over_variables(per_column: tf.Tensor, groups: Groups) -> tf.Tensor:
    """(K, p) → (K, p): each column's sum over the columns of its variable."""
    return tf.matmul(tf.matmul(per_column, groups.members), groups.members, transpose_b=True)


def variable_sizes(groups: Groups) -> tf.Tensor:
    """(p,): |g|, the number of columns of the variable that each column belongs to."""
    return tf.linalg.matvec(groups.members, tf.reduce_sum(groups.members, axis=0))


def variable_mean_square(weights: tf.Tensor, groups: Groups) -> tf.Tensor:
    """(K, p): the mean square over all h·|g| weights of each column's variable."""
    units = tf.cast(tf.shape(weights)[1], weights.dtype)
    sums = _over_variables(tf.reduce_sum(tf.square(weights), axis=1), groups)
    return sums / (units * variable_sizes(groups))


def value(weights: tf.Tensor, lambdas: Lambdas, groups: Groups) -> tf.Tensor:
    """(K,): Ω(W) of every network, as the module's formula says."""
    units = tf.cast(tf.shape(weights)[1], weights.dtype)
    squares = tf.reduce_sum(tf.square(weights), axis=1)
    absolute = tf.reduce_sum(tf.abs(weights), axis=1)
    factor_of_variable = tf.reduce_max(groups.members * groups.factor[:, None], axis=0)
    norms = tf.sqrt(tf.matmul(squares, groups.members))
    roots = tf.sqrt(tf.reduce_sum(groups.members, axis=0) * units) * factor_of_variable
    return (
        lambdas.l1 * tf.linalg.matvec(absolute, groups.factor)
        + lambdas.l2 * 0.5 * tf.linalg.matvec(squares, groups.factor)
        + lambdas.group * tf.linalg.matvec(norms, roots)
    )


def proximal_step(
    weights: tf.Tensor, step: tf.Tensor, lambdas: Lambdas, groups: Groups
) -> tf.Tensor:
    """argmin_U ½‖U − W‖² + t·Ω(U), (K, h, p), with t > 0 (K, p) equal within each variable.

    Exact, in this order: soft-threshold by t·λ1, shrink each variable's norm by
    t·λg·√(|g|·h), divide by 1 + t·λ2. A variable whose norm is within the threshold becomes
    exactly 0.0; one that is already zero stays zero (no 0/0).
    """
    scaled = step * groups.factor
    # Where no network of the population has a λ, its passes over all weights are left out.
    soft = _where_any(lambdas.l1, lambda: _soft_threshold(weights, scaled, lambdas.l1), weights)
    shrink = _where_any(
        lambdas.group, lambda: _kept_share(soft, scaled, lambdas.group, groups), tf.ones_like(step)
    )
    return soft * (shrink / (1.0 + scaled * lambdas.l2[:, None]))[:, None, :]


def _where_any(lam: tf.Tensor, then: Callable[[], tf.Tensor], otherwise: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_any(lam > 0.0), then, lambda: otherwise)


def _soft_threshold(weights: tf.Tensor, scaled: tf.Tensor, l1: tf.Tensor) -> tf.Tensor:
    threshold = (scaled * l1[:, None])[:, None, :]
    return weights - tf.clip_by_value(weights, -threshold, threshold)


def _kept_share(
    weights: tf.Tensor, scaled: tf.Tensor, group: tf.Tensor, groups: Groups
) -> tf.Tensor:
    """(K, p): what the group lasso leaves of each column's weights, max(0, 1 − radius/norm)."""
    units = tf.cast(tf.shape(weights)[1], weights.dtype)
    norms = tf.sqrt(_over_variables(tf.reduce_sum(tf.square(weights), axis=1), groups))
    radius = scaled * group[:, None] * tf.sqrt(variable_sizes(groups) * units)
    # A zero norm gives a share of 1, of weights that are all 0.
    return tf.nn.relu(1.0 - tf.math.divide_no_nan(radius, norms))


def residual(
    weights: tf.Tensor, gradient: tf.Tensor, step: float, lambdas: Lambdas, groups: Groups
) -> tf.Tensor:
    """(K,): max_g ‖W_g − prox_t(W_g − t·∇_g)‖_F / t, the fixed-point residual of the first layer.

    gradient is that of the smooth part of the full training objective, (K, h, p). 0 exactly where
    W is a stationary point of loss + Ω; it grows as t falls (Beck 2017, First-Order Methods in
    Optimization, Theorem 10.9), towards the distance of 0 from the subdifferential.
    """
    steps = tf.fill(tf.stack([tf.shape(weights)[0], tf.shape(weights)[2]]), step)
    steps = tf.cast(steps, weights.dtype)
    moved = proximal_step(weights - steps[:, None, :] * gradient, steps, lambdas, groups)
    squares = tf.reduce_sum(tf.square((weights - moved) / steps[:, None, :]), axis=1)
    return tf.reduce_max(tf.sqrt(tf.matmul(squares, groups.members)), axis=1)
