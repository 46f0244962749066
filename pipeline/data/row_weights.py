"""Weights of the training rows in the loss: by class, by row, or both.

Only the loss is weighted: every reported metric counts each row once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.data.outcome import REGRESSION
from pipeline.data.table import named
from pipeline.errors import InputError

ClassWeight = str | Mapping[Any, float]


def check_class_weight(class_weight: ClassWeight, task: str, classes: tuple, target: str) -> None:
    """InputError where weights by class are given for quantities, or for labels that are none."""
    if class_weight == "none":
        return
    if task == REGRESSION:
        raise InputError(
            f"`class_weight` must be left out for a regression target, which has no classes, but "
            f"got {class_weight!r} with {target}; `sample_weight` takes a weight a row"
        )
    if isinstance(class_weight, str):
        return
    known = {str(label) for label in classes}
    unknown = [label for label in class_weight if str(label) not in known]
    if unknown:
        raise InputError(
            f"the labels of `class_weight` must be classes of {target}, which are "
            f"{named(classes)}, but got {named(map(str, unknown))}; correct them"
        )


def class_weights(outcome: np.ndarray, classes: tuple, class_weight: ClassWeight) -> np.ndarray:
    """(C,) the weight of each class: outcome (n,) class positions of the training rows.

    none: 1. balanced: n/(C·n_c) with n_c rows of class c (scikit-learn's, after King and Zeng
    2001). A mapping label → weight: its numbers, and 1 for a label that it leaves out.
    """
    if class_weight == "none":
        return np.ones(len(classes))
    if class_weight == "balanced":
        counts = np.bincount(outcome, minlength=len(classes))
        return len(outcome) / (len(classes) * counts)
    assert not isinstance(class_weight, str)
    weight_of = {str(label): float(weight) for label, weight in class_weight.items()}
    return np.array([weight_of.get(str(label), 1.0) for label in classes])


def training_weights(
    outcome: np.ndarray,
    classes: tuple,
    class_weight: ClassWeight,
    sample_weight: np.ndarray | None,
) -> np.ndarray | None:
    """(n,) weight of each training row: that of its class times its own; None where all are 1.

    The engine divides them by their mean, so that their scale does not change what λ means.
    """
    if class_weight == "none":
        return sample_weight
    by_class = class_weights(outcome, classes, class_weight)[outcome]
    return by_class if sample_weight is None else by_class * sample_weight
