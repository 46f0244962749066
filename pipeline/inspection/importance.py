"""Which searched values matter: Optuna's fANOVA over the configurations of a finished study.

It needs no Optuna storage: the configurations and their results are put into a study in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.inspection.solutions import by_configuration
from pipeline.networks import LAMBDAS
from pipeline.results import StudyResults

FEWEST_CONFIGURATIONS = 8


def searched_values(results: StudyResults) -> pd.DataFrame:
    """configuration × what differs between configurations; λ as log10, one decade below its
    smallest where the regularizer does not use it."""
    rows = {}
    for number, networks in by_configuration(results.networks).items():
        params = networks[0].params
        rows[number] = {k: v for k, v in params.items() if k not in ("seed", "configuration")}
    table = pd.DataFrame.from_dict(rows, orient="index")
    for name in set(LAMBDAS) & set(table.columns):
        values = pd.to_numeric(table[name]).fillna(0.0)
        used = values[values > 0]
        if len(used):
            table[name] = np.log10(values.where(values > 0, used.min() / 10))
    return table.loc[:, [c for c in table.columns if table[c].nunique() > 1]]


def importances(values: pd.DataFrame, target: Sequence[float]) -> dict[str, float]:
    """Parameter → share of the target's variance that it explains alone or with others; largest
    first; empty where the target does not vary or fewer than 8 configurations have one.

    values is one row a configuration. Hutter, Hoos and Leyton-Brown, "An Efficient Approach for
    Assessing Hyperparameter Importance", ICML 2014.
    """
    scores = np.asarray(target, float)
    scored = np.isfinite(scores)
    values, scores = values[scored], scores[scored]
    values = values.loc[:, [c for c in values.columns if values[c].nunique() > 1]]
    too_few = len(scores) < FEWEST_CONFIGURATIONS or values.shape[1] == 0
    if too_few or np.ptp(scores) <= 1e-12 * np.abs(scores).max():
        return {}
    return _fanova(values, scores)


def _fanova(values: pd.DataFrame, scores: np.ndarray) -> dict[str, float]:
    import optuna  # half a second, which only a report with something to rank should take

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        distributions: dict[str, optuna.distributions.BaseDistribution] = {
            name: _distribution(column) for name, column in values.items()
        }
        study = optuna.create_study()
        for (_, row), score in zip(values.iterrows(), scores, strict=True):
            params = {name: _value(row[name]) for name in distributions}
            params |= {n: str(v) for n, v in params.items() if hasattr(distributions[n], "choices")}
            trial = optuna.trial.create_trial(
                params=params, distributions=distributions, value=float(score)
            )
            study.add_trial(trial)
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    finally:
        optuna.logging.set_verbosity(level)
    return {name: float(share) for name, share in shares.items()}


def _value(value: Any) -> float | str:
    """A number as it is, anything else as text."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_))
    return float(value) if number else str(value)


def _distribution(column: pd.Series):
    """A range where all values are numbers, choices otherwise."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [_value(value) for value in column]
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) == len(values):
        return FloatDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(list(dict.fromkeys(str(value) for value in values)))
