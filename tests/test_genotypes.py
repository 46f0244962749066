"""Genotypes: the relationship matrix, the simulation, the cache, and the encoder's coordinates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from formulas import encodings as whole_encodings

from pipeline.errors import InputError
from pipeline.genetics import genotypes, relationship
from pipeline.genetics.genotypes import load_genotypes
from pipeline.genetics.relationship import (
    Filters,
    Relationship,
    encoding_factor,
    relationship_matrix,
    standard_blocks,
)
from pipeline.genetics.simulation import Simulation
from pipeline.networks import cholesky, initial_dual, optimizer

RNG = np.random.default_rng(20)
PEOPLE, TRAINING = 60, np.arange(0, 60, 2)
COUNTS = RNG.binomial(2, RNG.uniform(0.1, 0.5, 300), (PEOPLE, 300)).astype(np.int8)


def standardized(counts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """G by its formula, in float64, of variants that all vary in these rows."""
    frequency = counts[rows].mean(axis=0) / 2.0
    deviation = np.sqrt(2.0 * frequency * (1.0 - frequency) * counts.shape[1])
    return (counts - 2.0 * frequency) / deviation


def related(blocks: list[np.ndarray], rows: np.ndarray = TRAINING) -> Relationship:
    return relationship_matrix(standard_blocks(blocks, rows, Filters()))


@pytest.mark.parametrize("block", [7, 300, 1000])
def test_the_relationship_matrix_is_g_g_transposed_in_any_blocks(block: int) -> None:
    found = related([COUNTS[:, start : start + block] for start in range(0, 300, block)])
    g = standardized(COUNTS, TRAINING)
    assert found.variants == 300 and sum(found.left_out) == 0
    np.testing.assert_allclose(found.matrix, g @ g.T, atol=2e-6)
    np.testing.assert_array_equal(found.matrix, found.matrix.T)


def test_people_outside_the_training_rows_do_not_reach_those_within() -> None:
    others = np.setdiff1d(np.arange(PEOPLE), TRAINING)
    changed = COUNTS.copy()
    changed[others] = RNG.integers(0, 3, (len(others), 300))
    among = np.ix_(TRAINING, TRAINING)
    before, after = related([COUNTS]).matrix, related([changed]).matrix
    np.testing.assert_array_equal(before[among], after[among])
    assert not np.allclose(before, after)


def test_variants_that_do_not_vary_in_the_training_rows_are_left_out() -> None:
    constant = np.zeros((PEOPLE, 4), np.int8)
    constant[:, 1], constant[:, 2] = 2, 2
    constant[1, 0] = 1  # varies, but in no training row
    found = related([np.hstack([constant[:, :3], COUNTS])])
    assert found.variants == 300 and found.left_out == (0, 3, 0, 0)
    np.testing.assert_allclose(found.matrix, related([COUNTS]).matrix, atol=1e-6)
    with pytest.raises(InputError, match=r"at least one variant must vary .* 4 do not vary"):
        related([constant])


def test_rare_variants_and_those_of_many_missing_calls_are_left_out_by_training_rows() -> None:
    counts = COUNTS[:, :6].copy()
    counts[:, :2] = 0
    counts[TRAINING[:3], 0] = 1  # frequency 3/60 among the 30 training rows
    counts[TRAINING[:2], 1] = 1  # and 2/60
    counts[TRAINING[:6], 2] = -127  # missing rate 6/30
    counts[TRAINING[:7], 3] = -127  # and 7/30
    counts[1::2, 4] = -127  # of everyone who is not in training
    counts[TRAINING, 5] = -127  # of everyone in training
    blocks = list(standard_blocks([counts], TRAINING, Filters(0.05, 0.2)))
    assert [*blocks[0].kept] == [0, 2, 4]
    assert blocks[0].left_out == (2, 0, 1, 0)
    everything = list(standard_blocks([counts], TRAINING, Filters()))
    assert [*everything[0].kept] == [0, 1, 2, 3, 4]
    assert everything[0].left_out == (1, 0, 0, 0)


def test_a_missing_call_is_the_training_mean() -> None:
    counts = COUNTS[:, :50].copy()
    missing = RNG.random(counts.shape) < 0.1
    counts[missing] = -127
    filled = np.where(missing, np.nan, counts)
    filled = np.where(missing, np.nanmean(filled[TRAINING], axis=0), filled)
    g = standardized(filled, TRAINING)
    np.testing.assert_allclose(related([counts]).matrix, g @ g.T, atol=2e-6)


@pytest.mark.parametrize(
    "counts",
    [COUNTS, COUNTS[np.arange(PEOPLE) % 20], COUNTS[:, :8]],
    ids=["more variants than people", "people who are there 3 times", "fewer variants"],
)
def test_initial_encodings_are_those_of_weights_in_variants(counts: np.ndarray) -> None:
    """factor·z = G·V₀ for everyone, with V₀ = G_tᵀ·u, u = initial_dual(L, z)."""
    n = 40
    g = standardized(counts, np.arange(n))
    relationship = related([counts], np.arange(n)).matrix
    z = np.random.default_rng(1).standard_normal((n, 500))
    weights = g[:n].T @ initial_dual(cholesky(relationship[:n, :n]), z)
    found = encoding_factor(relationship, n)
    assert found.shape == (PEOPLE, n) and found.dtype == np.float32
    np.testing.assert_allclose(found @ z, g @ weights, atol=2e-4)
    # Of training people they have covariance K_tt, as those of a dense encoder with normal weights.
    np.testing.assert_allclose(found[:n] @ found[:n].T, g[:n] @ g[:n].T, atol=5e-3)


def test_many_people_are_prepared_in_parts_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = related([COUNTS], np.arange(40)).matrix
    together = encoding_factor(matrix, 40)
    monkeypatch.setattr(relationship, "TOGETHER", 30)
    monkeypatch.setattr(relationship, "AT_A_TIME", 7)
    np.testing.assert_allclose(encoding_factor(matrix, 40), together, atol=1e-6)


def test_an_impossible_relationship_matrix_is_refused() -> None:
    with pytest.raises(InputError, match="positive semidefinite"):
        encoding_factor(np.array([[1.0, 3.0], [3.0, 1.0]], np.float32), 2)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many people relationship matrices were computed, of few variants."""
    calls: list[int] = []
    real = genotypes.relationship_matrix

    def counted(blocks):
        found = real(blocks)
        calls.append(len(found.matrix))
        return found

    monkeypatch.setattr(genotypes, "relationship_matrix", counted)
    monkeypatch.setattr(genotypes, "Simulation", lambda: Simulation(variants=50))
    return calls


