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

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.networks.first_layer import LANES

MOST_MEMBERS = 512
"""Columns up to which sums over variables are one matrix product, which beats three passes."""


class Groups(NamedTuple):
    """Which columns make one variable.

    index   (p,) the variable of each column, 0 … g − 1
    count   g
    size    (p,) |g|, the number of columns of the variable that each column belongs to
    factor  (p,) multiplies every λ on that column; 0 leaves the column unpenalized
    member  (p, p) 1 where two columns are of one variable; (0, 0) where p > MOST_MEMBERS
    """

    index: tf.Tensor
    count: tf.Tensor
    size: tf.Tensor
    factor: tf.Tensor
    member: tf.Tensor

    def cast(self, dtype: tf.DType) -> Groups:
        real = {name: tf.cast(getattr(self, name), dtype) for name in ("size", "factor", "member")}
        return self._replace(**real)


class Lambdas(NamedTuple):
    """λ1, λ2 and λg of every network, each (K,)."""

    l1: tf.Tensor
    l2: tf.Tensor
    group: tf.Tensor


class Strengths(NamedTuple):
    """What a network's penalty is on each column, each (K, p): with the column's factor f,

    l1 = f·λ1, l2 = f·λ2, group = f·λg·√(|g|·h)
    """

    l1: tf.Tensor
    l2: tf.Tensor
    group: tf.Tensor


class Uses(NamedTuple):
    """Which λs are above 0 in any network of a population: the passes of the others are left out,
    which changes no number."""

    l1: bool
    l2: bool
    group: bool


EVERY = Uses(True, True, True)


def groups(group_index: np.ndarray, factor: np.ndarray | None = None, dtype=tf.float32) -> Groups:
    """Groups from the variable number (p,) of each column; factor defaults to 1 everywhere.

    Raises ValueError where the columns of one variable have different factors: the group norm
    of such a variable has no single weight.
    """
    group_index = np.asarray(group_index)
    factor = np.ones(len(group_index)) if factor is None else np.asarray(factor, float)
    factor_of_variable = np.zeros(group_index.max(initial=-1) + 1)
    factor_of_variable[group_index] = factor
    differing = group_index[factor != factor_of_variable[group_index]]
    if len(differing):
        variable = differing.min()
        raise ValueError(
            "the columns of one variable must share one penalty factor, but variable "
            f"{variable} has {sorted(set(factor[group_index == variable]))}; give them one"
        )
    sizes = np.bincount(group_index)
    members = group_index if len(group_index) <= MOST_MEMBERS else group_index[:0]
    return Groups(
        tf.constant(group_index, tf.int32),
        tf.constant(len(sizes)),
        tf.constant(sizes[group_index], dtype),
        tf.constant(factor, dtype),
        tf.constant(members[:, None] == members, dtype),
    )


def _over_units(per_weight: tf.Tensor) -> tf.Tensor:
    """(K, h, p) → (K, p): sums over the units, in their order for every network.

    reduce_sum adds LANES columns at once, and those that straddle two networks in another order.
    """
    if (per_weight.shape[2] or 1) % LANES == 0:
        return tf.reduce_sum(per_weight, axis=1)
    networks, units, columns = tf.unstack(tf.shape(per_weight))
    network_of_row = tf.repeat(tf.range(networks), units)
    rows = tf.reshape(per_weight, [networks * units, columns])
    return tf.math.unsorted_segment_sum(rows, network_of_row, networks)


def _of_variables(per_column: tf.Tensor, groups: Groups) -> tf.Tensor:
    """(K, p) → (g, K): sums over the columns of each variable, in the order of the columns."""
    return tf.math.unsorted_segment_sum(tf.transpose(per_column), groups.index, groups.count)


def _over_variables(per_column: tf.Tensor, groups: Groups) -> tf.Tensor:
    """(K, p) → (K, p): each column's sum over the columns of its variable."""
    if groups.member.shape[0]:
        return tf.matmul(per_column, groups.member)
    return tf.transpose(tf.gather(_of_variables(per_column, groups), groups.index))


def variable_mean_square(weights: tf.Tensor, groups: Groups) -> tf.Tensor:
    """(K, p): the mean square over all h·|g| weights of each column's variable."""
    units = tf.cast(tf.shape(weights)[1], weights.dtype)
    sums = _over_variables(_over_units(tf.square(weights)), groups)
    return sums / (units * groups.size)


def value(weights: tf.Tensor, lambdas: Lambdas, groups: Groups) -> tf.Tensor:
    """(K,): Ω(W) of every network, as the module's formula says."""
    units = tf.cast(tf.shape(weights)[1], weights.dtype)
    squares = _over_units(tf.square(weights))
    absolute = _over_units(tf.abs(weights))
    # A norm shared out over the |g| columns of its variable.
    norms = tf.sqrt(_over_variables(squares, groups)) / groups.size
    roots = tf.sqrt(groups.size * units) * groups.factor
    return (
        lambdas.l1 * tf.linalg.matvec(absolute, groups.factor)
        + lambdas.l2 * 0.5 * tf.linalg.matvec(squares, groups.factor)
        + lambdas.group * tf.linalg.matvec(norms, roots)
    )


def strengths(lambdas: Lambdas, groups: Groups, units: tf.Tensor) -> Strengths:
    """Of every network and column; units is h."""
    roots = groups.factor * tf.sqrt(groups.size * tf.cast(units, groups.size.dtype))
    return Strengths(
        lambdas.l1[:, None] * groups.factor,
        lambdas.l2[:, None] * groups.factor,
        lambdas.group[:, None] * roots,
    )


def proximal_step(
    weights: tf.Tensor, step: tf.Tensor, lambdas: Lambdas, groups: Groups
) -> tf.Tensor:
    """argmin_U ½‖U − W‖² + t·Ω(U), (K, h, p), with t > 0 (K, p) equal within each variable.

    Exact, in this order: soft-threshold by t·λ1, shrink each variable's norm by
    t·λg·√(|g|·h), divide by 1 + t·λ2. A variable whose norm is within the threshold becomes
    exactly 0.0; one that is already zero stays zero (no 0/0).
    """
    return shrunk(weights, step, strengths(lambdas, groups, tf.shape(weights)[1]), groups)


def shrunk(
    weights: tf.Tensor,
    step: tf.Tensor,
    column_strengths: Strengths,
    groups: Groups,
    uses: Uses = EVERY,
) -> tf.Tensor:
    """`proximal_step` with strengths computed beforehand: they are the same in every step."""
    if uses.l1:
        threshold = (step * column_strengths.l1)[:, None, :]
        weights = weights - tf.clip_by_value(weights, -threshold, threshold)
    share = tf.ones_like(step)
    if uses.group:
        norms = tf.sqrt(_over_variables(_over_units(tf.square(weights)), groups))
        # A zero norm gives a share of 1, of weights that are all 0.
        share = tf.nn.relu(1.0 - tf.math.divide_no_nan(step * column_strengths.group, norms))
    if uses.l2:
        # Never 1/x, of which TensorFlow makes an approximation that is not 1 at x = 1.
        share = tf.math.divide_no_nan(share, 1.0 + step * column_strengths.l2)
    return weights * share[:, None, :]


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
    squares = _over_units(tf.square((weights - moved) / steps[:, None, :]))
    return tf.reduce_max(tf.sqrt(_of_variables(squares, groups)), axis=0)
