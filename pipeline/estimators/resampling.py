"""What `resamples` of an estimator and of a path may be, and the rows that each network trains on.

Shapes: n rows, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.data import ResampleDesign, draw_resamples
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.networks import Resamples

KINDS = ("subsample", "bootstrap", "folds")


def times_drawn(given: Any, columns: np.ndarray, target: np.ndarray, task: str) -> np.ndarray:
    """(R, n) how often each row is drawn, from what an estimator was given as `resamples`.

    A whole number, a mapping (`pipeline.data.ResampleDesign`), a splitter of scikit-learn, whose
    training rows are drawn once, or the array itself. Raises InputError.
    """
    if isinstance(given, bool | str):
        raise _not_understood(given)
    if isinstance(given, Integral):
        given = {"kind": "subsample", "count": int(given)}
    if isinstance(given, Mapping):
        return draw_resamples(_design(given), target, task).times.astype(np.float64)
    if hasattr(given, "split"):
        folds = [train for train, _ in given.split(columns, target)]
        return np.array([np.bincount(train, minlength=len(target)) for train in folds], float)
    try:
        times = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise _not_understood(given) from None
    if times.ndim != 2 or times.shape[1] != len(target) or not len(times):
        raise InputError(
            f"resamples as an array must be (resamples, {len(target)} rows of weight above 0), how "
            f"often each row is drawn, but got the shape {times.shape}"
        )
    return times


def _design(given: Mapping) -> ResampleDesign:
    known = [field.name for field in fields(ResampleDesign)]
    if unknown := [key for key in given if key not in known]:
        raise InputError(f"resamples has the keys {', '.join(known)}, but got {unknown[0]!r}")
    if given.get("kind") not in KINDS:
        raise InputError(
            f"kind of resamples must be one of {', '.join(KINDS)}, but got {given.get('kind')!r}"
        )
    design = ResampleDesign(**given)
    least = {"count": 2, "folds": 2, "repeats": 1, "seed": 0}
    for key, low in least.items():
        value = getattr(design, key)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
            raise InputError(
                f"{key} of resamples must be a whole number of at least {low}, but got {value!r}"
            )
    if design.kind == "subsample" and design.count % 2:
        raise InputError(
            "subsamples come in complementary pairs, so their number must be even, but got "
            f"{design.count}"
        )
    if design.kind == "subsample" and not 0 < design.fraction <= 0.5:
        raise InputError(
            "fraction of resamples must be above 0 and at most 0.5, so that the two of a pair have "
            f"nobody in common, but got {design.fraction!r}"
        )
    return design


def _not_understood(given: object) -> InputError:
    return InputError(
        "resamples must be a number of subsamples, a mapping such as {'kind': 'bootstrap', "
        "'count': 200}, a splitter of scikit-learn, or an array (resamples, rows), but got "
        f"{given!r}"
    )


def resamples(
    times: np.ndarray, *, judged: bool, standardize: bool = False, balanced: bool = False
) -> Resamples:
    """As the engine takes them; judged: rows not drawn choose the best epoch, else none does."""
    from pipeline.networks import Resamples

    validation = (times == 0.0) & judged
    return Resamples(times.astype(np.float32), validation, standardize, balanced)


def complementary(times: np.ndarray) -> bool:
    """Whether resamples 2i and 2i + 1 have no row in common, for every i."""
    if len(times) % 2:
        return False
    return not np.any((times[::2] > 0.0) & (times[1::2] > 0.0))
