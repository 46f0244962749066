"""Many small convex quadratic problems with bounds at once, by projected Newton steps.

Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM J.
Control and Optimization 20 (1982): a Newton step among the variables that no bound holds, clipped
to the bounds, of the length that lowers the objective most.
"""

from __future__ import annotations

import numpy as np

LENGTHS = np.array([1.0, 0.5, 0.2, 0.05])
"""Shares of the Newton step that are tried."""


def box_minimum(
    hessian: np.ndarray, gradient: np.ndarray, start: np.ndarray, upper: np.ndarray, steps: int
) -> np.ndarray:
    """argmin of gradient·(σ − start) + ½(σ − start)ᵀ·hessian·(σ − start) over 0 ≤ σ ≤ upper, each
    (h, m), with hessians (h, m, m) positive semidefinite: h problems at once, in `steps` or less.
    """
    result, gradient = start.copy(), gradient.copy()
    small = 1e-10 * np.abs(gradient).max(axis=1, initial=0.0)
    live = np.arange(len(start))
    for _ in range(steps):
        own, at, cap, own_hessian = gradient[live], result[live], upper[live], hessian[live]
        free = ~(((at <= 0.0) & (own >= 0.0)) | ((at >= cap) & (own <= 0.0)))
        direction = _newton_direction(own_hessian, own, free)
        tried = at[:, None] + LENGTHS[:, None] * direction[:, None]
        tried = np.clip(tried, 0.0, cap[:, None]) - at[:, None]  # (live, lengths, m)
        changes = np.matmul(tried, own_hessian)
        best = np.argmin(np.sum(tried * (own[:, None] + 0.5 * changes), axis=2), axis=1)
        one = np.arange(len(live)), best
        result[live] += tried[one]
        gradient[live] += changes[one]
        at, own, limit = result[live], gradient[live], small[live, None]
        over = np.abs(np.where(at <= 0.0, np.minimum(own, 0.0), own))
        over = np.where(at >= cap, np.maximum(own, 0.0), over)
        live = live[(over > limit).any(axis=1)]
        if not len(live):
            break
    return result


def _newton_direction(hessian: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
    """−H⁻¹·gradient among the free entries of each problem, 0 for the others; (h, m)."""
    k = int(free.sum(axis=1).max(initial=0))
    chosen = np.argsort(~free, axis=1, kind="stable")[:, :k]
    of_free = np.take_along_axis(free, chosen, axis=1)
    problem = np.arange(len(free))[:, None]
    own = hessian[problem[:, :, None], chosen[:, :, None], chosen[:, None, :]]
    own = own * (of_free[:, :, None] & of_free[:, None, :])
    diagonal = own[:, np.arange(k), np.arange(k)]
    # More kinks than weights, or equal rows: any of the solutions will do.
    lifted = diagonal + 1e-9 * diagonal.max(axis=1, initial=0.0, keepdims=True) + 1e-300
    own[:, np.arange(k), np.arange(k)] = np.where(of_free, lifted, 1.0)
    right = np.take_along_axis(gradient, chosen, axis=1) * of_free
    direction = np.zeros_like(gradient)
    solved = np.linalg.solve(own, right[:, :, None])[:, :, 0]
    np.put_along_axis(direction, chosen, -solved * of_free, axis=1)
    return direction
