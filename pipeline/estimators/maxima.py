"""Where a search of λ begins: the smallest λ at which no penalized variable is kept.

`pipeline.estimators.walk` has the formula. A λ above it leaves no penalized variable in a network
whose later layers are those of the networks here.
"""

from __future__ import annotations

from pipeline.estimators.estimators import SparseMLPClassifier, SparseMLPRegressor
from pipeline.estimators.walk import Member, Walk, vanishing_lambda
from pipeline.networks import shares

OF_LAMBDA = {"lambda_l1": "l1", "lambda_group": "group_lasso"}
"""Key of a study → the penalty that it is the whole λ of."""


def largest_lambdas(
    X, y, *, task: str, validation_data, seeds: int = 3, epochs: int = 60, **network
) -> dict[str, float]:
    """`lambda_l1` and `lambda_group` → λ_max, the largest over the seeds' networks.

    X (n, p) standardized, y (n,) classes or standardized quantities, validation_data (X, y);
    epochs of the dense start; network: other parameters of the estimators. Raises InputError where
    the loss depends on no penalized column.
    """
    kind = SparseMLPRegressor if task == "regression" else SparseMLPClassifier
    estimator = kind(penalty="group_lasso", epochs=epochs, **network)
    fit_data = estimator._checked_data(X, y, None, validation_data)
    members = [Member(seed) for seed in range(seeds)]
    walk = Walk(estimator, fit_data, members, shares("group_lasso", 1.0), epochs_per_lambda=1)
    walk.start_dense()
    gradients = walk.empty_gradients()
    return {
        key: max(vanishing_lambda(g, fit_data.groups, shares(penalty, 1.0)) for g in gradients)
        for key, penalty in OF_LAMBDA.items()
    }
