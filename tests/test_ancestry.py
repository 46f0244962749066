"""Principal components: those of training people, by independent computations, and of others."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pipeline.errors import InputError
from pipeline.genetics import Filters, principal_components, relationship_matrix, standard_blocks

PEOPLE, VARIANTS, TRAINING = 90, 400, np.arange(0, 90, 3)
RNG = np.random.default_rng(4)
SUBGROUP = RNG.integers(0, 3, PEOPLE)
FREQUENCY = RNG.uniform(0.1, 0.9, (3, VARIANTS))
"""Three populations, so that two components stand out."""

COUNTS = RNG.binomial(2, FREQUENCY[SUBGROUP]).astype(np.int8)
COUNTS[RNG.random(COUNTS.shape) < 0.02] = -127


def related(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """K, and G of everyone in float64, by blocks as a study has them."""
    blocks = list(standard_blocks([counts[:, :150], counts[:, 150:]], TRAINING, Filters()))
    variants = sum(len(b.kept) for b in blocks)
    g = np.hstack([b.genotypes for b in blocks]).astype(float) / np.sqrt(variants)
    return relationship_matrix(blocks).matrix, g


def signed(scores: np.ndarray, like: np.ndarray) -> np.ndarray:
    return scores * np.sign((scores * like).sum(axis=0))


def test_they_are_those_of_numpy_and_of_scikit_learn_and_everyone_else_is_projected() -> None:
    relationship, g = related(COUNTS)
    found = principal_components(relationship, TRAINING, 4)
    assert found.names == ("PC1", "PC2", "PC3", "PC4") and found.scores.shape == (PEOPLE, 4)
    n = len(TRAINING)
    values, vectors = np.linalg.eigh(g[TRAINING] @ g[TRAINING].T)
    theirs = g @ (g[TRAINING].T @ vectors[:, ::-1][:, :4]) * np.sqrt(n) / values[::-1][:4]
    np.testing.assert_allclose(found.scores, signed(theirs, found.scores), atol=2e-3)
    pca = PCA(4, whiten=True, svd_solver="full").fit(g[TRAINING])
    theirs = pca.transform(g) * np.sqrt(n / (n - 1))
    np.testing.assert_allclose(found.scores, signed(theirs, found.scores), atol=2e-3)
    np.testing.assert_allclose(found.share, pca.explained_variance_ratio_, rtol=1e-4)
    np.testing.assert_allclose(found.scores[TRAINING].mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(found.scores[TRAINING].std(axis=0), 1, atol=1e-3)
    of_variants = g @ (g[TRAINING].T @ found.dual)
    np.testing.assert_allclose(of_variants, found.scores, atol=1e-3)
    others = np.setdiff1d(np.arange(PEOPLE), TRAINING)
    for k in range(2):  # the populations stand apart in people who had no say, too
        means = [found.scores[others][SUBGROUP[others] == s, k].mean() for s in range(3)]
        assert np.ptp(means) > 1


def test_only_training_people_have_a_say() -> None:
    changed = COUNTS.copy()
    others = np.setdiff1d(np.arange(PEOPLE), TRAINING)
    changed[others] = RNG.integers(0, 3, (len(others), VARIANTS))
    before, after = (principal_components(related(c)[0], TRAINING, 3) for c in (COUNTS, changed))
    np.testing.assert_array_equal(before.dual, after.dual)
    np.testing.assert_array_equal(before.scores[TRAINING], after.scores[TRAINING])
    assert not np.allclose(before.scores[others], after.scores[others])


def test_more_than_there_are_directions_are_refused() -> None:
    relationship, _ = related(COUNTS)
    with pytest.raises(InputError, match=r"got 30 and there are 29; give a smaller number"):
        principal_components(relationship, TRAINING, 30)
    few, _ = related(COUNTS[:, 145:155])
    with pytest.raises(InputError, match=r"got 11 and there are 10"):
        principal_components(few, TRAINING, 11)
