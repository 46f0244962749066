"""How far the seeds of one configuration agree, variable by variable.

Families of `solutions.EXCHANGEABLE` dimensions are left out: `genetic_7` of one seed has nothing to
do with `genetic_7` of another.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from pipeline.inspection.solutions import ADJUSTING, EPOCHS, EXCHANGEABLE, selection_matrix
from pipeline.inspection.stability import Stability, selection_stability
from pipeline.results import NetworkResult, variable_norms

FEWEST_VARIABLES = 3  # kept by both networks of a pair, for a rank correlation


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ between pairs of networks; NaN where no pair has one."""

    mean: float
    low: float
    high: float
    pairs: int

    @property
    def text(self) -> str:
        if not self.pairs:
            return f"undefined, because no two seeds keep {FEWEST_VARIABLES} variables in common"
        of = f"{self.pairs} pair" + ("s" if self.pairs != 1 else "") + " of seeds"
        return f"{self.mean:.2f} on average over {of} ({self.low:.2f} to {self.high:.2f})"


def finished(networks: Sequence[NetworkResult]) -> list[NetworkResult]:
    return [n for n in networks if n.failure is None]


def stability_of(networks: Sequence[NetworkResult], epoch: str = "last") -> Stability:
    """Nogueira's Φ̂ of the named variables over the finished networks of a configuration."""
    return selection_stability(selection_matrix(finished(networks), epoch)[0])


def selection_frequencies(networks: Sequence[NetworkResult]) -> pd.DataFrame:
    """variable, family, share of finished networks that keep it at the best and last epoch, and
    `died`: in how many it died, and `died_low`, `died_epoch`, `died_high`: first, median and last
    epoch of death. Sorted by share, then by death, the last to die first."""
    finished_networks = finished(networks)
    table = {}
    for epoch in EPOCHS:
        selected, variables = selection_matrix(finished_networks, epoch)
        if variables:
            table[f"share_{epoch}"] = pd.Series(selected.mean(axis=0), index=list(variables))
    columns = ["variable", "family", "share_best", "share_last"]
    if not table:
        return pd.DataFrame(columns=[*columns, "died", "died_low", "died_epoch", "died_high"])
    frame = pd.DataFrame(table).reindex(columns=columns[2:]).rename_axis("variable").reset_index()
    frame.insert(1, "family", frame["variable"].map(finished_networks[0].inputs.family_of))
    epochs = [[n.died[v] for n in finished_networks if v in n.died] for v in frame["variable"]]
    frame["died"] = [len(e) for e in epochs]
    for name, of in (("died_low", np.min), ("died_epoch", np.median), ("died_high", np.max)):
        frame[name] = [float(of(e)) if e else np.nan for e in epochs]
    order = ["share_last", "died_epoch", "share_best"]
    frame = frame.sort_values(order, ascending=False, kind="stable", na_position="first")
    return frame.reset_index(drop=True)


def importance_correlation(networks: Sequence[NetworkResult], epoch: str = "last") -> Correlation:
    """Spearman's ρ of ‖W_g‖ between every two seeds, over the named variables that both keep.

    Mean, smallest and largest over pairs that keep at least 3 variables in common. 1: the seeds put
    the variables in the same order of strength.
    """
    norms = []
    for n in finished(networks):
        layer = n.first_layer if epoch == "best" else n.first_layer_final
        family_of = n.inputs.family_of
        if norm_of := variable_norms(layer, n.inputs):
            left_out = (*EXCHANGEABLE, *ADJUSTING)  # the latter are kept by every seed
            norms.append([x for v, x in norm_of.items() if family_of[v] not in left_out])
    correlations = []
    for first, second in itertools.combinations(np.array(norms), 2):
        both = (first > 0) & (second > 0)
        ranks = [rankdata(x[both]) for x in (first, second)]
        if both.sum() >= FEWEST_VARIABLES and all(np.ptp(r) for r in ranks):
            correlations.append(np.corrcoef(*ranks)[0, 1])
    if not correlations:
        return Correlation(np.nan, np.nan, np.nan, 0)
    low, high = float(min(correlations)), float(max(correlations))
    return Correlation(float(np.mean(correlations)), low, high, len(correlations))
