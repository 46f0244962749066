"""Steps of a first layer on all rows: quasi-Newton among the weights that are not zero.

Around W the objective F = f + Ω is smooth in the weights that are not zero, and of the several
hundred directions few are steep: there L-BFGS needs a tenth of the steps that gradients with
momentum take. So steps are of two kinds, as in Curtis, Dai and Robinson (2022), by which part of
the residual W − prox_{t·Ω}(W − t·∇f) is larger:

- of weights that are not zero: W⁺ = W + α·d, d the direction of `quasi_newton` for ∇F, α the first
  of 1, … at which F falls by ARMIJO of what the slope promises. Weights that would change their
  sign (l1), and variables that would point to the other side of 0 (group lasso), become 0;
- of zeros: a proximal step, W⁺ = prox_{t·Ω}(W − t·∇f), which lets them go.

Far from a minimum, where F still falls by more than FAR in 20 steps, l1 would zero many weights too
soon along quasi-Newton directions, and end at worse minima; there accelerated proximal steps come
first (FISTA, Beck and Teboulle 2009, with the momentum restarted where it points uphill), of length
t = 1/(SAFETY·L), L the largest curvature of f around W by power iteration:

    Y  = W + ((s − 1)/s⁺)·(W − W₋)      W⁺ = prox_{t·Ω}(Y − t·∇f(Y))      s⁺ = (1 + √(1 + 4s²))/2

Shapes: h units, p columns, g variables.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.solvers.problem import (
    NO_NORM,
    RESIDUAL_STEP,
    Problem,
    curvature,
    gradient,
    loss_and_gradient,
    momentum_after,
    proximal_step,
    uphill,
    variable_norms,
)
from pipeline.solvers.quasi_newton import Pairs

FIRST_STEP = 1e-3
"""Length of the very first step, of which the next ones learn the curvature, in lengths of W."""

ARMIJO, SHORTER, MOST_TRIALS = 1e-4, (0.1, 0.5), 12
"""Share of the promised fall that is asked for; by what a step that falls less is shortened; how
often."""

NOISE, NOISE_OF_SINGLE = 1e-14, 1e-8
"""Share of the objective that rounding may make of it, in float64 and float32."""

TRIALS_IN_NOISE, MUCH_NOISE = 3, 1e-6
"""After so many trials in float32, where units do not bend, rises of up to that share are taken for
rounding, which no shorter step would get below: float64 goes on."""

FAR, STEPS_WITH_MOMENTUM = 1e-2, 20
"""Steps with momentum go on while so many lower the objective by more than this share."""

SAFETY, POWER_STEPS = 1.2, 5
"""Power iteration approaches the largest curvature from below."""

FLAT, FLAT_STEPS = 1e-6, 20
"""Steps on a ReLU network end where so many lowered the objective by less than this share: the
rest is on its kinks."""


Project = Callable[[np.ndarray], np.ndarray]
"""(h, p) → the part of it within a subspace, or all of it."""


def _all(first: np.ndarray) -> np.ndarray:
    return first


class Point(NamedTuple):
    """W (h, p), F without the decay, ∇f, and ∇F as it is where F is smooth."""

    first: np.ndarray
    objective: float
    gradient: np.ndarray
    smooth_gradient: np.ndarray


class Walk:
    """A point on a working set, and steps from there on.

    used  evaluations of F and ∇f.
    """

    def __init__(self, first: np.ndarray, problem: Problem, dtype: type):
        self._problem, self._dtype = problem, dtype
        self._evaluated = problem.in_precision(dtype)
        self._noise = NOISE_OF_SINGLE if dtype is np.float32 else NOISE
        self._most_noise = MUCH_NOISE if dtype is np.float32 and not problem.bends else 0.0
        self._pairs, self.used = Pairs(first.size), 0
        self._roots = problem.factor * np.sqrt(problem.size * len(first))
        self.here = self._at(first.astype(np.float64))
        length = max(float(np.linalg.norm(first)), FIRST_STEP)
        steepness = float(np.linalg.norm(self.here.smooth_gradient[self._free()]))
        self._step = FIRST_STEP * length / steepness if steepness else 1.0

    def on(self, tolerance: float, steps: int) -> bool:
        """Steps until the relative residual is within the tolerance or so many evaluations are
        done; whether F has stopped to fall before that."""
        problem, before = self._problem, [self.here.objective]
        while self.used < steps:
            point = self.here.first - RESIDUAL_STEP * self.here.gradient
            moved = self.here.first - proximal_step(point, RESIDUAL_STEP, problem)
            relative = variable_norms(moved, problem) / (RESIDUAL_STEP * problem.scales)
            if relative.max() <= tolerance:
                return False
            if problem.bends and len(before) > FLAT_STEPS:
                fall = before[-1 - FLAT_STEPS] - self.here.objective
                if fall < FLAT * abs(self.here.objective):
                    return True
            free = self._free()
            of_free = moved * free
            zeros_ask = np.vdot(moved, moved) > 2.0 * np.vdot(of_free, of_free)
            if not (self._proximal() if zeros_ask else self._quasi_newton(free)):
                return True
            before.append(self.here.objective)
        return False

    def along(self, project: Project, tolerance: float, steps: int) -> None:
        """Quasi-Newton steps within a subspace, until the gradient in it is within the tolerance or
        F does not fall any more, or a weight that was free has become 0."""
        problem, before, start = self._problem, self.here.objective, self.here.first != 0.0
        free, begun = self._free(), self.used
        while self.used - begun < steps:
            within = project(self.here.smooth_gradient * free)
            if (variable_norms(within, problem) / problem.scales).max() <= tolerance:
                return
            if not self._quasi_newton(free, project):
                return
            if not np.array_equal(self.here.first != 0.0, start):
                return
            if self._pairs.full:
                if before - self.here.objective < FLAT * abs(before):
                    return
                before = self.here.objective

    def with_momentum(self, steps: int) -> None:
        """Accelerated proximal steps while F still falls much."""
        problem, first = self._problem, self.here.first
        largest = curvature(first, lambda w: gradient(w, problem), POWER_STEPS)
        size, before, momentum = 1.0 / (SAFETY * largest), first, 1.0
        while self.used < steps:
            for _ in range(STEPS_WITH_MOMENTUM):
                after = momentum_after(momentum)
                point = first + ((momentum - 1.0) / after) * (first - before)
                landed = proximal_step(point - size * self._at(point).gradient, size, problem)
                momentum = 1.0 if uphill(point, landed, first) else after
                before, first = first, landed
            there = self._at(first)
            fall = self.here.objective - there.objective
            if not fall >= 0.0:
                return
            self.here = there
            if fall <= FAR * abs(there.objective):
                return

    def _at(self, first: np.ndarray) -> Point:
        self.used += 1
        loss, first_gradient = loss_and_gradient(first.astype(self._dtype), self._evaluated)
        first_gradient = first_gradient.astype(np.float64)
        problem = self._problem
        l1, l2, group = problem.lambdas
        value, smooth = loss, first_gradient
        if l1:
            value += l1 * float(problem.factor @ np.abs(first).sum(axis=0))
            smooth = smooth + (l1 * problem.factor) * np.sign(first)
        weights = l2 * problem.factor
        if group:
            norms = variable_norms(first, problem)
            norms = norms if problem.single else norms[problem.group]
            value += group * float(self._roots @ (norms / problem.size))
            weights = weights + group * self._roots / np.maximum(norms, NO_NORM)
        if l2:
            value += 0.5 * l2 * float(problem.factor @ np.einsum("hp,hp->p", first, first))
        return Point(first, value, first_gradient, smooth + weights * first)

    def _free(self) -> np.ndarray:
        """(h, p) or (p,): weights around which F is smooth, by their sign or their variable's
        norm."""
        problem, first = self._problem, self.here.first
        l1, _, group = problem.lambdas
        if l1:
            return (first != 0.0) | (problem.factor == 0.0)
        if not group:
            return np.ones(first.shape, bool)
        kept = first.any(axis=0)
        if not problem.single:
            kept = np.bincount(problem.group, kept)[problem.group] > 0.0
        return np.broadcast_to(kept | (problem.factor == 0.0), first.shape)

    def _proximal(self) -> bool:
        """A proximal step, shortened until F does not rise; whether there was one."""
        here = self.here
        for _ in range(MOST_TRIALS):
            point = here.first - self._step * here.gradient
            there = self._at(proximal_step(point, self._step, self._problem))
            if there.objective <= here.objective + self._noise * abs(here.objective):
                s, y = there.first - here.first, there.gradient - here.gradient
                product = float(np.vdot(s, y))
                self._step = product / float(np.vdot(y, y)) if product > 0.0 else 2.0 * self._step
                self._pairs.forget()
                self.here = there
                return True
            self._step *= SHORTER[1]
        return False

    def _quasi_newton(self, free: np.ndarray, project: Project = _all) -> bool:
        """A step of the free weights that lowers F enough; whether there was one."""
        uphill_of_free = project(self.here.smooth_gradient * free)
        if self._pairs.any:
            direction = self._pairs.direction(uphill_of_free.ravel()).reshape(free.shape)
            if self._line(project(direction * free), uphill_of_free, free, project):
                return True
            self._pairs.forget()
        return self._line(-self._step * uphill_of_free, uphill_of_free, free, project)

    def _line(
        self,
        direction: np.ndarray,
        uphill_of_free: np.ndarray,
        free: np.ndarray,
        project: Project,
    ) -> bool:
        """The first of ever shorter steps in this direction that lowers F enough, if any does."""
        here, share, slope = self.here, 1.0, float(np.vdot(uphill_of_free, direction))
        if not slope < 0.0:
            return False
        for trial in range(MOST_TRIALS):
            there = self._at(self._on_the_same_side(here.first + share * direction))
            s, rise = there.first - here.first, there.objective - here.objective
            promised = float(np.vdot(uphill_of_free, s))
            if rise <= ARMIJO * promised + self._noise * abs(here.objective):
                y = project(there.smooth_gradient * free) - uphill_of_free
                self._pairs.add(s.ravel(), y.ravel())
                self._step = self._pairs.step or self._step
                self.here = there
                return True
            within_noise = abs(rise) <= self._most_noise * abs(here.objective)
            if within_noise and trial >= TRIALS_IN_NOISE:
                return False
            bend = 2.0 * (rise - share * slope)
            least = -share * slope / bend if bend > 0.0 else SHORTER[1]  # of the parabola
            share *= float(np.clip(least, *SHORTER))
        return False

    def _on_the_same_side(self, first: np.ndarray) -> np.ndarray:
        """With 0 in place of penalized weights of another sign, and of variables that point to the
        other side of 0."""
        problem, before = self._problem, self.here.first
        l1, _, group = problem.lambdas
        if l1:
            first = np.where((first * before < 0.0) & (problem.factor > 0.0), 0.0, first)
        if group:
            products = np.einsum("hp,hp->p", first, before)
            if not problem.single:
                products = np.bincount(problem.group, products)[problem.group]
            first = first * ((products > 0.0) | (problem.factor == 0.0))
        return first
