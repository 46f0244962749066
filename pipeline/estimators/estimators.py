"""Sparse networks as scikit-learn estimators, on the same engine as the studies.

For one network with W the (columns × units) weights of its first layer, h units, groups g =
variables of |g| columns, and weights w_i of the n rows, what is minimized is

    Σ_i w_i·loss_i / Σ_i w_i + λ1·Σ|W| + λ2·½ΣW² + λg·Σ_g √(|g|·h)·‖W_g‖_F + ½·weight_decay·‖V‖²

with V the weights of all later layers; biases are neither penalized nor decayed. loss is the
cross-entropy in nats, or *half* the squared error. It is a mean: λ does not change its meaning with
n (scikit-learn's C is 1/(n·λ)). √(|g|·h) is Yuan and Lin's (2006) group size, so that λg = 0.01
weighs equally on one column and on a category of ten.

A λ compares weights, so X should be standardized (StandardScaler), and y as well in regression:
neither is scaled inside, since then λ would no longer mean what the formula says.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from pipeline.errors import InputError
from pipeline.estimators.fitting import (
    FitData,
    Rows,
    certify_best,
    fit_data,
    fitted_network,
    train_networks,
    training_data,
)
from pipeline.estimators.groups import column_groups
from pipeline.estimators.parameters import (
    SHARED_DOCUMENTATION,
    check_distinct_names,
    check_parameters,
    hidden_sizes,
    metric_of,
    network_seeds,
)
from pipeline.estimators.resampling import resamples, times_drawn
from pipeline.networks import LAMBDAS_OF, TOLERANCE, mean_log_probabilities

_parameters = partial(dataclass, kw_only=True, eq=False, repr=False)
"""Of a class's fields makes the `__init__` that scikit-learn reads: it stores each as it is."""


