"""Stability selection along λ: how often a network keeps each variable, whoever is in the table.

A network of every resample walks from dense to sparse, all of them as one population, over the
same λs. Π̂_j(λ) is the share of those that keep variable j at λ. With complementary pairs of
subsamples (the default) the numbers of variables that are expected to be kept by chance are bounded
(Meinshausen and Bühlmann 2010; Shah and Samworth 2013); `pipeline.people` has the bounds.

Shapes: n rows, R resamples, S seeds, L λs, g penalized variables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.preprocessing import StandardScaler

from pipeline.errors import InputError
from pipeline.estimators.path import ABOVE, checked, estimator_kind, members_of
from pipeline.estimators.resampling import complementary
from pipeline.estimators.walk import Walk
from pipeline.networks import shares
from pipeline.people import (
    ASSUMPTION,
    MOST_FALSE,
    THRESHOLD,
    IntegratedPath,
    SelectionPath,
    StableSet,
    integrated_path,
    selection_path,
    stable_set,
)

SCALING_RESAMPLES = 4
"""Resamples whose networks give λ_max, so that more of them change no λ."""


@dataclass(frozen=True, eq=False)
class StabilityPath:
    """What networks of all resamples keep at every λ.

    probability  (g, L) Π̂: a row a penalized variable, a column a λ, the largest first
    networks     one row a network and λ, as in LambdaPath.networks; λs at which a network keeps no
                 penalized variable any more are left out
    lambdas      (L,), the largest first
    variables    (g,) names of the penalized variables
    selection    the same as plain arrays, as `pipeline.people` takes them
    """

    probability: pd.DataFrame
    networks: pd.DataFrame
    lambdas: np.ndarray
    variables: np.ndarray
    selection: SelectionPath

    def stable(
        self,
        threshold: float = THRESHOLD,
        most_false: float = MOST_FALSE,
        assumption: str = ASSUMPTION,
    ) -> StableSet:
        """Variables that at least `threshold` of the networks keep, over the longest part of the
        path, from its largest λ on, of which at most `most_false` false ones are expected.

        assumption: any_distribution (Meinshausen and Bühlmann), unimodal or r_concave (Shah and
        Samworth), of the bound that is held to. `stable_variables` names them.
        """
        return stable_set(self.selection, threshold, most_false, assumption)

    def stable_variables(self, **given) -> list:
        """Names of the variables of `stable`."""
        return self.variables[self.stable(**given).stable].tolist()

    def integrated(self) -> IntegratedPath:
        """Scores without a threshold (IPSS, Melikechi and Miller 2025)."""
        return integrated_path(self.selection, self.lambdas)


def stability_path(
    X,
    y,
    penalty="group_lasso",
    *,
    resamples=100,
    task=None,
    l1_ratio=0.5,
    n_lambdas=20,
    lambda_ratio=0.05,
    seeds=1,
    epochs=60,
    epochs_per_lambda=3,
    standardize=True,
    sample_weight=None,
    finish_steps=100,
    **network,
) -> StabilityPath:
    """Selection probabilities of the variables along λ, over resamples of the rows.

    resamples          an even number of subsamples of half of the rows, in complementary pairs; or
                       what the estimators take: a mapping, a splitter, an array
    task               binary, multiclass or regression; see `lambda_path`
    l1_ratio           α: λ1 = α·λ, and λ2 (elastic_net) or λg (sparse_group_lasso) = (1 − α)·λ
    n_lambdas          from lambda_ratio·λ_max to λ_max, that of the first resamples' networks
    seeds              of every resample: how many, 0, 1, …; or a sequence of them
    epochs             of the dense start, of which the best on the rows not drawn is taken
    epochs_per_lambda  of every λ, from the weights of the λ before
    standardize        every network has the columns of X, and a quantity y, standardized over its
                       own rows; False: it has them as they are
    finish_steps       at most, on all rows at once, at the end of every λ
    network            other parameters of the estimators: groups, unpenalized, hidden_layer_sizes,
                       activation, batch_size, learning_rate, class_weight, tol, …

    Raises InputError.
    """
    seeds = checked(
        penalty, l1_ratio, n_lambdas, lambda_ratio, epochs_per_lambda, 0, (None, 0.0), seeds
    )
    if resamples is None:
        raise InputError("a stability path needs resamples, but got None; give a number of them")
    kind = estimator_kind(y, task)
    estimator = kind(
        penalty=penalty, epochs=epochs, resamples=resamples, finish_steps=finish_steps, **network
    )
    fit_data = estimator._checked_data(
        X, y, sample_weight, None, judged=True, standardize=standardize
    )
    if standardize:  # each network's own comes on top; this keeps float32's digits
        columns = StandardScaler().fit_transform(fit_data.train.columns)
        fit_data = replace(fit_data, train=replace(fit_data.train, columns=columns))
    members = members_of(seeds, fit_data)
    walk = Walk(estimator, fit_data, members, shares(penalty, l1_ratio), epochs_per_lambda)
    walk.start_dense()
    largest = walk.lambda_max(SCALING_RESAMPLES * len(seeds))
    for value in ABOVE * largest * np.geomspace(lambda_ratio, 1.0, n_lambdas):
        if walk.remaining_networks:
            walk.step(float(value))
        else:
            walk.lambdas.append(float(value))
    return _summed_up(walk)


def _summed_up(walk: Walk) -> StabilityPath:
    """Networks that left the path keep no penalized variable at the λs that follow; those that
    failed are left out, and their resample with them where no other seed is left."""
    lambdas = np.array(walk.lambdas)[::-1]
    steps, penalized = len(lambdas), walk.penalized
    names = walk.fit_data.groups.names
    place = {name: i for i, name in enumerate(names[penalized].tolist())}
    networks = pd.DataFrame(walk.rows)
    networks = networks[networks["step"] > 0].reset_index(drop=True)
    kept: dict[tuple, list[int]] = {
        (int(row.seed), int(row.resample), int(row.step)): [
            place[name] for name in row.variables if name in place
        ]
        for row in networks.itertuples()
    }
    selected, who = [], []
    for member in walk.members:
        if member in walk.failed:
            continue
        for step in range(1, steps + 1):
            row = np.zeros(len(penalized), bool)
            row[kept.get((*member, step), [])] = True
            selected.append(row)
            who.append((steps - step, *member))
    configuration, seed, resample = np.array(who, int).reshape(-1, 3).T.tolist()
    resamples = walk.data.resamples
    assert resamples is not None
    selection = selection_path(
        np.array(selected).reshape(-1, len(penalized)),
        configuration,
        seed,
        resample,
        order=range(steps),
        paired=complementary(resamples.weights),
    )
    probability = pd.DataFrame(
        selection.probability.T,
        index=pd.Index(names[penalized], name="variable"),
        columns=pd.Index(lambdas, name="lambda"),
    )
    return StabilityPath(probability, networks, lambdas, names[penalized], selection)
