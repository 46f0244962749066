"""A network's result is its own: whoever trains beside it, in any order, and however they end."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from small_data import ROWS, architecture, small, spec, train

from pipeline.networks import Architecture
from pipeline.networks.types import Schedule
from pipeline.training import population as parts
from pipeline.training.tensors import genetic_draws, initial_encodings
from pipeline.training.training import Population


def assert_same(network, other):
    """To the last bit."""
    assert network.failure is other.failure is None
    assert (network.best_epoch, network.final_epoch) == (other.best_epoch, other.final_epoch)
    for name in ("predictions", "final_predictions", "first_layer", "first_layer_final", "kept"):
        assert np.array_equal(getattr(network, name), getattr(other, name)), name
    np.testing.assert_equal(network.curves, other.curves)
    for name in ("kkt_residual", "kkt_residual_absolute", "objective"):
        assert getattr(network, name) == getattr(other, name), name


def hundred():
    """All regularizers, seeds and rates mixed."""
    strengths = np.geomspace(0.002, 0.05, 100)
    kinds = ("lambda_group", "lambda_l1", "lambda_l2")
    return [
        spec(i % 7, learning_rate=0.005 * (1 + i % 3), **{kinds[i % 3]: strength})
        for i, strength in enumerate(strengths)
    ]


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
@pytest.mark.parametrize(
    ("sizes", "activation"), [((8,), "tanh"), ((50,), "relu"), ((5, 3), "gelu"), ((), "relu")]
)
def test_alone_among_10_and_among_100_in_any_order_the_result_is_the_same(
    sizes, activation, genetic_dimensions
):
    data = small(genetic_dimensions=genetic_dimensions)
    shape = architecture(data, sizes, activation)
    specs = hundred()
    together = train(data, specs, shape)
    order = np.random.default_rng(1).permutation(100)
    for i, network in zip(order, train(data, [specs[i] for i in order], shape), strict=True):
        assert_same(network, together[i])
    for i, network in zip(order[:10], train(data, [specs[i] for i in order[:10]], shape)):
        assert_same(network, together[i])
    for i in order[:3]:
        assert_same(train(data, [specs[i]], shape)[0], together[i])


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
def test_on_any_number_of_cores_the_result_is_the_same(monkeypatch, genetic_dimensions):
    data, specs, slots, found = small(genetic_dimensions=genetic_dimensions), hundred()[:20], [], []
    for cores in (1, 2, 7):
        monkeypatch.setattr(parts, "cores", lambda cores=cores: cores)
        population = Population(data, architecture(data), specs, Schedule())
        slots.append([len(part.state.first) for part in population.parts])
        found.append(train(data, specs))
    assert len({len(each) for each in slots}) == len({each[0] for each in slots}) == 3
    for one, two, seven in zip(*found, strict=True):
        assert_same(two, one)
        assert_same(seven, one)


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
def test_the_same_population_twice_gives_the_same_numbers(genetic_dimensions):
    data = small(genetic_dimensions=genetic_dimensions)
    shape = architecture(data, (8, 5), "relu", dropout=0.2)
    once, twice = (train(data, hundred()[:20], shape) for _ in range(2))
    for a, b in zip(once, twice, strict=True):
        assert np.array_equal(a.predictions, b.predictions)
        assert np.array_equal(a.final_predictions, b.final_predictions)
        assert np.array_equal(a.first_layer_final, b.first_layer_final)
        assert a.curves == b.curves
        assert (a.kkt_residual, a.objective) == (b.kkt_residual, b.objective)


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
def test_who_runs_out_of_patience_leaves_and_disturbs_nobody(genetic_dimensions):
    data = small(genetic_dimensions=genetic_dimensions)
    specs, given = hundred()[::5], {"epochs": 30, "patience_epochs": 4}
    staying = []
    together = train(data, specs, **given)
    for network in together:
        curve = np.array(network.curves["score"])
        assert len(curve) == network.final_epoch
        waited = network.final_epoch - network.best_epoch
        assert waited == 4 or (network.final_epoch == 30 and waited < 4)
        staying.append(network.final_epoch)
    assert min(staying) < 30 and len(set(staying)) > 3
    for i in (int(np.argmin(staying)), int(np.argmax(staying)), 7):
        assert_same(train(data, [specs[i]], **given)[0], together[i])


def test_initial_encodings_of_thousands_of_people_are_the_same_alone_and_beside_40_others():
    """One product of all of them rounds by its width, from some hundreds of columns on."""
    people, rows, dimensions = 4240, 2544, 20
    factor = np.random.default_rng(3).standard_normal((people, rows), np.float32)
    data = SimpleNamespace(rows=(rows, 0, people - rows), relationship_factor=factor)
    shape = Architecture(4, dimensions, (8,))
    specs = [spec(seed) for seed in (*range(41), 5, 0)]
    together = initial_encodings(data, shape, specs).numpy()
    assert together.shape == (people, len(specs), dimensions)
    for i in (0, 7, 40, 41, 42):
        alone = initial_encodings(data, shape, specs[i : i + 1]).numpy()[:, 0]
        np.testing.assert_array_equal(alone, together[:, i])
    expected = factor[:50] @ genetic_draws(7, rows, dimensions)
    np.testing.assert_allclose(together[:50, 7], expected, rtol=1e-4, atol=1e-3)


def test_progress_is_told_until_the_last_network_has_left():
    seen = []
    data = small()
    training_said = train_with_progress(data, hundred()[:10], seen)
    assert [epoch for epoch, _, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) == max(network.final_epoch for network in training_said)
    numbers = [networks for _, networks, _ in seen]
    assert numbers == sorted(numbers, reverse=True) and numbers[-1] == 0
    best = max(max(network.curves["score"]) for network in training_said)
    assert seen[-1][2] == pytest.approx(best)


def train_with_progress(data, specs, seen):
    from pipeline.networks.types import Schedule
    from pipeline.training.training import train_population

    schedule = Schedule(epochs=30, batch_size=64, patience_epochs=4)
    return train_population(
        data, architecture(data), specs, schedule, lambda *progress: seen.append(progress)
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("sizes", [(8,), (8, 8, 8)])
def test_a_network_that_diverges_ends_alone_with_its_reason(sizes, activation):
    data = small()
    shape = architecture(data, sizes, activation)
    healthy = [spec(seed, lambda_group=0.01) for seed in range(3)]
    diverging = [
        spec(1, learning_rate=1e30),
        spec(2, learning_rate=1e20, lambda_group=0.01),
        spec(0, lambda_l1=1e39),  # no float32
    ]
    mixed = [diverging[0], healthy[0], diverging[1], healthy[1], diverging[2], healthy[2]]
    trained = train(data, mixed, shape)
    for network in trained[::2]:
        assert network.failure.startswith("diverged") and np.isnan(network.kkt_residual)
        assert network.predictions is network.first_layer_final is None
    for network, alone in zip(trained[1::2], train(data, healthy, shape), strict=True):
        assert_same(network, alone)


@pytest.mark.parametrize("sizes", [(), (8,), (8, 8)])
def test_a_learning_rate_of_a_million_is_a_divergence_though_all_numbers_are_finite(sizes):
    data = small()
    shape = architecture(data, sizes, "relu")
    healthy = spec(0, lambda_group=0.01)
    wild, network, sparse = train(
        data,
        [spec(0, learning_rate=1e6), healthy, spec(1, learning_rate=1e6, lambda_l1=0.1)],
        shape,
    )
    for failed in (wild, sparse):
        assert "last training loss" in failed.failure and "predicting 0" in failed.failure
    assert_same(network, train(data, [healthy], shape)[0])


@pytest.mark.parametrize("sizes", [(), (8,)])
def test_a_lambda_of_a_billion_is_no_divergence_and_leaves_the_intercept(sizes):
    data = small()
    specs = [spec(lambda_l1=1e9), spec(lambda_group=1e9), spec(lambda_l2=1e9)]
    share = data.target[: ROWS[0]].mean()
    for network, zeroes in zip(train(data, specs, architecture(data, sizes)), (True, True, False)):
        assert network.failure is None and network.kkt_residual <= 1e-3
        assert np.all(network.first_layer_final == 0.0) == zeroes
        probability = 1.0 / (1.0 + np.exp(-network.final_predictions))
        np.testing.assert_allclose(probability, share, atol=0.02)


def test_values_that_are_far_from_standardized_are_a_divergence():
    data = small()
    columns = data.columns.copy()
    columns[:, 3] *= 1e17
    shape = architecture(data, (8, 8), "relu")
    specs = [spec(0, learning_rate=1e3), spec(1, lambda_group=1e-3, learning_rate=1e3)]
    for network in train(dataclasses.replace(data, columns=columns), specs, shape):
        assert network.failure.startswith("diverged")


@pytest.mark.parametrize("value", [1e30, np.inf, np.nan])
def test_a_column_that_is_no_number_of_a_size_fails_the_networks_that_see_it(value):
    data = small()
    columns = data.columns.copy()
    columns[:, 3] = value
    specs = [spec(0, lambda_group=0.01), spec(1)]
    for network in train(dataclasses.replace(data, columns=columns), specs):
        assert "column 3" in network.failure and f"{value:g}" in network.failure
        assert network.predictions is None
    for network in train(data, specs):
        assert network.failure is None
