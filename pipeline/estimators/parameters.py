"""What an estimator's parameters must be, checked when fit is called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from pipeline.errors import InputError
from pipeline.metrics import OF_TASK
from pipeline.networks import LAMBDAS, REGULARIZERS
from pipeline.serving import ACTIVATIONS


class Law(NamedTuple):
    """A number's kind, whether None is allowed, and what must hold of it, in words and in code."""

    kind: type
    optional: bool
    words: str
    holds: Callable[[Any], bool]


def _at_least(low: float, kind: type = Real, optional: bool = False) -> Law:
    what = "a whole number" if kind is Integral else "a number"
    return Law(kind, optional, f"{what} of at least {low}", lambda x: low <= x < np.inf)


LAWS = {
    **dict.fromkeys(LAMBDAS, _at_least(0)),
    "weight_decay": _at_least(0),
    "dropout": Law(Real, False, "at least 0 and below 1", lambda x: 0 <= x < 1),
    "epochs": _at_least(1, Integral),
    "batch_size": _at_least(1, Integral, optional=True),
    "learning_rate": Law(Real, False, "a number above 0", lambda x: 0 < x < np.inf),
    "final_learning_rate": Law(Real, False, "at least 0 and at most 1", lambda x: 0 <= x <= 1),
    "validation_fraction": Law(Real, True, "above 0 and below 1", lambda x: 0 < x < 1),
    "patience": _at_least(1, Integral, optional=True),
    "tol": Law(Real, True, "a number above 0", lambda x: 0 < x < np.inf),
    "finish_steps": _at_least(1, Integral),
    "n_seeds": _at_least(1, Integral),
    "batch_seed": _at_least(0, Integral),
}


def check_number(name: str, value: object) -> None:
    """Raise InputError unless the number is what LAWS says."""
    law = LAWS[name]
    if value is None and law.optional:
        return
    right_kind = isinstance(value, law.kind) and not isinstance(value, bool | np.bool_)
    if not (right_kind and law.holds(value)):
        none = ", or None" if law.optional else ""
        raise InputError(f"{name} must be {law.words}{none}, but got {value!r}")


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise InputError unless the value is one of the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}, but got {value!r}")


def check_parameters(estimator: Any) -> None:
    """Raise InputError at the first parameter that is not what it must be."""
    for name in LAWS:
        check_number(name, getattr(estimator, name))
    check_choice("penalty", estimator.penalty, REGULARIZERS)
    check_choice("activation", estimator.activation, ACTIVATIONS)
    hidden_sizes(estimator.hidden_layer_sizes)
    if isinstance(estimator.random_state, Integral) and estimator.random_state < 0:
        raise InputError(f"random_state must be at least 0, but got {estimator.random_state}")


def hidden_sizes(sizes: Any) -> tuple[int, ...]:
    """hidden_layer_sizes as a tuple; a single number is one hidden layer."""
    each = (sizes,) if isinstance(sizes, Integral) else sizes
    whole = isinstance(each, Iterable) and not isinstance(each, str)
    if not (whole and all(isinstance(size, Integral) and int(size) > 0 for size in each)):
        raise InputError(
            "hidden_layer_sizes holds the units of each hidden layer, 1 or more, as in (50,), "
            f"or () for none, but got {sizes!r}"
        )
    return tuple(int(size) for size in each)


def network_seeds(random_state: object, networks: int) -> list[int]:
    """r, r + 1, … from an integer r, or from one drawn by a RandomState (None: numpy's own)."""
    first = random_state
    if not isinstance(first, Integral):
        first = check_random_state(random_state).randint(2**31 - 1)
    return [int(first) + i for i in range(networks)]


def metric_of(metric: str | None, task: str) -> str:
    """The metric that decides the best epoch."""
    if metric is None:
        return "mean_squared_error" if task == "regression" else "log_loss"
    if metric not in OF_TASK[task]:
        raise InputError(
            f"validation_metric of a {task} target is one of {', '.join(OF_TASK[task])}, but got "
            f"{metric!r}"
        )
    return metric


