"""Many small convex quadratic problems with bounds at once, by projected Newton steps.

Bertsekas, Projected Newton methods for optimization problems with simple constraints, SIAM J.
Control and Optimization 20 (1982): a Newton step among the variables that are
not held at a bound, clipped to the bounds, of the length that lowers the objective most.
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
    unsolved = np.arange(len(start))
    for _ in range(steps):
        live_gradient, position, live_upper, live_hessian = (
            gradient[unsolved],
            result[unsolved],
            upper[unsolved],
            hessian[unsolved],
        )
        free = ~(
            ((position <= 0.0) & (live_gradient >= 0.0))
            | ((position >= live_upper) & (live_gradient <= 0.0))
        )
        direction = _newton_direction(live_hessian, live_gradient, free)
        tried = position[:, None] + LENGTHS[:, None] * direction[:, None]
        tried = np.clip(tried, 0.0, live_upper[:, None]) - position[:, None]  # (live, lengths, m)
        changes = np.matmul(tried, live_hessian)
        best = np.argmin(np.sum(tried * (live_gradient[:, None] + 0.5 * changes), axis=2), axis=1)
        chosen = np.arange(len(unsolved)), best
        result[unsolved] += tried[chosen]
        gradient[unsolved] += changes[chosen]
        position, live_gradient, limit = result[unsolved], gradient[unsolved], small[unsolved, None]
        violation = np.abs(np.where(position <= 0.0, np.minimum(live_gradient, 0.0), live_gradient))
        violation = np.where(position >= live_upper, np.maximum(live_gradient, 0.0), violation)
        unsolved = unsolved[(violation > limit).any(axis=1)]
        if not len(unsolved):
            break
    return result


def _newton_direction(hessian: np.ndarray, gradient: np.ndarray, free: np.ndarray) -> np.ndarray:
    """−H⁻¹·gradient among the free entries of each problem, 0 for the others; (h, m)."""
    k = int(free.sum(axis=1).max(initial=0))
    chosen = np.argsort(~free, axis=1, kind="stable")[:, :k]
    is_free = np.take_along_axis(free, chosen, axis=1)
    number = np.arange(len(free))[:, None]
    free_hessian = hessian[number[:, :, None], chosen[:, :, None], chosen[:, None, :]]
    free_hessian = free_hessian * (is_free[:, :, None] & is_free[:, None, :])
    diagonal = free_hessian[:, np.arange(k), np.arange(k)]
    # More kinks than weights, or equal rows: any of the solutions will do.
    lifted = diagonal + 1e-9 * diagonal.max(axis=1, initial=0.0, keepdims=True) + 1e-300
    free_hessian[:, np.arange(k), np.arange(k)] = np.where(is_free, lifted, 1.0)
    free_gradient = np.take_along_axis(gradient, chosen, axis=1) * is_free
    direction = np.zeros_like(gradient)
    solved = np.linalg.solve(free_hessian, free_gradient[:, :, None])[:, :, 0]
    np.put_along_axis(direction, chosen, -solved * is_free, axis=1)
    return direction
