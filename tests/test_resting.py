"""Encoder dimensions that rest: what moves is as if all did, and what rests is looked up."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from pipeline.networks import optimizer, resting

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


def known_where(moves, encoder, initial, relationship):
    known = resting.initial_known(initial, PEOPLE)
    changed = resting.Moving.where(~moves)
    rests = tf.gather(tf.constant(~moves.ravel()), changed.pairs)
    return resting.known_after(known, changed, rests, initial, encoder.coefficients, relationship)


def test_encodings_are_those_of_the_whole_encoder(world):
    encoder, initial, relationship, moves, _ = world
    known = known_where(moves, encoder, initial, relationship)
    moving = resting.Moving.where(moves)
    some = resting.of_moving(encoder, moving)
    found = resting.encode(some, moving, known, relationship)
    whole = optimizer.encode(encoder, initial, relationship)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)


def test_who_moves_steps_as_if_all_did_and_who_rests_stays(world):
    encoder, _, relationship, moves, rng = world
    batch = tf.constant(rng.permutation(TRAINED)[:BATCH], tf.int32)
    among = tf.gather(tf.gather(relationship, batch), batch, axis=1)
    gradient = rng.normal(size=(SLOTS, DIMENSIONS, BATCH)).astype(np.float32)
    gradient *= moves[:, :, None]
    rate, decay = (tf.constant(rng.uniform(0.01, 0.1, SLOTS), tf.float32) for _ in range(2))
    rates = optimizer.Rates(*map(tf.constant, (1.0, 0.1, 1.5)))
    arguments = gradient, batch, among, tf.constant(30.0), rate, decay, rates
    whole = optimizer.encoder_step(encoder, *arguments)
    moving = resting.Moving.where(moves)
    moved = resting.encoder_step(resting.of_moving(encoder, moving), moving, *arguments)
    found = resting.with_moved(encoder, moved, moving)
    for name, axes in (("coefficients", 1), ("momentum", 1), ("second", 0)):
        after, all_moved, before = (
            np.moveaxis(getattr(each, name).numpy(), (axes, axes + 1), (0, 1))
            for each in (found, whole, encoder)
        )
        np.testing.assert_allclose(after[moves], all_moved[moves], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(after[~moves], before[~moves])
    np.testing.assert_array_equal(found.scale, whole.scale)


def test_who_moves_again_starts_from_the_first_encodings(world):
    encoder, initial, relationship, moves, _ = world
    known = known_where(moves, encoder, initial, relationship)
    changed = resting.Moving.where(~moves)
    none = tf.zeros(len(changed.pairs), tf.bool)
    again = resting.known_after(known, changed, none, initial, encoder.coefficients, relationship)
    np.testing.assert_array_equal(again, resting.initial_known(initial, PEOPLE))


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
