"""Integrated path stability selection: no threshold, one number of expected false ones a variable.

Melikechi and Miller, "Integrated path stability selection", JASA 2025 (arXiv:2403.15877). The tests
hold it to the authors' package `ipss`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.people.selection import SelectionPath

CUTOFF = 0.05
"""C: the integral runs as far down λ as keeps the bound on a score's expectation below it."""


@dataclass(frozen=True, eq=False)
class IntegratedPath:
    """score   (g,) ∫ h(Π̂(λ)) dμ, h(x) = (2x − 1)³ from x = ½ on.
    expected_false
            (g,) efp: choosing all variables with a value up to this one is expected to choose so
            many false ones, at most; the number of all variables where there is no evidence.
    configurations
            the part of the path that the integral ran over.
    """

    score: np.ndarray
    expected_false: np.ndarray
    configurations: tuple[int, ...]

    @property
    def q_values(self) -> np.ndarray:
        """(g,) the smallest share of false ones, expected, of a choice with this variable."""
        order = np.argsort(self.expected_false, kind="stable")
        sorted_false = self.expected_false[order]
        chosen = np.searchsorted(sorted_false, sorted_false, side="right")
        shares = np.minimum.accumulate((sorted_false / chosen)[::-1])[::-1]
        q = np.empty_like(shares)
        q[order] = np.minimum(shares, 1.0)
        return q


def log_weights(lambdas: np.ndarray) -> np.ndarray:
    """(L,) trapezoids of the measure dμ ∝ dλ/λ over these λ > 0, in order; they sum to 1."""
    at = np.log(np.asarray(lambdas, float))
    if len(at) < 2 or np.ptp(at) == 0:
        return np.full(len(at), 1 / max(len(at), 1))
    width = np.abs(np.diff(at)) / 2
    weights = np.append(width, 0.0) + np.insert(width, 0, 0.0)
    return weights / weights.sum()


def integrated_path(
    path: SelectionPath,
    lambdas: np.ndarray,
    cutoff: float = CUTOFF,
    weights: np.ndarray | None = None,
) -> IntegratedPath:
    """Scores and expected false ones of every variable: λ > 0 of each configuration of the path.

    weights (L,) replaces the trapezoids of dμ ∝ dλ/λ.

    With q(λ) variables kept of g and B pairs, Σ over false ones of the expected score is at most

      I = ∫ [q²/(B²g) + 3(B−1)q⁴/(B²g³) + (B−1)(B−2)q⁶/(B²g⁵)] dμ,

    the third moment of the share of pairs that keep a variable in both halves (their Theorem 4.2),
    and efp of a variable is I/score (Markov). I and score are of the same measure, so that their
    ratio does not depend on how it is normalized; the part of the path is the longest of which
    I ≤ `cutoff`, with μ a probability on it. Without pairs, half of the resamples count as B.
    """
    variables, pairs = path.kept.shape[3], path.pairs or max(len(path.resamples) // 2, 1)
    probability = np.nan_to_num(path.probability)
    q = probability.sum(axis=1)
    heights = np.clip(2 * probability - 1, 0, None) ** 3
    bound = _third_moment(q / variables, pairs) * variables
    best, of_best = 0, np.zeros(0)
    for first in range(1, len(q) + 1):
        of_part = log_weights(lambdas[:first]) if weights is None else weights[:first]
        if of_part @ bound[:first] <= cutoff:
            best, of_best = first, of_part
    return _integrated(heights[:best], bound[:best], of_best, path)


def _third_moment(theta: np.ndarray, pairs: int) -> np.ndarray:
    """E(X̄³) at most, X̄ the mean of B independent indicators of probability θ²."""
    twice, squared = 3 * (pairs - 1), (pairs - 1) * (pairs - 2)
    return (theta**2 + twice * theta**4 + squared * theta**6) / pairs**2


def _integrated(
    heights: np.ndarray, bound: np.ndarray, weights: np.ndarray, path: SelectionPath
) -> IntegratedPath:
    variables = path.kept.shape[3]
    score, false = weights @ heights, float(weights @ bound)
    if not len(weights):
        score = np.zeros(variables)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.where(score > 0, np.minimum(false / score, variables), variables)
    return IntegratedPath(score, expected, path.configurations[: len(weights)])
