"""How many variables stability selection keeps by chance, at most: three bounds on the expectation.

A base procedure keeps q of p variables on average, trained on half of the people; a variable is
stable when at least the share τ of the subsamples keep it. The bounds hold for variables that the
base procedure keeps no more often than chance would, with a probability of at most θ = q/p: for all
that the outcome does not depend on, where it is no better at guessing than at random and treats
them alike (Meinshausen and Bühlmann), and without that for those of low probability (Shah and
Samworth).

Meinshausen and Bühlmann, "Stability selection", JRSS B 72, 2010. Shah and Samworth, "Variable
selection with error control: another look at stability selection", JRSS B 75, 2013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq, minimize_scalar

_LEAST, _MOST = 1e-5, 1e5  # of the shift a of a pmf ∝ (a + i)^(1/r)


@dataclass(frozen=True)
class FalseSelections:
    """Upper bounds on the expected number of variables that are stable by chance alone.

    any_distribution  q²/((2τ−1)·p): whatever the distribution of the selection probabilities.
    unimodal          tighter, where simultaneous selection probabilities are unimodal.
    r_concave         tighter still, where they are r-concave, which Shah and Samworth find to hold
                      in practice. Both need complementary pairs, and are NaN without.
    """

    any_distribution: float
    unimodal: float
    r_concave: float

    def under(self, assumption: str) -> float:
        """One of the three by its name; of one that is NaN, `any_distribution`."""
        bound = getattr(self, assumption)
        return self.any_distribution if math.isnan(bound) else bound


def false_selections(kept: float, variables: int, threshold: float, pairs: int) -> FalseSelections:
    """All three bounds: kept q, variables p, threshold τ in (½, 1], complementary pairs B (0: the
    subsamples are not paired). None exceeds p."""
    if not 0.5 < threshold <= 1:
        raise ValueError(f"0.5 < threshold <= 1 must hold, but got {threshold}")
    if not 0 <= kept <= variables:
        raise ValueError(f"0 <= kept <= variables must hold, but got {kept} of {variables}")
    bounds = [
        any_distribution(kept, variables, threshold),
        unimodal(kept, variables, threshold, pairs) if pairs else math.nan,
        r_concave(kept, variables, threshold, pairs) if pairs else math.nan,
    ]
    return FalseSelections(*(float(min(b, variables)) for b in bounds))


def any_distribution(kept: float, variables: int, threshold: float) -> float:
    """q²/((2τ−1)·p): Theorem 1 of Meinshausen and Bühlmann, and of Shah and Samworth."""
    return kept**2 / ((2 * threshold - 1) * variables)


def unimodal(kept: float, variables: int, threshold: float, pairs: int) -> float:
    """C(τ, B)·q²/p: Theorem 2 of Shah and Samworth, with B pairs and τ a multiple of 1/(2B).

      C = 1/(2·(2τ−1−1/(2B)))              up to τ = ¾
      C = 4·(1−τ+1/(2B))/(1+1/B)           above

    Where τ ≤ ½ + min(θ², 1/(2B) + ¾θ²) it says nothing, and the bound without assumptions stands.
    """
    share, half = kept / variables, 1 / (2 * pairs)
    if threshold <= 0.5 + min(share**2, half + 0.75 * share**2) or 2 * threshold - 1 <= half:
        return any_distribution(kept, variables, threshold)
    if threshold <= 0.75:
        constant = 1 / (2 * (2 * threshold - 1 - half))
    else:
        constant = 4 * (1 - threshold + half) / (1 + 1 / pairs)
    return constant * kept**2 / variables


def r_concave(kept: float, variables: int, threshold: float, pairs: int) -> float:
    """p·min(D(θ², 2τ−1, B, −½), D(θ, τ, 2B, −¼)): equation 8 of Shah and Samworth.

    D(η, t, B, r) is the largest P(X ≥ t) of r-concave X on {0, 1/B, …, 1} with mean η.
    """
    share = kept / variables
    reached = math.ceil(round(threshold * 2 * pairs, 8))
    return variables * min(
        1.0,
        largest_tail(share**2, reached - pairs, pairs, -0.5),
        largest_tail(share, reached, 2 * pairs, -0.25),
    )


@lru_cache(maxsize=4096)
def largest_tail(mean: float, reached: int, steps: int, r: float) -> float:
    """D: the largest P(X ≥ t/B) of r-concave X on {0, 1/B, …, 1} of this mean; steps B, reached t.

    It is reached by a pmf ∝ (a + i)^(1/r) on 0 … k with less at k + 1 (appendix A.4 of Shah and
    Samworth): the one-parameter family is searched for every k. 1 where t is not above 2·B·mean.
    """
    if mean <= 0:
        return 0.0 if reached > 0 else 1.0
    total, power = mean * steps, 1 / r
    first = math.ceil(round(2 * total, 10)) + 1
    if reached < first or first > steps:
        return 1.0
    i = np.arange(steps + 1, dtype=float)

    def excess(a: float, k: int) -> float:
        weights = (a + i[: k + 1]) ** power
        return float(i[: k + 1] @ weights / weights.sum() - total)

    def negative_tail(a: float, k: int) -> float:
        weights = (a + i[: k + 1]) ** power
        below = (k + 1 - total) * weights[:reached].sum()
        return float(below / ((k + 1 - i[: k + 1]) @ weights) - 1)

    shifts, high = {}, _MOST
    for k in range(first, steps + 1):
        high = float(brentq(excess, _LEAST, high, args=(k,), xtol=1e-12))
        shifts[k] = high
    tails = [-negative_tail(shifts[k], k) for k in range(max(first, reached), steps + 1)]
    for k in range(max(first, reached - 1), steps):
        bounds, closest = (shifts[k + 1], shifts[k]), {"xatol": 1e-9 * shifts[k]}
        found = minimize_scalar(
            negative_tail, bounds=bounds, args=(k,), method="bounded", options=closest
        )
        tails.append(-float(found.fun))
    return max(tails)
