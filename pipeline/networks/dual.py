"""Where an encoder starts, as a combination of its training people's genotypes.

V₀ = G_tᵀ·u with u = L⁻ᵀ·z, z standard normal and L·Lᵀ = K_tt, is normal with variance 1/variants in
the span of the training people's genotypes, and 0 outside it.

Shapes: n training people.
"""

from __future__ import annotations

import numpy as np

from pipeline.errors import InputError
from pipeline.process import factor, solve

JITTER = 1e-3
"""Of the mean diagonal: lets people be duplicated or outnumber the variants, and changes the
variance of initial encodings by as much, nothing else."""


def initial_dual(lower: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """u = L⁻ᵀ·z (n, ·) float64 with V₀ = G_tᵀ·u; lower L (n, n), drawn z (n, ·)."""
    return solve(lower, drawn, transposed=True)


def cholesky(relationship: np.ndarray) -> np.ndarray:
    """L (n, n) float64 of K_tt with JITTER times its mean diagonal added to the diagonal."""
    matrix = np.array(relationship, np.float64, order="F")
    matrix[np.diag_indices(len(matrix))] += JITTER * np.mean(np.diag(matrix))
    info = factor(matrix)
    if info != 0:
        raise InputError(
            "the genomic relationship matrix must be positive semidefinite, but its factorization "
            f"failed at person {info}: check the genotypes for impossible values"
        )
    return matrix
