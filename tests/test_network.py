"""K networks at once, against Keras one at a time and TensorFlow's automatic differentiation."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pipeline.networks import network, penalties
from pipeline.networks.architecture import ACTIVATIONS
from pipeline.networks.network import Architecture, Layer, Weights
from pipeline.solvers import problem

ROWS, SHARED, GENETIC = 17, 4, 3


def architecture(sizes=(6, 5), activation="relu", outputs=1, genetic=GENETIC):
    return Architecture(SHARED, genetic, sizes, outputs, activation)


def inputs(networks, genetic=GENETIC, dtype=np.float64):
    rng = np.random.default_rng(0)
    columns = np.concatenate([rng.normal(size=(ROWS, SHARED)), np.ones((ROWS, 1))], axis=1)
    encodings = rng.normal(size=(networks, genetic, ROWS)) if genetic else None
    return columns.astype(dtype), None if encodings is None else encodings.astype(dtype)


def doubled(weights):
    return tf.nest.map_structure(lambda x: tf.cast(x, tf.float64), weights)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_predictions_equal_keras(activation):
    arch = architecture(activation=activation)
    weights = network.initial_weights(arch, [3, 8])
    columns, encodings = inputs(2, dtype=np.float32)
    found = network.forward(weights, columns, encodings, arch).predictions.numpy()
    for k in range(2):
        first = weights.first[k].numpy()
        # Keras has the bias apart; here it is the column after the shared ones.
        kernels = [
            np.delete(first, SHARED, axis=1).T,
            *(w.weights[k].numpy().T for w in weights.later),
        ]
        biases = [first[:, SHARED], *(w.bias[k, :, 0].numpy() for w in weights.later)]
        gelu = lambda x: keras.activations.gelu(x, approximate=False)  # noqa: E731
        layers = [
            keras.layers.Dense(b.size, activation=gelu if activation == "gelu" else activation)
            for b in biases[:-1]
        ]
        model = keras.Sequential([keras.Input((SHARED + GENETIC,)), *layers, keras.layers.Dense(1)])
        for layer, kernel, bias in zip(model.layers, kernels, biases, strict=True):
            layer.set_weights([kernel, bias])
        x = np.concatenate([columns[:, :SHARED], encodings[k].T], axis=1)
        np.testing.assert_allclose(found[k, 0], model(x).numpy()[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(), (6,), (6, 5, 4)])
@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_gradients_equal_automatic_differentiation(activation, sizes, task, outputs):
    arch = architecture(sizes, activation, outputs)
    weights = doubled(network.initial_weights(arch, [1, 2]))
    columns, encodings = inputs(2)
    encodings = tf.constant(encodings)
    rng = np.random.default_rng(4)
    if task == "regression":
        target = rng.normal(size=(1, ROWS))
    elif task == "binary":
        target = (rng.random((1, ROWS)) < 0.4).astype(float)
    else:
        target = np.eye(3)[rng.integers(3, size=ROWS)].T
    with tf.GradientTape() as tape:
        tape.watch((weights, encodings))
        seen = network.forward(weights, columns, encodings, arch)
        loss = tf.reduce_mean(network.row_losses(seen.predictions, target, task), axis=1)
        total = tf.reduce_sum(loss)
    expected, expected_encodings = tape.gradient(total, (weights, encodings))
    upstream = network.loss_gradient(seen.predictions, target, task) / ROWS
    found, to_encodings = network.backward(weights, columns, encodings, seen, upstream, arch)
    for mine, theirs in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(to_encodings, expected_encodings, rtol=1e-7, atol=1e-12)


def test_losses_worked_by_hand():
    log2 = np.log(2.0)
    binary = network.row_losses(np.zeros((1, 1, 2)), np.array([[0.0, 1.0]]), "binary")
    np.testing.assert_allclose(binary, [[log2, log2]])
    classes = network.row_losses(np.zeros((1, 4, 1)), np.eye(4)[:, :1], "multiclass")
    np.testing.assert_allclose(classes, [[np.log(4.0)]])
    quantity = network.row_losses(np.array([[[3.0]]]), np.array([[1.0]]), "regression")
    np.testing.assert_allclose(quantity, [[2.0]])  # ½·2²
    huge = network.row_losses(np.array([[[1e4, -1e4]]]), np.array([[0.0, 0.0]]), "binary")
    np.testing.assert_allclose(huge, [[1e4, 0.0]])


def test_initial_weights_depend_on_the_seed_alone():
    arch = architecture()
    together = network.initial_weights(arch, [7, 1, 7, 2])
    alone = network.initial_weights(arch, [1])
    assert np.array_equal(together.first[1], alone.first[0])
    assert np.array_equal(together.first[0], together.first[2])
    assert not np.array_equal(together.first[0], together.first[3])
    limit = np.sqrt(6.0 / (SHARED + GENETIC + 6))
    spread = np.delete(together.first.numpy(), SHARED, axis=2)
    assert np.abs(spread).max() <= limit and spread.std() == pytest.approx(limit / 3**0.5, rel=0.2)
    assert np.all(together.first.numpy()[:, :, SHARED] == 0.0), "biases start at zero"


def test_dropped_units_are_the_same_in_every_network_and_keep_the_mean():
    arch = Architecture(SHARED, 0, (400,), 1, "relu", dropout=0.25)
    one = network.initial_weights(arch, [5])
    both = tf.nest.map_structure(lambda x: tf.concat([x, x], axis=0), one)
    columns, _ = inputs(2, genetic=0, dtype=np.float32)
    seed = tf.constant([1, 2])
    alone = network.forward(one, columns, None, arch, seed)
    beside = network.forward(both, columns, None, arch, seed)
    np.testing.assert_allclose(beside.predictions[1], alone.predictions[0], rtol=1e-6)
    full = network.forward(one, columns, None, arch).after[0].numpy()
    dropped = alone.after[0].numpy()
    lost = np.mean((dropped == 0) & (full != 0)) / np.mean(full != 0)
    assert lost == pytest.approx(0.25, abs=0.03)
    kept = (dropped != 0) & (full != 0)
    np.testing.assert_allclose(dropped[kept], full[kept] / 0.75, rtol=1e-6)


def test_layers_are_contiguous_by_network():
    weights = network.initial_weights(architecture(), [0, 1, 2])
    assert isinstance(weights, Weights) and all(isinstance(w, Layer) for w in weights.later)
    assert weights.first.shape == (3, 6, SHARED + 1 + GENETIC)
    assert [w.weights.shape for w in weights.later] == [(3, 5, 6), (3, 1, 5)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(), (6,), (6, 5, 4)])
@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("regression", 1)])
def test_training_in_tensorflow_and_solving_in_numpy_are_one_formula(
    activation, sizes, task, outputs
):
    """Loss, gradient, penalty and proximal step of the two implementations, to rounding."""
    rng = np.random.default_rng(3)
    arch = Architecture(SHARED, 0, sizes, outputs, activation)
    weights = doubled(network.initial_weights(arch, [5]))
    columns, _ = inputs(1, genetic=0)
    target = {
        "regression": rng.normal(size=(1, ROWS)),
        "binary": (rng.random((1, ROWS)) < 0.4).astype(float),
        "multiclass": np.eye(3)[rng.integers(3, size=ROWS)].T,
    }[task]
    share = rng.dirichlet(np.ones(ROWS))
    group, factor = np.array([0, 1, 1, 2, 3]), np.array([1.0, 1.0, 1.0, 2.0, 0.0])
    lambdas, groups = (0.03, 0.2, 0.05), penalties.groups(group, factor, tf.float64)
    later = tuple((w[0].numpy(), b[0].numpy()) for w, b in weights.later)
    solved = problem.Problem(
        columns, target, share, task, activation, later, lambdas, group, groups.size.numpy(), factor
    )
    first = weights.first[0].numpy()
    seen = network.forward(weights, columns, None, arch)
    upstream = network.loss_gradient(seen.predictions, target, task) * share
    trained, _ = network.backward(weights, columns, None, seen, upstream, arch)
    loss, slope = problem.loss_and_gradient(first, solved)
    np.testing.assert_allclose(slope, trained.first[0], rtol=1e-9, atol=1e-13)
    losses = network.row_losses(seen.predictions, target, task)[0].numpy()
    assert loss == pytest.approx(losses @ share, rel=1e-12)
    each = penalties.Lambdas(*(tf.constant([x], tf.float64) for x in lambdas))
    value = penalties.value(weights.first, each, groups).numpy()[0]
    assert problem.penalty(first, solved) == pytest.approx(value, rel=1e-12)
    steps = tf.fill([1, SHARED + 1], tf.constant(0.3, tf.float64))
    moved = penalties.proximal_step(weights.first, steps, each, groups).numpy()[0]
    np.testing.assert_allclose(problem.proximal_step(first, 0.3, solved), moved, atol=1e-15)
