"""How far the seeds of a configuration agree on its variables. Numbers only, no tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

FEWEST = 5
"""Networks from which on there is an interval."""


@dataclass(frozen=True)
class Stability:
    """Φ̂ with its confidence interval; a number is NaN where it is undefined."""

    value: float
    low: float
    high: float
    networks: int
    variables: int

    @property
    def text(self) -> str:
        """`0.83 (95 % CI 0.71 to 0.95)`, or why there is no number, or no interval."""
        if self.networks < 2:
            return "undefined for fewer than 2 networks"
        if np.isnan(self.value):
            return "undefined, because every network keeps all variables or every one keeps none"
        if self.networks < FEWEST:
            return f"{self.value:.2f} (no interval from fewer than {FEWEST} networks)"
        if np.isnan(self.low):
            return f"{self.value:.2f} (no interval: leaving any one network out changes nothing)"
        return f"{self.value:.2f} (95 % CI {self.low:.2f} to {self.high:.2f})"


def _value(z: np.ndarray) -> float:
    """Φ̂ of the selections z (M, d), NaN where it is undefined."""
    networks, variables = z.shape
    if networks < 2 or variables == 0:
        return np.nan
    share = z.mean(axis=0)
    kept = share.mean()  # k̄/d
    v = kept * (1 - kept)
    if np.isclose(v, 0.0, atol=1e-12):
        return np.nan
    return float(1 - networks / (networks - 1) * np.mean(share * (1 - share)) / v)


def selection_stability(selected: np.ndarray, confidence: float = 0.95) -> Stability:
    """Stability of a selection and its confidence interval.

    With z the (M, d) booleans `selected` (M networks, d variables), p_f the share of networks that
    keep variable f, k̄ the mean number kept, s_f² = M/(M−1)·p_f(1−p_f):

      Φ̂ = 1 − (1/d)Σ_f s_f² / v,     v = (k̄/d)(1 − k̄/d)

    Definition 4 of Nogueira, Sechidis and Brown, "On the Stability of Feature Selection
    Algorithms", JMLR 18(174), 2018. 1: all networks agree; 0: no more than chance. v = 0 (all keep
    everything, or nothing) leaves Φ̂ undefined: NaN.

    The interval is the jackknife's over networks (Tukey 1958), with Student's t: of the values
    Φ̂₍₋ᵢ₎ without network i,

      Φ̂ ± t_{M−1}·√((M−1)/M·Σ_i (Φ̂₍₋ᵢ₎ − mean)²),     the upper end at most 1

    The normal interval of their Theorem 7 takes Φ̂'s variance as known, and covers far less than it
    says with as few networks as there are seeds; a test shows by simulation what this one covers.
    There is none (NaN) from fewer than FEWEST networks, nor where they do not vary.
    """
    z = np.asarray(selected, dtype=float)  # (M, d)
    networks, variables = z.shape
    phi = _value(z)
    if networks < FEWEST:
        return Stability(phi, np.nan, np.nan, networks, variables)
    without = np.array([_value(np.delete(z, i, axis=0)) for i in range(networks)])
    spread = float(np.sqrt((networks - 1) / networks * np.sum(np.square(without - without.mean()))))
    if not spread > 0.0:
        return Stability(phi, np.nan, np.nan, networks, variables)
    reach = float(student.ppf(0.5 + confidence / 2, networks - 1)) * spread
    return Stability(phi, phi - reach, min(phi + reach, 1.0), networks, variables)


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

    None when something is kept at the last epoch.
    """
    alive = np.flatnonzero(np.asarray(kept) > 0)
    last_alive_epoch = int(alive[-1]) + 1 if alive.size else 0
    return last_alive_epoch + 1 if last_alive_epoch < len(kept) else None
