"""A path from dense to sparse: the score for every number of variables kept.

Networks trained without a penalty are the start. λ then rises geometrically, each λ starting from
the weights of the one before (as in LassoNet: Lemhadri, Ruan, Abraham and Tibshirani 2021), until
no penalized variable is left. The networks of all seeds are trained
together, as one population. Many small steps of λ with little training at each end at better
networks than few steps with much, and make more of them.

Where a network lost several variables at one step, the sizes that it skipped are sought between
the two λ, by halving the step.

`pipeline.estimators.walk` says what λ_max is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Integral

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import type_of_target

from pipeline.errors import InputError
from pipeline.estimators.estimators import SparseMLPClassifier, SparseMLPRegressor
from pipeline.estimators.fitting import FitData
from pipeline.estimators.walk import LambdaPath, Member, Walk
from pipeline.networks import ZEROING, shares

MOST_INFERRED_CLASSES = 20
"""As in a study's table (pipeline.data.outcome)."""

ABOVE = 1.001
"""The planned path ends at so many times λ_max, so that rounding does not decide what is zero."""


def lambda_path(
    X,
    y,
    penalty="group_lasso",
    *,
    task=None,
    l1_ratio=0.5,
    n_lambdas=100,
    lambda_ratio=1e-2,
    seeds=5,
    epochs=60,
    epochs_per_lambda=1,
    fill_up_to=20,
    sample_weight=None,
    validation_data=None,
    validation_fraction=0.2,
    validation_metric=None,
    test_data=None,
    resamples=None,
    finish_steps=20,
    **network,
) -> LambdaPath:
    """Walk from dense networks to empty ones; the best validation score at every size.

    task               binary, multiclass or regression; None: quantities where y is not whole; must
                       be said where y has more than 20 distinct whole numbers
    l1_ratio           α: λ1 = α·λ, and λ2 (elastic_net) or λg (sparse_group_lasso) = (1 − α)·λ
    n_lambdas          from lambda_ratio·λ_max to λ_max; networks that keep a variable there go on
                       by the same factor, n_lambdas more at most
    seeds              how many, 0, 1, …; or a sequence of them
    epochs             of the dense start, of which the best by validation is taken
    epochs_per_lambda  of every λ, from the weights of the λ before
    fill_up_to         sizes of at most so many variables that a network skipped are sought between
                       the two λ, by halving the step in log λ three times; 0: none
    validation_data    (X, y); else validation_fraction of the rows is held out
    test_data          (X, y), scored and used for nothing
    resamples          as in the estimators: every seed walks on each of them; then nobody is held
                       out, and each network is judged on the rows that its resample did not draw
    finish_steps       at most, on all rows at once, at the end of every λ (see tol)
    network            other parameters of the estimators: groups, unpenalized,
                       hidden_layer_sizes, activation, batch_size, learning_rate, tol, …
    """
    judged_on = validation_data, validation_fraction if resamples is None else 0.0
    seeds = checked(
        penalty, l1_ratio, n_lambdas, lambda_ratio, epochs_per_lambda, fill_up_to, judged_on, seeds
    )
    held_out = validation_fraction if validation_data is None and resamples is None else None
    kind = estimator_kind(y, task)
    estimator = kind(
        penalty=penalty,
        epochs=epochs,
        validation_fraction=held_out,
        validation_metric=validation_metric,
        resamples=resamples,
        finish_steps=finish_steps,
        **network,
    )
    fit_data = estimator._checked_data(X, y, sample_weight, validation_data, test_data, judged=True)
    members = members_of(seeds, fit_data)
    walk = Walk(estimator, fit_data, members, shares(penalty, l1_ratio), epochs_per_lambda)
    return _walked(walk, n_lambdas, lambda_ratio, fill_up_to)


def members_of(seeds: Sequence[int], fit_data: FitData) -> list[Member]:
    """Every seed on all rows, or on each resample."""
    draws = [None] if fit_data.resamples is None else range(len(fit_data.resamples))
    return [Member(seed, draw) for draw in draws for seed in seeds]


def estimator_kind(y, task: str | None):
    """Classifier or regressor."""
    return SparseMLPRegressor if _task(y, task) == "regression" else SparseMLPClassifier


def _walked(walk: Walk, n_lambdas: int, lambda_ratio: float, fill_up_to: int) -> LambdaPath:
    """From the dense start up to λ_max, on while a network keeps a variable, and back to sizes
    that were skipped."""
    walk.start_dense()
    largest = walk.lambda_max()
    growth = lambda_ratio ** (-1.0 / (n_lambdas - 1))
    for step in range(2 * n_lambdas):
        if not walk.remaining_networks:
            break
        walk.step(ABOVE * largest * growth ** (step + 1 - n_lambdas))
    if remaining := len(walk.remaining_networks):
        warnings.warn(
            f"{remaining} of {len(walk.members)} networks still keep a variable at "
            f"{walk.lambdas[-1] / largest:.3g}·λ_max, where the path stops; larger weights of the "
            "later layers make up for smaller ones of the first: set weight_decay above 0",
            ConvergenceWarning,
            stacklevel=3,
        )
    walk.fill(fill_up_to)
    return walk.result(largest)


def checked(
    penalty, l1_ratio, n_lambdas, lambda_ratio, epochs_per_lambda, fill_up_to, validation, seeds
) -> list[int]:
    """The seeds; raise InputError where a parameter of the path is not what it must be."""
    if penalty not in ZEROING:
        raise InputError(
            f"a path ends where no variable is left, which takes one of {', '.join(ZEROING)}, but "
            f"got penalty={penalty!r}"
        )
    if not 0 < l1_ratio <= 1:
        raise InputError(f"l1_ratio must be above 0 and at most 1, but got {l1_ratio!r}")
    if not 0 < lambda_ratio < 1:
        raise InputError(f"lambda_ratio must be above 0 and below 1, but got {lambda_ratio!r}")
    for name, value, low in (
        ("n_lambdas", n_lambdas, 2),
        ("epochs_per_lambda", epochs_per_lambda, 1),
        ("fill_up_to", fill_up_to, 0),
    ):
        if not isinstance(value, Integral) or value < low:
            raise InputError(f"{name} must be a whole number of at least {low}, but got {value!r}")
    if validation[0] is None and validation[1] is None:
        raise InputError(
            "a path is judged on validation rows, but got neither validation_data nor "
            "validation_fraction; give one of them"
        )
    seeds = list(range(seeds)) if isinstance(seeds, Integral) else [int(seed) for seed in seeds]
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise InputError(
            f"seeds must name one network or more, with distinct seeds of at least 0, not {seeds}"
        )
    return seeds


def _task(y, task: str | None) -> str:
    if task is None:
        if type_of_target(y).startswith("continuous"):
            return "regression"
        distinct = len(np.unique(y))
        if distinct > MOST_INFERRED_CLASSES and np.issubdtype(np.asarray(y).dtype, np.number):
            raise InputError(
                f"task must be said where y has more than {MOST_INFERRED_CLASSES} distinct whole "
                f'numbers, but got {distinct} of them; say task="regression" if they are '
                'quantities, task="multiclass" if they are classes'
            )
        return "classification"
    if task not in ("binary", "multiclass", "regression"):
        raise InputError(f"task must be binary, multiclass or regression, but got {task!r}")
    return task
