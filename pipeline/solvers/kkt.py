"""How close a network's first layer is to optimal, in float64 over all training rows at once.

kkt_residual = max_g ‖W_g − prox_t(W_g − t·∇_g)‖/t with t = RESIDUAL_STEP and ∇ the gradient of the
mean loss (`certifier`). Where units are ReLU, the loss has no gradient at points where one of them
bends, and minima sit at such points: there ∇ may be any element of the generalized gradient, and
the smallest residual found among them counts (`kinks.kkt_residual` says which, and how).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import tensorflow as tf

from pipeline.networks import (
    Architecture,
    Constants,
    Weights,
    optimizer,
    penalties,
    spare_networks,
    tensor_specs,
)
from pipeline.solvers import kinks
from pipeline.solvers.fista import RESIDUAL_STEP, Given, full_gradient

AT_ONCE = 3
"""Networks whose certificates are computed together."""


@lru_cache(maxsize=64)
def certifier(
    architecture: Architecture, task: str, slots: int, columns: int
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The compiled certificate by the gradient, of K slots and so many columns of the data's
    tensor: f(weights, encodings, constants, hyperparameters) → its residual and the objective of
    every network, each (K,) float64.

    objective = mean over rows of loss + Ω(first layer) + ½·weight_decay·‖other weights‖² (biases
    are not decayed), with the encoder as it is; residual = max_g ‖W_g − prox_t(W_g − t·∇_g)‖/t
    of the first layer, with ∇ the gradient of that mean loss over all training rows, in which
    relu′(0) = 0. No unit is dropped.

    constants are the float64 ones of the training rows; encodings (K, d, n) or (K, 0, 0).
    """
    architecture = replace(architecture, dropout=0.0)

    def certify(
        weights: Weights, encodings, constants: Constants, hyper: optimizer.Hyperparameters
    ):
        weights, encodings, hyper = tf.nest.map_structure(
            lambda x: tf.cast(x, tf.float64), (weights, encodings, hyper)
        )
        gradient, loss = full_gradient(
            weights, encodings, constants, architecture, task, measured=True
        )
        residual = penalties.residual(
            weights.first, gradient, RESIDUAL_STEP, hyper.lambdas, constants.groups
        )
        decay = tf.zeros_like(loss)
        for layer in weights.later:
            decay += 0.5 * tf.reduce_sum(tf.square(layer.weights), axis=[1, 2])
        penalty = penalties.value(weights.first, hyper.lambdas, constants.groups)
        return residual, loss + penalty + hyper.weight_decay * decay

    specs = tensor_specs(architecture, slots, columns, tf.float64)
    weights = Weights(specs["state"].first, specs["layers"])
    signature = [weights, *(specs[name] for name in ("encodings", "constants", "hyper"))]
    return tf.function(certify, input_signature=signature).get_concrete_function()


def by_gradient(weights: Weights, networks: int, given: Given) -> tuple[np.ndarray, np.ndarray]:
    """certifier's residual and objective of the first `networks` of K, each (networks,).

    Always AT_ONCE networks and the spare ones at a time: products in float64 round by their shapes.
    """
    train, slots = given.exact.of_training_rows(), AT_ONCE + spare_networks(given.architecture)
    certify = certifier(given.architecture, given.task, slots, int(train.columns.shape[1]))
    residual, objective = np.zeros(networks), np.zeros(networks)
    for start in range(0, networks, AT_ONCE):
        own = np.arange(start, min(start + AT_ONCE, networks))
        filled = np.append(own, np.repeat(own[-1], slots - len(own)))
        some, encodings, hyper = tf.nest.map_structure(
            lambda x, filled=filled: tf.gather(x, filled),
            (weights, given.encodings, given.hyperparameters),
        )
        found = certify(some, encodings, train, hyper)
        residual[own], objective[own] = (x.numpy()[: len(own)] for x in found)
    return residual, objective


def problems(weights: Weights, given: Given) -> Callable[[int], kinks.Problem]:
    """f(k) → network k of a population as `pipeline.solvers.kinks` sees it."""
    train = tf.nest.map_structure(np.asarray, given.exact.of_training_rows())
    own, later, lambdas = tf.nest.map_structure(
        lambda x: np.asarray(x, np.float64),
        (given.encodings, weights.later, given.hyperparameters.lambdas),
    )

    def problem(k: int) -> kinks.Problem:
        columns = train.columns if not own[k].size else np.hstack([train.columns, own[k].T])
        return kinks.Problem(
            columns=columns,
            lengths=np.sqrt(np.square(columns).sum(axis=1)),
            target=train.target,
            share=train.row_weights / len(train.row_weights),
            task=given.task,
            later=tuple((layer.weights[k], layer.bias[k]) for layer in later),
            lambdas=tuple(float(each[k]) for each in lambdas),
            group=train.groups.index,
            size=train.groups.size,
            factor=train.groups.factor,
        )

    return problem


def certified(
    weights: Weights, networks: int, given: Given, enough: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """kkt_residual and objective of the first `networks` of K, each (networks,).

    Where the gradient's residual is at most `enough`, that is the number, and no kink is looked at.
    """
    residual, objective = by_gradient(weights, networks, given)
    if given.bends:
        problem = problems(weights, given)
        for k in np.flatnonzero(residual > (enough or 0.0)):
            first = np.asarray(weights.first[k], np.float64)
            now = kinks.kkt_residual(first, RESIDUAL_STEP, problem(k))
            residual[k] = min(residual[k], now)
    return residual, objective
