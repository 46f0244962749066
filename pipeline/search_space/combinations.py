"""The combinations of a study's crossed keys, each with what remains to be sampled.

A combination knows which values a network depends on, so that two draws that differ only in unused
values are one configuration, and how many configurations it has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.search_space.space import Range, uses
from pipeline.search_space.study_file import SearchSpace

MOST_COUNTED = 10_000


def as_recorded(key: str, value: Any) -> Any:
    """A value as MLflow and Optuna record it: tuples and mappings as text, the rest as it is."""
    if isinstance(value, Mapping):
        return str(dict(value))
    if not isinstance(value, tuple):
        return value
    return "+".join(value) if key == "inputs" else str(list(value))


def spread(values: Range) -> list[float] | None:
    """All values of a range, if they are few enough to count; None for a continuous one."""
    if not values.integer and values.step is None:
        return None
    steps = _steps(values)
    return None if steps >= MOST_COUNTED else [_stepped(values, i) for i in range(steps + 1)]


def _steps(values: Range) -> int:
    return math.floor((values.high - values.low) / (values.step or 1) + 1e-9)


def _stepped(values: Range, step: int) -> float:
    value = values.low + step * (values.step or 1)
    return int(value) if values.integer else value


def grid_axis(key: str, values: tuple | Range) -> list | None:
    """The values of `key` on the grid: choices, `points` evenly spaced ones, or all of them.

    Evenly means equal ratios if log, else equal differences, then rounded to the range's steps.
    None for a continuous range without `points`.
    """
    if not isinstance(values, Range):
        return [as_recorded(key, value) for value in values]
    if values.points is None:
        return spread(values)
    space = np.geomspace if values.log else np.linspace
    axis = [float(value) for value in space(values.low, values.high, values.points)]
    if values.integer or values.step is not None:
        steps = [round((value - values.low) / (values.step or 1)) for value in axis]
        axis = [_stepped(values, min(step, _steps(values))) for step in steps]
    return list(dict.fromkeys(axis))


def at_quantile(values: tuple | Range, quantile: float) -> object:
    """The value at a quantile in [0, 1) of what a key may be."""
    if not isinstance(values, Range):
        return values[int(quantile * len(values))]
    all_values = spread(values)
    if all_values is not None:
        return all_values[int(quantile * len(all_values))]
    if values.log:
        value = min(values.low * (values.high / values.low) ** quantile, values.high)
    else:
        value = values.low + (values.high - values.low) * quantile
    if values.integer or values.step is not None:
        step = round((value - values.low) / (values.step or 1))
        return _stepped(values, min(step, _steps(values)))
    return value


@dataclass(frozen=True)
class Combination:
    """One combination of the crossed keys: what is fixed in it and what remains to be sampled."""

    fixed: Mapping[str, Any]
    free: Mapping[str, tuple | Range]

    def effective(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Drawn or recorded values → those that the network depends on, as the study has them."""
        values = dict(self.fixed)
        for key, choices in self.free.items():
            value = drawn.get(key)
            if not isinstance(choices, Range):
                value = {as_recorded(key, choice): choice for choice in choices}.get(value)
            values[key] = value
        regularizer, inputs = values["regularizer"], values["inputs"]
        return {key: value for key, value in values.items() if uses(key, regularizer, inputs)}

    def counts(self, on_grid: bool) -> float:
        """How many distinct configurations there are; infinite with a continuous range."""
        possible = {**{key: (value,) for key, value in self.fixed.items()}, **self.free}
        total = 0.0
        for regularizer, inputs in itertools.product(possible["regularizer"], possible["inputs"]):
            branch = 1.0
            for key, values in self.free.items():
                if key not in ("regularizer", "inputs") and uses(key, regularizer, inputs):
                    branch *= _size(key, values, on_grid)
            total += branch
        return total

    def others(self, seed: int) -> Iterator[dict[str, Any]]:
        """Draws without a sampler: all in order, or many at random where there is no end."""
        every = [_every(key, values) for key, values in self.free.items()]
        axes = [axis for axis in every if axis is not None]
        if len(axes) == len(every):
            for drawn in itertools.product(*axes):
                yield dict(zip(self.free, drawn, strict=True))
            return
        generator = np.random.default_rng(seed)
        for _ in range(MOST_COUNTED):
            yield {
                key: as_recorded(key, at_quantile(values, generator.random()))
                for key, values in self.free.items()
            }


def _every(key: str, values: tuple | Range) -> list | None:
    if isinstance(values, Range):
        return spread(values)
    return [as_recorded(key, value) for value in values]


def _size(key: str, values: tuple | Range, on_grid: bool) -> float:
    if not isinstance(values, Range):
        return len(values)
    distinct = grid_axis(key, values) if on_grid else spread(values)
    return math.inf if distinct is None else len(distinct)


def signature(effective: Mapping[str, Any]) -> tuple:
    """What two configurations share if and only if they are the same."""
    return tuple(sorted((key, as_recorded(key, value)) for key, value in effective.items()))


def combinations(space: SearchSpace) -> list[Combination]:
    """The combinations of the crossed keys, in the order of `cross`, each once."""
    constant = {k: v[0] for k, v in space.space.items() if isinstance(v, tuple) and len(v) == 1}
    distinct: dict[tuple, Combination] = {}
    for combination in itertools.product(*(space.space[key] for key in space.cross)):
        fixed = {**constant, **dict(zip(space.cross, combination, strict=True))}
        free = {key: values for key, values in space.space.items() if key not in fixed}
        branches = list(
            itertools.product(
                free.get("regularizer", (fixed.get("regularizer"),)),
                free.get("inputs", (fixed.get("inputs"),)),
            )
        )
        fixed, free = (
            {k: v for k, v in part.items() if any(uses(k, *branch) for branch in branches)}
            for part in (fixed, free)
        )
        distinct.setdefault((signature(fixed), *free), Combination(fixed, free))
    return list(distinct.values())
