"""The baselines of a study, by name, fitted one after another."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.baselines.data import BaselineData, NotFitted, Predictions

VERSION = 3
"""Of what is fitted here: with another one, kept predictions are made again."""

NUMERICAL = (ValueError, ArithmeticError, np.linalg.LinAlgError)
"""What libraries raise for people whom a model does not suit: it is told, and the study goes on."""


@dataclass(frozen=True, eq=False)
class Baseline:
    """A simpler model of the study's people.

    inputs            families it sees, joined by +
    chosen            what the validation rows chose, in words
    validation, test  (o, rows) logits, or quantities in the table's unit; none where it failed
    failure           why there are no predictions, or ""
    """

    name: str
    inputs: str
    chosen: str
    validation: np.ndarray
    test: np.ndarray
    seconds: float
    failure: str = ""


def contenders(data: BaselineData) -> dict[tuple[str, str], Callable[[], Predictions]]:
    """(name, inputs) → what fits it."""
    # scikit-learn's models take a second to import, and a study needs them at its end alone.
    from pipeline.baselines.boosting import boosting
    from pipeline.baselines.gblup import Gblup
    from pipeline.baselines.linear import elastic_net, plain

    linear = "linear regression" if data.quantities else "logistic regression"
    found: dict[tuple[str, str], Callable[[], Predictions]] = {}
    if data.columns.shape[1]:
        found[linear, data.families] = lambda: plain(data)
        found[f"{linear}, elastic net", data.families] = lambda: elastic_net(data)
        found["gradient boosting", data.families] = lambda: boosting(data)
    if data.relationship is not None:
        gblup = cache(lambda: Gblup(data))
        found["GBLUP", "genetic"] = lambda: gblup().alone()
        if data.columns.shape[1]:
            found[f"{linear} and GBLUP", f"{data.families}+genetic"] = lambda: gblup().with_table()
    return found


def fit_baselines(
    data: BaselineData, on_fitted: Callable[[int, int], None] | None = None
) -> list[Baseline]:
    """All of them; one that does not suit these people says why. on_fitted(done, of all)."""
    found, fitted = contenders(data), []
    for (name, inputs), fit in found.items():
        start, nothing = time.monotonic(), np.empty((1, 0))
        try:
            made, failure = fit(), ""
            if not (np.isfinite(made.validation).all() and np.isfinite(made.test).all()):
                raise NotFitted("gave predictions that are not finite")
        except NotFitted as why:
            made, failure = Predictions(nothing, nothing, ""), str(why)
        except NUMERICAL as error:
            made, failure = Predictions(nothing, nothing, ""), f"failed ({type(error).__name__})"
        seconds = round(time.monotonic() - start, 3)
        fitted.append(
            Baseline(name, inputs, made.chosen, made.validation, made.test, seconds, failure)
        )
        if on_fitted is not None:
            on_fitted(len(fitted), len(found))
    return fitted
