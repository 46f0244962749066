"""Ancestry: leading principal components of the training people's genotypes, and of everyone else.

With K_tt = U·Λ·Uᵀ of the n training people, λ_1 ≥ λ_2 ≥ …, component k of person i is

    PC_ik = √n/λ_k · Σ_j K_ij·u_jk = Σ_v G_iv·(√n/λ_k · G_tᵀ·u_k)_v

over training people j, or variants v. Over the training people it has mean 0 and variance 1, since
their standardized genotypes have mean 0 (Price et al. 2006). Everyone else is projected: the sum
over variants gives the component of anybody with genotypes, and depends on nobody else's. Where
variants are many more than people, people who are projected lie nearer to 0 than those in training.

The sign of u_k, which is arbitrary, is such that its entry of largest absolute value is positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from pipeline.errors import InputError
from pipeline.genetics.relationship import people_at_a_time

LEAST_SHARE = 1e-5
"""Of the mean diagonal of K_tt: a direction of a smaller λ is none, in float32."""


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """scores (N, c) of everyone, rows as in K; dual (n, c) √n/λ_k·u_k, of which G_tᵀ·dual are the
    weights of variants; share (c,) of the variance of training people's genotypes."""

    scores: np.ndarray
    dual: np.ndarray
    share: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        return component_names(self.dual.shape[1])


def component_names(components: int) -> tuple[str, ...]:
    """PC1, PC2 and so on."""
    return tuple(f"PC{k}" for k in range(1, components + 1))


def principal_components(
    relationship: np.ndarray, training_rows: np.ndarray, components: int
) -> PrincipalComponents:
    """Of K (N, N); InputError where training people differ in fewer directions."""
    n = len(training_rows)
    among = np.array(relationship[np.ix_(training_rows, training_rows)], np.float64)
    mean_diagonal = float(np.mean(np.diag(among)))
    trace = mean_diagonal * n
    wanted = min(components, n)
    values, vectors = eigh(among, subset_by_index=[n - wanted, n - 1], overwrite_a=True)
    values, vectors = values[::-1], vectors[:, ::-1]
    usable = int((values > LEAST_SHARE * mean_diagonal).sum())
    if components > usable:
        raise InputError(
            "principal_components must be at most the number of directions in which training "
            f"people's genotypes differ, but got {components} and there are {usable}; give a "
            "smaller number"
        )
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(components)]
    dual = np.sqrt(n) * vectors * np.sign(largest) / values
    scores = np.empty((len(relationship), components))
    for people in people_at_a_time(len(relationship)):
        scores[people] = np.asarray(relationship[people][:, training_rows], np.float64) @ dual
    return PrincipalComponents(scores, dual, values / trace)
