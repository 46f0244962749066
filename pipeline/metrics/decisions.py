"""What follows from acting on a predicted risk: who is treated at a threshold, and what it gains.

At a threshold t everyone with a risk of t or more is treated. With n rows, TP treated cases and FP
treated others (Vickers and Elkin, Medical Decision Making 26:565 (2006)):

    net benefit       TP/n − FP/n · t/(1 − t)
    of treating all   π − (1 − π)·t/(1 − t), π the share of cases; of treating none 0

    sensitivity TP/cases   specificity TN/others   PPV TP/treated   NPV TN/untreated

Shapes: n rows, B resamples, T thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Fourfold:
    """Rows by whether they are cases and treated: tp, fp, fn, tn, each (B, T)."""

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray

    @property
    def smallest(self) -> np.ndarray:
        """(B, T) the smallest of the four counts."""
        return np.min([self.tp, self.fp, self.fn, self.tn], axis=0)

    def net_benefit(self) -> np.ndarray:
        """(B, T)."""
        n = self.tp + self.fp + self.fn + self.tn
        return (self.tp - self.fp * _odds(self.thresholds)) / n

    def measures(self) -> dict[str, np.ndarray]:
        """`sensitivity specificity ppv npv treated` → (B, T); nan of nobody."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "sensitivity": self.tp / (self.tp + self.fn),
                "specificity": self.tn / (self.tn + self.fp),
                "ppv": self.tp / (self.tp + self.fp),
                "npv": self.tn / (self.tn + self.fn),
                "treated": (self.tp + self.fp) / (self.tp + self.fp + self.fn + self.tn),
            }


def fourfold(
    outcome: np.ndarray, risk: np.ndarray, thresholds: np.ndarray, times: np.ndarray
) -> Fourfold:
    """outcome (n,) 0/1, risk (n,) and times (n, B), how often a resample has each row."""
    thresholds = np.asarray(thresholds, np.float64)
    treated = (np.asarray(risk)[:, None] >= thresholds[None, :]).astype(np.float64)
    often, case = times.astype(np.float64).T, np.asarray(outcome) == 1
    tp = often[:, case] @ treated[case]
    fp = often[:, ~case] @ treated[~case]
    cases, others = often[:, case].sum(axis=1), often[:, ~case].sum(axis=1)
    return Fourfold(thresholds, tp, fp, cases[:, None] - tp, others[:, None] - fp)


def net_benefit_of_all(
    outcome: np.ndarray, thresholds: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """(B, T) net benefit of treating everyone."""
    often = times.astype(np.float64)
    share = (np.asarray(outcome) == 1).astype(np.float64) @ often / often.sum(axis=0)
    return share[:, None] - (1.0 - share[:, None]) * _odds(np.asarray(thresholds, np.float64))


def _odds(thresholds: np.ndarray) -> np.ndarray:
    return thresholds / (1.0 - thresholds)
