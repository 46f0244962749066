"""What is said of persons' predictions, as tables of groups of people: all that may be recorded.

Shapes: M networks, n people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.people.components import (
    FEWEST_SEEDS_OF_PREDICTIONS,
    PARTS,
    components,
    grid_of,
    share_intervals,
)
from pipeline.people.instability import FEWEST, instability

INSTABILITY, BANDS, CELLS = "instability", "instability_bands", "instability_cells"
"""Names of the tables of `prediction_tables`."""


@dataclass(frozen=True, eq=False)
class ResampledPredictions:
    """Predictions of one configuration's networks, which differ in seed and resample.

    predictions     (M, n) of the same people: probabilities, or quantities of a regression.
    seed, resample  (M,) whole numbers.
    reference       (n,) of the model trained on everybody: the mean over its seeds. None: the mean
                    over all M networks stands for it.
    people          who they are, in a word or two: `test`, `development`.
    outcome         which class they are the probability of, where there are more than two.
    """

    configuration: int
    predictions: np.ndarray
    seed: Sequence[int]
    resample: Sequence[int]
    reference: np.ndarray | None = None
    people: str = "test"
    outcome: str = ""


def prediction_tables(
    groups: Sequence[ResampledPredictions], threshold: float | None
) -> dict[str, pd.DataFrame]:
    """Three tables, by name; empty where no group has FEWEST people and two networks.

    instability         a row each group: how far predictions differ, and whose that is: shares of
                        their variance (pooled over people) by seed, resample and both, with
                        intervals.
    instability_bands   a row each band of p̂ of a group.
    instability_cells   the instability plot's cells.

    threshold: from which on a risk counts as high; None for quantities.
    """
    tables: dict[str, list[pd.DataFrame]] = {INSTABILITY: [], BANDS: [], CELLS: []}
    for group in groups:
        predictions = np.asarray(group.predictions, float)
        if predictions.shape[0] < 2 or predictions.shape[1] < FEWEST:
            continue
        found = instability(predictions, group.reference, threshold)
        known = {
            "configuration": group.configuration, "people": group.people, "outcome": group.outcome,
        }  # fmt: skip
        row = {
            **known, "number_of_people": found.people, "networks": found.networks,
            "mean_error": found.mean_error,
            **{f"error_q{100 * q:g}": value for q, value in found.error_quantiles.items()},
            "threshold": found.threshold, "mean_changed": found.mean_changed,
            "often_changed": found.often_changed, **prediction_shares(group),
        }  # fmt: skip
        tables[INSTABILITY].append(pd.DataFrame([row]))
        bands = found.bands.rename(columns={"people": "number_of_people"})
        tables[BANDS].append(bands.assign(**known))
        tables[CELLS].append(found.cells.assign(**known))
    return {
        name: pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
        for name, parts in tables.items()
    }


def prediction_shares(group: ResampledPredictions) -> dict[str, float]:
    """Shares of the variance of predictions, summed over people, by name as `shares_row`, with the
    numbers of `seeds` and `resamples`; NaN from a single seed or resample."""
    grid, _ = grid_of(group.predictions, group.resample, group.seed)
    resamples, seeds = grid.shape[:2]
    shares, ends = np.full(3, np.nan), np.full((3, 2), np.nan)
    if min(resamples, seeds) >= 2:
        shares = components(grid).pooled()
        ends = share_intervals(grid, fewest_seeds=FEWEST_SEEDS_OF_PREDICTIONS)
    named: dict[str, float] = {"seeds": seeds, "resamples": resamples}
    return named | shares_row(shares, ends)


def shares_row(shares: np.ndarray, ends: np.ndarray) -> dict[str, float]:
    """(3,) shares and their (3, 2) intervals by name, as tables have them."""
    row: dict[str, float] = {}
    for part, share, (low, high) in zip(PARTS, shares, ends, strict=True):
        row |= {
            f"share_{part}": float(share),
            f"share_{part}_low": float(low),
            f"share_{part}_high": float(high),
        }
    return row
