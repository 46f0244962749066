"""Encoder dimensions that rest: what moves is as if all did, and what rests is looked up."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from formulas import encodings

from pipeline.networks import optimizer, resting
from pipeline.training.resting_encoder import RestingEncoder

PEOPLE, TRAINED, SLOTS, DIMENSIONS, BATCH = 40, 30, 5, 4, 7


@pytest.fixture
def world():
    rng = np.random.default_rng(8)

    def normal(*shape):
        return tf.constant(rng.normal(size=shape), tf.float32)

    genotypes = rng.normal(size=(PEOPLE, 60))
    relationship = tf.constant(genotypes @ genotypes[:TRAINED].T / 60, tf.float32)
    encoder = optimizer.Encoder(
        normal(TRAINED, SLOTS, DIMENSIONS),
        normal(TRAINED, SLOTS, DIMENSIONS),
        tf.abs(normal(SLOTS, DIMENSIONS)),
        tf.constant(rng.uniform(0.5, 1.0, (SLOTS, 1)), tf.float32),
    )
    moves = rng.random((SLOTS, DIMENSIONS)) < 0.4
    return encoder, normal(PEOPLE, SLOTS, DIMENSIONS), relationship, moves, rng


def resting_encoder(encoder, initial, relationship, asked=None):
    """asked: a list that gets the coefficients of which K·C is asked for."""

    def learned(coefficients):
        if asked is not None:
            asked.append(coefficients.numpy())
        return resting.learned(relationship, coefficients)

    return RestingEncoder(encoder, initial, learned)


def assert_same_encoder(found, expected):
    for name in expected._fields:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)


def test_encodings_are_those_of_the_whole_encoder(world):
    encoder, initial, relationship, moves, _ = world
    part = resting_encoder(encoder, initial, relationship)
    moving, known = part.prepared(moves)
    found = resting.encode(part.moving_encoder, moving, known, relationship)
    whole = encodings(encoder, initial, relationship)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)


def test_who_moves_steps_as_if_all_did_and_who_rests_stays(world):
    encoder, initial, relationship, moves, rng = world
    batch = tf.constant(rng.permutation(TRAINED)[:BATCH], tf.int32)
    among = tf.gather(tf.gather(relationship, batch), batch, axis=1)
    gradient = rng.normal(size=(SLOTS, DIMENSIONS, BATCH)).astype(np.float32)
    gradient *= moves[:, :, None]
    rate, decay = (tf.constant(rng.uniform(0.01, 0.1, SLOTS), tf.float32) for _ in range(2))
    rates = optimizer.Rates(*map(tf.constant, (1.0, 0.1, 1.5)))
    arguments = gradient, batch, among, tf.constant(30.0), rate, decay, rates
    whole = optimizer.encoder_step(encoder, *arguments)
    part = resting_encoder(encoder, initial, relationship)
    moving, _ = part.prepared(moves)
    part.moving_encoder = resting.encoder_step(part.moving_encoder, moving, *arguments)
    found = part.whole()
    for name, axes in (("coefficients", 1), ("momentum", 1), ("second", 0)):
        after, all_moved, before = (
            np.moveaxis(getattr(each, name).numpy(), (axes, axes + 1), (0, 1))
            for each in (found, whole, encoder)
        )
        np.testing.assert_allclose(after[moves], all_moved[moves], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(after[~moves], before[~moves])
    np.testing.assert_array_equal(found.scale, whole.scale)
    for slot in range(SLOTS):
        np.testing.assert_array_equal(part.coefficients(slot), found.coefficients[:, slot])


def test_who_moves_again_starts_from_the_first_encodings(world):
    encoder, initial, relationship, moves, _ = world
    part = resting_encoder(encoder, initial, relationship)
    part.prepared(moves)
    _, known = part.prepared(np.ones_like(moves))
    np.testing.assert_array_equal(known, tf.reshape(initial, [PEOPLE, -1]))
    assert_same_encoder(part.whole(), encoder)


def test_pairs_may_come_and_go_in_any_order_and_nothing_is_lost(world):
    encoder, initial, relationship, _, rng = world
    part, asked = None, []
    for share in (0.7, 0.1, 0.9, 0.0, 0.5, 0.5, 1.0, 0.2):
        moves = rng.random((SLOTS, DIMENSIONS)) < share
        part = part or resting_encoder(encoder, initial, relationship, asked)
        moving, known = part.prepared(moves)
        # What moves is stepped: here every number of it is multiplied by 2 and 3.
        before, (*dual, second, scale) = part.whole(), part.moving_encoder
        part.moving_encoder = optimizer.Encoder(2 * dual[0], 3 * dual[1], second + 1, scale)
        after = part.whole()
        by = np.where(moves, 2.0, 1.0), np.where(moves, 3.0, 1.0)
        np.testing.assert_array_equal(after.coefficients, before.coefficients * by[0])
        np.testing.assert_array_equal(after.momentum, before.momentum * by[1])
        np.testing.assert_array_equal(after.second, before.second + moves)
        found = resting.encode(part.moving_encoder, moving, known, relationship)
        whole = encodings(after, initial, relationship)
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-4 * np.abs(whole).max())
    assert all(c.shape[1] % resting.PAIRS_AT_ONCE == 0 for c in asked)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_pairs_fill_whole_panels(share):
    chosen = np.random.default_rng(1).random((20, 7)) < share
    moving = resting.Moving.where(chosen)
    assert len(moving.pairs) % resting.PAIRS_AT_ONCE == 0
    place = moving.place.numpy()
    at = np.flatnonzero(chosen)
    np.testing.assert_array_equal(moving.pairs.numpy()[place[at]], at)
    assert (np.delete(place, at) == len(moving.pairs)).all()
    np.testing.assert_array_equal(moving.networks, moving.pairs.numpy() // 7)
