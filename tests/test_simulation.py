"""Simulated genotypes: the model of disease, and the frequencies and linkage of a population."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pipeline.genetics.simulation import ANCESTORS, BLOCK_VARIANTS, Simulation, simulated_blocks


def drawn(outcome: np.ndarray, **decides) -> tuple[np.ndarray, np.ndarray, list]:
    """Counts (N, variants), effects (variants,), and the blocks' variants."""
    blocks = list(simulated_blocks(outcome, Simulation(**decides)))
    counts = np.hstack([block.counts for block in blocks])
    return counts, np.concatenate([b.effects for b in blocks]), [b.variants for b in blocks]


CONTROLS_AND_CASES = np.repeat([0, 1], [9000, 6000])


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray, list]:
    return drawn(CONTROLS_AND_CASES, variants=2000, score_auroc=0.7, seed=3)


def test_a_logistic_regression_finds_the_effects_and_none_of_a_neighbor(many) -> None:
    counts, effects, _ = many
    causal = np.flatnonzero(effects)
    assert len(causal) == 20
    # A neighbor is linked to the causal variant, and has no effect of its own.
    neighbors = np.where(causal % BLOCK_VARIANTS > 0, causal - 1, causal + 1)
    x = counts[:, np.r_[causal, neighbors]].astype(float)
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=500).fit(x, CONTROLS_AND_CASES)
    chance = expit(fitted.decision_function(x))
    z = np.column_stack([np.ones(len(x)), x])
    information = (z * (chance * (1.0 - chance))[:, None]).T @ z
    error = np.sqrt(np.diag(np.linalg.inv(information))[1:])
    scores = (fitted.coef_[0] - np.r_[effects[causal], np.zeros(20)]) / error
    assert np.abs(scores).max() < 4.0
    assert 0.7 < scores.std() < 1.3
    assert np.abs(effects[causal] / error[:20]).max() > 10.0  # there is something to find
    linked = np.corrcoef(x[CONTROLS_AND_CASES == 0].T)[np.arange(20), np.arange(20, 40)]
    assert np.mean(np.square(linked)) > 0.1


def test_controls_are_in_hardy_and_weinbergs_equilibrium(many) -> None:
    controls = many[0][CONTROLS_AND_CASES == 0]
    frequency = controls.mean(axis=0) / 2.0
    heterozygous = (controls == 1).mean(axis=0)
    assert abs(np.mean(heterozygous - 2.0 * frequency * (1.0 - frequency))) < 1e-3


@pytest.mark.parametrize("asked", [0.55, 0.65, 0.8])
def test_the_true_score_has_the_auroc_that_was_asked_for(asked: float) -> None:
    outcome = np.arange(4000) % 2
    counts, effects, _ = drawn(outcome, variants=3000, score_auroc=asked)
    assert roc_auc_score(outcome, counts @ effects) == pytest.approx(asked, abs=0.03)


def test_no_effect_leaves_nothing_to_predict() -> None:
    outcome = np.repeat([0, 1], 3000)
    counts, effects, _ = drawn(outcome, variants=1000, causal=0)
    assert not effects.any()
    cases, controls = counts[outcome == 1], counts[outcome == 0]
    error = np.sqrt(2.0 * counts.var(axis=0) / 3000)
    scores = (cases.mean(axis=0) - controls.mean(axis=0)) / error
    assert np.abs(scores).max() < 5.0
    assert scores.std() < 1.3


def test_only_as_many_blocks_as_asked_have_a_causal_variant() -> None:
    _, effects, _ = drawn(np.arange(20) % 2, variants=1000, causal=4)
    assert np.count_nonzero(effects) == 4


def test_linkage_falls_with_distance_as_the_coalescent_expects() -> None:
    """E[r²] of common variants is near (10 + ρ)/(22 + 13ρ + ρ²) (Ohta and Kimura 1971)."""
    counts, _, variants = drawn(np.zeros(2000), variants=4000, seed=1)
    frequency = counts.mean(axis=0) / 2.0
    common = np.minimum(frequency, 1.0 - frequency) > 0.05
    z = (counts - counts.mean(axis=0)) / counts.std(axis=0)
    apart, squared = [], []
    for start, block in zip(range(0, 4000, BLOCK_VARIANTS), variants):
        own = np.flatnonzero(common[start : start + BLOCK_VARIANTS])
        r = z[:, start + own].T @ z[:, start + own] / len(z)
        i, j = np.triu_indices(len(own), 1)
        apart.append(np.abs(block.position[own][i] - block.position[own][j]))
        squared.append(np.square(r[i, j]))
    apart, squared = np.concatenate(apart), np.concatenate(squared)
    for low, high in ((3e3, 8e3), (1e4, 3e4), (4e4, 6e4), (9e4, 11e4), (19e4, 21e4)):
        rho = 4 * 3100 * 1e-8 * (low + high) / 2
        expected = (10 + rho) / (22 + 13 * rho + rho**2)
        seen = squared[(apart > low) & (apart < high)].mean()
        assert 0.7 * expected < seen < 1.3 * expected
    between = np.square(z[:, :BLOCK_VARIANTS].T @ z[:, BLOCK_VARIANTS : 2 * BLOCK_VARIANTS] / 2000)
    assert between.mean() == pytest.approx(1 / 2000, rel=0.2)


def test_rare_variants_are_many_as_under_the_neutral_model() -> None:
    """Folded: i copies of H in the pool with probability ∝ 1/i + 1/(H − i) (Watterson 1975)."""
    counts, _, _ = drawn(np.zeros(4000), variants=10_000, seed=2)
    frequency = counts.mean(axis=0) / 2.0
    minor = np.minimum(frequency, 1.0 - frequency)
    copies = np.arange(2, ANCESTORS // 2 + 1)
    chance = 1.0 / copies + 1.0 / (ANCESTORS - copies)
    chance[-1] /= 2.0
    upto = np.cumsum(chance) / chance.sum()
    for i in (4, 10, 30, 60):  # i copies of H, and half a copy more
        assert (minor < (i + 0.5) / ANCESTORS).mean() == pytest.approx(upto[i - 2], abs=0.04)


@pytest.mark.parametrize("size", [1, 99, 100, 250, 7001])
def test_variants_have_places_ids_and_two_alleles(size: int) -> None:
    counts, effects, blocks = drawn(np.arange(10) % 2, variants=size)
    assert counts.shape == (10, size) and effects.shape == (size,)
    assert counts.dtype == np.int8 and set(np.unique(counts)) <= {0, 1, 2}
    chromosome, position, ids, first, second = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("chromosome", "position", "id", "allele_1", "allele_2")
    )
    places = list(zip(chromosome.astype(int), position))
    assert places == sorted(set(places))
    assert chromosome.astype(int).min() >= 1 and chromosome.astype(int).max() <= 22
    assert position.min() > 0
    assert len(set(ids)) == size
    assert (first != second).all() and set(first) <= set("ACGT")


def test_the_same_seed_draws_the_same_and_another_seed_others() -> None:
    outcome = np.arange(50) % 2
    first, second = (drawn(outcome, variants=300, seed=5)[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, drawn(outcome, variants=300, seed=6)[0])
