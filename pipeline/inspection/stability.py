"""How far the seeds of a configuration agree on its variables. Numbers only, no tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Stability:
    """Φ̂ with its confidence interval; every number is NaN where the measure is undefined."""

    value: float
    low: float
    high: float
    networks: int
    variables: int

    @property
    def text(self) -> str:
        """`0.83 (95 % CI 0.71 to 0.95)`, or why there is no number."""
        if self.networks < 2:
            return "undefined for fewer than 2 networks"
        if np.isnan(self.value):
            return "undefined, because every network keeps all variables or every one keeps none"
        return f"{self.value:.2f} (95 % CI {self.low:.2f} to {self.high:.2f})"


def selection_stability(selected: np.ndarray, confidence: float = 0.95) -> Stability:
    """Stability of a selection and its confidence interval.

    With z the (M, d) booleans `selected` (M networks, d variables), p_f the share of networks that
    keep variable f, k_i the number that network i keeps, k̄ its mean, s_f² = M/(M−1)·p_f(1−p_f):

      Φ̂   = 1 − (1/d)Σ_f s_f² / v,     v = (k̄/d)(1 − k̄/d)
      Φ̂_i = (1/v) [(1/d)Σ_f z_if·p_f − k_i·k̄/d² + (Φ̂/2)(2·k̄·k_i/d² − k_i/d − k̄/d + 1)]
      Var = (4/M²) Σ_i (Φ̂_i − mean Φ̂)²,   interval = Φ̂ ± z_{1−α/2}·√Var, upper end at most 1

    Definition 4 and Theorem 7 of Nogueira, Sechidis and Brown, "On the Stability of Feature
    Selection Algorithms", JMLR 18(174), 2018. 1: all networks agree; 0: no more than chance.
    v = 0 (all keep everything, or nothing) leaves Φ̂ undefined: NaN.
    """
    z = np.asarray(selected, dtype=float)  # (M, d)
    networks, variables = z.shape
    nowhere = Stability(np.nan, np.nan, np.nan, networks, variables)
    if networks < 2 or variables == 0:
        return nowhere
    share = z.mean(axis=0)  # (d,)
    kept = z.sum(axis=1) / variables  # (M,): k_i / d
    mean_kept = kept.mean()
    v = mean_kept * (1 - mean_kept)
    if np.isclose(v, 0.0, atol=1e-12):
        return nowhere
    phi = 1 - networks / (networks - 1) * np.mean(share * (1 - share)) / v
    bracket = 2 * mean_kept * kept - kept - mean_kept + 1
    phi_i = (z @ share / variables - kept * mean_kept + phi / 2 * bracket) / v  # (M,)
    sd = np.sqrt(4 / networks**2 * np.sum((phi_i - phi_i.mean()) ** 2))
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * sd
    return Stability(
        float(phi), float(phi - reach), float(min(phi + reach, 1.0)), networks, variables
    )


def entropy_bits(labels: Sequence[str]) -> float:
    """Shannon entropy −Σ q·log2 q of the shares q of each label; 0 when all agree or none is."""
    if not labels:
        return 0.0
    _, counts = np.unique(np.asarray(labels, dtype=object).astype(str), return_counts=True)
    shares = counts / counts.sum()
    return float(abs(-np.sum(shares * np.log2(shares))))


def died_epochs(kept: np.ndarray, variables: Sequence[str]) -> dict[str, int]:
    """Variable → `death_epoch` of its column of kept (T, g) booleans, for those that died."""
    epochs = {v: death_epoch(column) for v, column in zip(variables, np.transpose(kept))}
    return {variable: epoch for variable, epoch in epochs.items() if epoch is not None}


def death_epoch(kept: np.ndarray) -> int | None:
    """The first epoch (epoch 1 first) from which the number of kept variables stays 0.

    None when something is left at the last epoch.
    """
    alive = np.flatnonzero(np.asarray(kept) > 0)
    last_alive_epoch = int(alive[-1]) + 1 if alive.size else 0
    return last_alive_epoch + 1 if last_alive_epoch < len(kept) else None