@_parameters
class _SparseMLP(BaseEstimator):
    """What both estimators share: parameters, training, and the attributes of a fit."""

    penalty: str = "group_lasso"
    lambda_l1: float = 1e-3
    lambda_l2: float = 1e-3
    lambda_group: float = 1e-3
    groups: Any = None
    unpenalized: Any = None
    hidden_layer_sizes: Any = (50,)
    activation: str = "relu"
    dropout: float = 0.0
    epochs: int = 100
    batch_size: int | None = 128
    learning_rate: float = 1e-3
    final_learning_rate: float = 0.05
    weight_decay: float = 0.0
    validation_fraction: float | None = None
    validation_metric: str | None = None
    patience: int | None = None
    tol: float | None = TOLERANCE
    finish_steps: int = 2000
    random_state: Any = None
    n_seeds: int = 1
    batch_seed: int = 0
    resamples: Any = None

    def __sklearn_clone__(self):
        # A fitted transformer given as groups says what X is; a clone of it would not be fitted.
        copy = super().__sklearn_clone__()
        if isinstance(self.groups, BaseEstimator):
            copy.groups = self.groups
        return copy

    def fit(self, X, y, sample_weight=None, validation_data=None):
        """Train on X (rows, columns) and y (rows,).

        With validation_data (X, y), or validation_fraction, each network keeps the weights of its
        best epoch; without, those of the last, finished until the certificate holds.
        """
        fit_data = self._checked_data(X, y, sample_weight, validation_data)
        self._train(fit_data)
        return self

    def _checked_data(
        self, X, y, sample_weight, validation_data, test_data=None, **resampling
    ) -> FitData:
        """Check parameters and data; the rows and variables to train on."""
        check_parameters(self)
        rows, classes = self._rows(X, y, sample_weight)
        test = None if test_data is None else self._scored_rows(test_data)
        if self.resamples is not None:
            if self.validation_fraction is not None or validation_data is not None:
                raise InputError(
                    "with resamples no rows are held out besides, but got validation rows; set "
                    "validation_fraction=None and give no validation_data"
                )
            return self._fit_data(rows, None, test, self._resamples(rows, **resampling))
        rows, validation = self._split(rows, validation_data, classes)
        return self._fit_data(rows, validation, test)

    def _resamples(self, rows: Rows, *, judged: bool = False, standardize: bool = False):
        """Rows of each resample; judged: those that are not drawn choose the best epoch."""
        times = times_drawn(self.resamples, rows.columns, rows.target, self._task())
        balanced = getattr(self, "class_weight", None) == "balanced"
        return resamples(times, judged=judged, standardize=standardize, balanced=balanced)

    def _rows(self, X, y, sample_weight):
        """Rows of weight above 0, and classes_ if there are any."""
        check_distinct_names(X)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=is_regressor(self))
        row_weights = _check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        has_weight = row_weights > 0
        target, classes = self._target(y[has_weight])
        return Rows(X[has_weight], target, row_weights[has_weight]), classes

    def _split(self, rows, validation_data, classes):
        """(training rows, validation rows or None)."""
        if validation_data is not None:
            if self.validation_fraction is not None:
                raise InputError(
                    "validation rows are either given or held out, but got validation_data and "
                    f"validation_fraction={self.validation_fraction}; set one of them to None"
                )
            return rows, self._scored_rows(validation_data)
        if self.validation_fraction is None:
            return rows, None
        if classes is not None and (single := int(np.sum(np.bincount(rows.target) == 1))):
            raise InputError(
                f"every class must have at least 2 rows where validation rows are held out, but "
                f"{single} of {len(classes)} classes of y have 1; join classes, or, if y holds "
                'quantities, take SparseMLPRegressor (in lambda_path: task="regression")'
            )
        held_in, held_out = train_test_split(
            np.arange(len(rows)),
            test_size=self.validation_fraction,
            random_state=self.batch_seed,
            stratify=None if classes is None else rows.target,
        )
        return rows[np.sort(held_in)], rows[np.sort(held_out)]

    def _scored_rows(self, data) -> Rows:
        """Rows that are only predicted, from (X, y)."""
        if not isinstance(data, tuple | list) or len(data) != 2:
            raise InputError(f"validation_data is a pair (X, y), but got {type(data).__name__}")
        check_distinct_names(data[0])
        X, y = validate_data(
            self, *data, reset=False, dtype=np.float64, y_numeric=is_regressor(self)
        )
        return Rows(X, self._position(y), np.ones(len(y)))

    def _fit_data(self, rows, validation, test, resamples=None) -> FitData:
        if resamples is None or not resamples.balanced:
            rows = self._weighted(rows)
        names = getattr(self, "feature_names_in_", None)
        groups = column_groups(self.groups, rows.columns.shape[1], names, self.unpenalized)
        one_batch = self.batch_size is None or len(rows) <= self.batch_size
        one_batch = one_batch and not self.dropout
        return fit_data(
            rows,
            validation,
            self._task(),
            groups,
            one_batch=one_batch,
            test=test,
            resamples=resamples,
        )

    def _train(self, fit_data: FitData) -> None:
        from pipeline.networks import NetworkSpec

        lambdas = {name: getattr(self, name) for name in LAMBDAS_OF[self.penalty]}
        rates = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        draws = [None] if fit_data.resamples is None else range(len(fit_data.resamples))
        specs = [
            NetworkSpec(seed=seed, resample=draw, **rates, **lambdas)
            for draw in draws
            for seed in network_seeds(self.random_state, self.n_seeds)
        ]
        data, architecture = training_data(fit_data), self._architecture(fit_data)
        schedule = self._schedule(fit_data, self.epochs)
        trained = train_networks(data, architecture, specs, schedule)
        if fit_data.validation is not None:
            certify_best(data, architecture, specs, trained)
        self.networks_ = [
            fitted_network(network, spec, fit_data, self.activation)
            for network, spec in zip(trained, specs, strict=True)
        ]
        self.variables_ = fit_data.groups.names
        self._describe(certified=fit_data.validation is None)

    def _architecture(self, fit_data: FitData):
        from pipeline.networks import Architecture

        return Architecture(
            shared_columns=fit_data.train.columns.shape[1],
            genetic_dimensions=0,
            hidden_layer_sizes=hidden_sizes(self.hidden_layer_sizes),
            outputs=len(self.classes_) if fit_data.task == "multiclass" else 1,
            activation=self.activation,
            dropout=float(self.dropout),
        )

    def _schedule(self, fit_data: FitData, epochs: int):
        from pipeline.networks import Schedule

        return Schedule(
            epochs=epochs,
            batch_size=len(fit_data.train) if self.batch_size is None else self.batch_size,
            final_learning_rate=self.final_learning_rate,
            patience_epochs=epochs if self.patience is None else self.patience,
            batch_seed=self.batch_seed,
            objective=metric_of(self.validation_metric, fit_data.task),
            tolerance=self.tol if fit_data.validation is None else None,
            finish_steps=self.finish_steps,
        )

    def _describe(self, certified: bool) -> None:
        """Set the attributes of the fit; warn of networks that diverged or are not at a minimum."""
        trained = self._trained_networks()
        failed = [network for network in self.networks_ if network.failure is not None]
        if not trained:
            raise InputError(
                "training must stay finite, but every network "
                f"{failed[0].failure}; standardize X (and y in regression), or lower learning_rate"
            )
        if failed:
            warnings.warn(
                f"{len(failed)} of {len(self.networks_)} networks diverged and are left out: "
                f"seed {failed[0].seed} {failed[0].failure}",
                ConvergenceWarning,
                stacklevel=4,
            )
        first_layers = np.full((len(self.networks_), *trained[0].first_layer.shape), np.nan)
        for i, network in enumerate(self.networks_):
            if network.failure is None:
                first_layers[i] = network.first_layer
        single = len(self.networks_) == 1
        self.first_layer_ = first_layers[0] if single else first_layers
        zeroed = np.array([network.zeroed for network in trained])
        self.zeroed_ = self.variables_[zeroed.all(axis=0)]
        self.selection_probability_ = (~zeroed).mean(axis=0)
        self.kkt_residual_ = max(network.kkt_residual for network in trained)
        self.kkt_residual_absolute_ = max(network.kkt_residual_absolute for network in trained)
        histories = [network.history for network in self.networks_]
        self.history_ = histories[0] if single else histories
        self.n_iter_ = max(network.final_epoch for network in self.networks_)
        if certified and self.tol is not None and self.kkt_residual_ > self.tol:
            warnings.warn(
                f"kkt_residual is {self.kkt_residual_:.2g}, above tol={self.tol:g}: the first "
                "layer is not at a stationary point; raise epochs or finish_steps",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _trained_networks(self):
        """Those that have not diverged."""
        return [network for network in self.networks_ if network.failure is None]

    def _columns(self, X) -> np.ndarray:
        check_is_fitted(self)
        check_distinct_names(X)
        return validate_data(self, X, reset=False, dtype=np.float64)


@_parameters
class SparseMLPClassifier(ClassifierMixin, _SparseMLP):
    __doc__ = f"""Networks that tell which variables they need to tell two or more classes apart.

    The mean of the networks' probabilities decides.
{SHARED_DOCUMENTATION}
    classes_ : (classes,) the labels of y, in order.

    class_weight : None, "balanced" or a mapping class → weight (a parameter)
        Multiplies the rows' weights; balanced is inverse to the classes' weighted numbers of rows.
    """

    class_weight: Any = None

    def _target(self, y):
        check_classification_targets(y)
        self.classes_, positions = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y must hold at least 2 classes, but rows of weight above 0 hold 1 class, "
                f"{self.classes_[0]!r}; a classifier needs rows of another"
            )
        return positions, self.classes_

    def _position(self, y):
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise InputError(
                "validation rows hold classes that training rows hold too, but "
                f"{unknown.tolist()} is not among {self.classes_.tolist()}"
            )
        return np.searchsorted(self.classes_, y)

    def _weighted(self, rows: Rows) -> Rows:
        class_weights = compute_class_weight(
            self.class_weight,
            classes=self.classes_,
            y=self.classes_[rows.target],
            sample_weight=rows.row_weights,
        )
        return Rows(rows.columns, rows.target, rows.row_weights * class_weights[rows.target])

    def _task(self) -> str:
        return "binary" if len(self.classes_) == 2 else "multiclass"

    def predict_proba(self, X):
        """(rows, classes): the mean of the networks' probabilities."""
        return np.exp(self._log_probabilities(X))

    def decision_function(self, X):
        """Of two classes, the log-odds of the second under the mean probability, (rows,); of more,
        the logarithm of the mean probabilities, (rows, classes)."""
        logs = self._log_probabilities(X)
        return logs[:, 1] - logs[:, 0] if logs.shape[1] == 2 else logs

    def predict(self, X):
        """(rows,): the class with the largest mean probability."""
        best = self._log_probabilities(X).argmax(axis=1)
        return self.classes_[best]

    def _log_probabilities(self, X):
        columns = self._columns(X)
        return mean_log_probabilities(self._trained_networks(), columns)


class SparseMLPRegressor(RegressorMixin, _SparseMLP):
    __doc__ = f"""Networks that tell which variables they need to predict a quantity.

    The mean of the networks' predictions is predicted. y is centered inside, which is a first value
    of the unpenalized bias and changes nothing else, and it is not scaled: standardize it where
    its standard deviation is far from 1 (TransformedTargetRegressor), or λ weighs little or much.
{SHARED_DOCUMENTATION}"""

    def _target(self, y):
        return self._position(y), None

    def _position(self, y):
        return np.asarray(y, np.float64)

    def _weighted(self, rows: Rows) -> Rows:
        return rows

    def _task(self) -> str:
        return "regression"

    def predict(self, X):
        """(rows,): the mean of the networks' predictions."""
        columns = self._columns(X)
        return np.mean(
            [network.outputs(columns)[:, 0] for network in self._trained_networks()], axis=0
        )