SHARED_DOCUMENTATION = """
    Parameters
    ----------
    penalty : {"none", "l1", "l2", "elastic_net", "group_lasso", "sparse_group_lasso"}
        Which of the three terms on the first layer count: none; λ1; λ2; λ1 and λ2; λg; λ1 and λg.
    lambda_l1, lambda_l2, lambda_group : float
        λ1, λ2 and λg of the module's formula. Those that `penalty` does not use are taken as 0.
    groups : None, labels, mapping, callable or fitted transformer
        Which columns make one variable: None, each its own; a label for each column; a mapping
        variable → columns; a function column name → variable; or the fitted OneHotEncoder,
        ColumnTransformer or Pipeline that made X, whose columns of one source feature make one
        variable (it stays fitted when the estimator is cloned).
    unpenalized : None or sequence
        Columns or variables that no λ touches.
    hidden_layer_sizes : tuple of int
        Units of each hidden layer; () is penalized logistic, softmax or linear regression.
    activation : {"relu", "tanh", "gelu"}
    dropout : float
        Share of every hidden layer's units set to 0 while training.
    epochs : int
        Passes over the rows, at most.
    batch_size : int or None
        Rows of a step; None takes all, and then a row of weight 2 equals the row given twice.
    learning_rate, final_learning_rate : float
        Of Adam, at the first step, and the share of it left at the last, falling linearly.
    weight_decay : float
        Of the weights of the later layers.
    validation_fraction : None or float
        Share of the rows held out to choose the best epoch, stratified by class.
    validation_metric : None or str
        What is best: log_loss (auroc, accuracy, average_precision, balanced_accuracy where the task
        has them) or mean_squared_error (mean_absolute_error, r2). None is the first.
    patience : None or int
        Epochs without a better validation score after which a network stops; None, never.
    tol : None or float
        Without validation rows the last state is finished on all rows at once until kkt_residual
        is at most this (a hundredth of it without hidden layers), or for `finish_steps` steps. None
        leaves the state as it is.
    finish_steps : int
    random_state : int, RandomState or None
        An integer r gives the networks the seeds r, r + 1, …; a seed decides the initial weights
        alone.
    n_seeds : int
        Networks, alike but for their seeds. They train together, and their mean predicts.
    batch_seed : int
        Decides the rows held out, the order of the rows in every epoch, and dropout.
    resamples : None, int, mapping, splitter or array
        Train every seed on each of R resamples of the rows, all networks together: an even number
        of subsamples in complementary pairs, a mapping of kind (subsample, bootstrap, folds),
        fraction, count, folds, repeats and seed, a splitter of scikit-learn (its training rows), or
        how often each row is drawn, (R, rows). A network is that of the drawn rows alone, its last
        state; those not drawn have no say. X is taken as it is, whatever is drawn.

    Attributes
    ----------
    first_layer_ : (columns, units), or (networks, columns, units) where there are several
        Weights of the first layer, biases left out; nan for a network that diverged.
    variables_ : (g,) names of the variables, or positions where X has no names.
    zeroed_ : variables that are exactly 0.0 in every network, so that no prediction uses them.
    selection_probability_ : (g,) share of the networks that keep each variable.
    kkt_residual_ : float
        max_g R_g/scale_g of the weights kept, the largest of the networks, where
        R_g = ‖W_g − prox_t(W_g − t·∇_g)‖/t and scale_g is what the penalty weighs on the variable,
        f·(λ1 + λg)·√(|g|·h), or the largest gradient at zero weights where that is less or no
        penalty makes zeros. 0 is a stationary point. Where ReLU units bend at data points, ∇ is a
        generalized gradient.
    kkt_residual_absolute_ : float
        max_g R_g, in the unit of the gradient.
    history_ : dict, or a list of them where there are several networks
        train_loss, validation_score and kept (the number of variables) after each epoch, the
        full-batch finish not yet done.
    networks_ : list of FittedNetwork, each network's own results, in the order of the resamples
        and, of each, of the seeds.
    n_iter_ : epochs done, the most of any network.
    n_features_in_, feature_names_in_ : of X.
"""
"""What the estimators' docstrings share."""


def check_distinct_names(X) -> None:
    """Raise InputError if X is a table in which a column's name occurs twice."""
    columns = getattr(X, "columns", None)
    if columns is None:
        return
    names = [str(name) for name in columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"every column of X must have a name of its own, but {', '.join(twice[:10])} occurs "
            "more than once; rename or remove the others"
        )