OUTCOME = np.arange(40) % 2


def load(cache: Path, rows: int = 30) -> np.ndarray:
    return load_genotypes(None, OUTCOME, np.arange(rows), cache).relationship


def test_genotypes_are_computed_once_for_the_same_people(
    tmp_path: Path, computed: list[int]
) -> None:
    first = load(tmp_path / "new" / "cache")
    np.testing.assert_array_equal(load(tmp_path / "new" / "cache"), first)
    assert computed == [40]
    load(tmp_path / "new" / "cache", rows=29)
    assert computed == [40, 40]


def _damage(kind: str, matrix: Path, note: Path) -> None:
    content, told = matrix.read_bytes(), json.loads(note.read_text())
    match kind:
        case "a bit":
            matrix.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        case "cut short":
            matrix.write_bytes(content[: len(content) // 2])
        case "empty":
            matrix.write_bytes(b"")
        case "no matrix":
            matrix.write_bytes(b"PK\x03\x04" + content)
        case "a huge shape":
            matrix.write_bytes(content.replace(b"(40, 40)", b"(9999999999, 40)", 1))
        case "of others":
            told["fingerprint"] = "0" * 64
            note.write_text(json.dumps(told))
        case "note of another form":
            note.write_text("[1, 2]")
        case "note cut short":
            note.write_text(note.read_text()[:20])
        case "no note":
            note.unlink()
        case "another matrix":
            np.save(matrix, np.eye(40, dtype=np.float32))


@pytest.mark.parametrize(
    "kind",
    [
        "a bit",
        "cut short",
        "empty",
        "no matrix",
        "a huge shape",
        "of others",
        "note of another form",
        "note cut short",
        "no note",
        "another matrix",
    ],
)
def test_a_cache_that_is_not_whole_is_made_anew(
    tmp_path: Path, computed: list[int], kind: str
) -> None:
    first = load(tmp_path)
    (matrix,), (note,) = tmp_path.glob("*.npy"), tmp_path.glob("relationship-*.json")
    _damage(kind, matrix, note)
    for _ in range(2):
        np.testing.assert_array_equal(load(tmp_path), first)
    assert computed == [40, 40]


def test_a_writer_that_is_stopped_leaves_no_file(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(handle, array):
        handle.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(genotypes.np, "save", stopped)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    assert not [path for path in tmp_path.iterdir() if "part" in path.name]
    assert not list(tmp_path.glob("relationship-*"))


class _Direct:
    """The encoder's optimizer on the weights V (variants × d) themselves, in float64."""

    def __init__(self, g: np.ndarray, v: np.ndarray, rank: int) -> None:
        self.g, self.v, self.rank = g, v.copy(), rank
        self.momentum, self.second, self.step = np.zeros_like(v), np.zeros(v.shape[1]), 0

    def update(self, batch: np.ndarray, delta: np.ndarray, rate: float, decay: float) -> None:
        """delta ∂loss/∂E (b, d); V ← (1 − rate·decay)·V − rate·m̂/(√v̂ + ε)."""
        self.step += 1
        gradient = self.g[batch].T @ delta
        self.momentum = 0.9 * self.momentum + 0.1 * gradient
        mean_square = np.sum(np.square(gradient), axis=0) / self.rank
        self.second = 0.999 * self.second + 0.001 * mean_square
        size = rate / (np.sqrt(self.second / (1.0 - 0.999**self.step)) + 1e-7)
        self.v = (1.0 - rate * decay) * self.v - size * self.momentum / (1.0 - 0.9**self.step)


def _dual_step(encoder, delta, batch, k_train, step, rank, rates, decays):
    at_step = optimizer.Rates(*(x[0] for x in optimizer.rates(np.ones(1), step)))
    return optimizer.encoder_step(
        encoder,
        tf.constant(np.transpose(delta, (0, 2, 1)), tf.float32),
        tf.constant(batch),
        tf.constant(k_train[np.ix_(batch, batch)], tf.float32),
        tf.constant(float(rank)),
        tf.constant(rates, tf.float32),
        tf.constant(decays, tf.float32),
        at_step,
    )


def test_the_encoder_in_dual_coordinates_is_the_encoder_on_the_variants() -> None:
    rng = np.random.default_rng(3)
    networks, outputs, n = 2, 3, len(TRAINING)
    rates, decays = [0.01, 0.03], [0.3, 2.0]
    g = standardized(COUNTS, TRAINING)[np.r_[TRAINING, np.setdiff1d(np.arange(PEOPLE), TRAINING)]]
    k = g @ g.T
    start = rng.standard_normal((networks, g.shape[1], outputs))
    direct = [_Direct(g, start[i], n) for i in range(networks)]
    initial = tf.constant(np.stack([g @ v for v in start], axis=1), tf.float32)
    zeros = tf.zeros([n, networks, outputs])
    encoder = optimizer.Encoder(zeros, zeros, tf.zeros([networks, outputs]), tf.ones([networks, 1]))
    wanted = rng.standard_normal((PEOPLE, outputs))

    def encodings() -> np.ndarray:
        """(K, N, d)"""
        return np.transpose(whole_encodings(encoder, initial, k[:, :n]), (0, 2, 1))

    for step in range(50):
        batch = rng.permutation(n)[:11]
        # tanh keeps the gradients bounded, as a network's are, and the loss no quadratic.
        delta = np.tanh(encodings()[:, batch] - wanted[batch]) / len(batch)
        for i, reference in enumerate(direct):
            own = np.tanh(g[batch] @ reference.v - wanted[batch]) / len(batch)
            reference.update(batch, own, rates[i], decays[i])
        encoder = _dual_step(encoder, delta, batch, k[:n, :n], step, n, rates, decays)
    reached = np.stack([g @ reference.v for reference in direct])
    np.testing.assert_allclose(encodings(), reached, atol=1e-4)
    moved = np.stack([g @ v for v in start])
    assert np.abs(reached - moved).max() > 0.1  # it did train
    # The weights of the variants, V = a·(V₀ + G_tᵀ·C), are those of the reference as well.
    for i, reference in enumerate(direct):
        scale, coefficients = encoder.scale.numpy()[i], encoder.coefficients.numpy()[:, i]
        recovered = scale * (start[i] + g[:n].T @ coefficients)
        np.testing.assert_allclose(recovered, reference.v, atol=1e-4)
