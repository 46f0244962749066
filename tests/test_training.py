"""What training promises, on small data: theorems, the certificate, the best epoch, the seeds.

tests/test_oracles.py compares with independent solvers, tests/test_independence.py networks with
themselves in other company.
"""

import dataclasses
from types import SimpleNamespace

import formulas
import numpy as np
import pytest
import tensorflow as tf
from framingham_data import training_rows
from sklearn.metrics import mean_squared_error, roc_auc_score
from small_data import GROUP_INDEX, ROWS, architecture, small, spec, train

from pipeline.errors import InputError
from pipeline.networks import types as training_types
from pipeline.networks.network import Architecture, initial_weights
from pipeline.networks.types import Schedule, TrainingData
from pipeline.study import populations
from pipeline.training import population as parts
from pipeline.training.training import Population

PENALTIES_WITH_ZEROS = {
    "l1": (1.0, 0.0, 0.0),
    "elastic_net": (0.5, 0.5, 0.0),
    "group_lasso": (0.0, 0.0, 1.0),
    "sparse_group_lasso": (0.5, 0.0, 0.5),
}
TRAINING = slice(0, ROWS[0])
VALIDATION = slice(ROWS[0], ROWS[0] + ROWS[1])


def first_of(network):
    return network.first_layer_final.T


def float64(weights):
    """(first, [(weights, bias), …]) with the bias last in first, as formulas takes them where
    there are no genotypes."""
    later = [tuple(x.astype(float) for x in layer) for layer in weights.later]
    return weights.first.astype(float), later


# Theorems of the convex model


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_all_is_zero_at_lambda_max_and_something_is_kept_just_below(task):
    data = small(task, row_weights=np.random.default_rng(0).uniform(0.5, 2.0, ROWS[0]))
    shape = architecture(data, sizes=())
    inputs, target = data.columns[TRAINING].astype(float), data.target[TRAINING]
    gradient = formulas.gradient_at_zero(inputs, target, task, shape.outputs, data.row_weights)
    specs = []
    for shares in PENALTIES_WITH_ZEROS.values():
        largest = formulas.lambda_max(gradient, shares, GROUP_INDEX)
        specs += [spec(3, **_lambdas(s * largest, shares)) for s in (1.001, 0.98)]
    networks = train(data, specs, shape, tolerance=1e-7, finish_steps=2000)
    for name, at, below in zip(PENALTIES_WITH_ZEROS, networks[::2], networks[1::2], strict=True):
        assert np.all(first_of(at) == 0.0), name
        kept = formulas.kept(first_of(below), GROUP_INDEX)
        assert 1 <= len(kept) <= 2, name


def _lambdas(strength, shares):
    names = ("lambda_l1", "lambda_l2", "lambda_group")
    return {name: strength * share for name, share in zip(names, shares, strict=True)}


def test_groups_of_one_column_and_one_unit_are_the_lasso():
    data = dataclasses.replace(small(), group_index=np.arange(6))
    strengths = np.geomspace(0.005, 0.2, 6)
    specs = [spec(lambda_l1=s) for s in strengths] + [spec(lambda_group=s) for s in strengths]
    networks = train(data, specs, architecture(data, ()), tolerance=1e-7, finish_steps=2000)
    numbers_kept = set()
    for lasso, group in zip(networks[:6], networks[6:], strict=True):
        np.testing.assert_allclose(first_of(group), first_of(lasso), atol=1e-6)
        assert np.array_equal(first_of(group) == 0.0, first_of(lasso) == 0.0)
        numbers_kept.add(np.count_nonzero(first_of(lasso)))
    assert len(numbers_kept) > 2


def test_a_lambda_of_zero_is_a_penalty_that_is_not_there():
    """Alone its pass is left out; beside networks that have all three lambdas it is made with 0."""
    data, l1 = small(), spec(lambda_l1=0.02)
    others = [spec(lambda_l1=0.02, lambda_l2=0.5), spec(lambda_l1=0.02, lambda_group=0.03)]
    (alone,) = train(data, [l1])
    beside, net, sparse = train(data, [l1, *others])
    assert np.array_equal(alone.first_layer_final, beside.first_layer_final)
    assert np.array_equal(alone.predictions, beside.predictions)
    assert np.any(alone.first_layer_final == 0.0)
    for other in (net, sparse):
        assert not np.array_equal(other.first_layer_final, alone.first_layer_final)


# Objective and certificate


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_objective_and_residual_are_the_formulas_of_the_final_weights(activation, dropout):
    row_weights = np.random.default_rng(1).uniform(0.2, 3.0, ROWS[0])
    data = small(row_weights=row_weights)
    given = {"lambda_l1": 0.001, "lambda_l2": 0.02, "lambda_group": 0.003, "weight_decay": 0.05}
    shape = architecture(data, (7, 4), activation, dropout)
    unfinished, done = (
        train(data, [spec(5), spec(2, **given)], shape, tolerance=tolerance)[1]
        for tolerance in (None, 1e-3)
    )
    for network in (unfinished, done):
        weights = float64(network.final_weights)
        inputs, target = data.columns[TRAINING].astype(float), data.target[TRAINING]
        lambdas = [given[name] for name in ("lambda_l1", "lambda_l2", "lambda_group")]
        predictions, _ = formulas.forward(weights, inputs, activation)
        objective = formulas.mean_loss(predictions, target, "binary", row_weights)
        objective += formulas.omega(weights[0][:, :-1], lambdas, GROUP_INDEX)
        objective += 0.5 * 0.05 * sum(np.square(w).sum() for w, _ in weights[1])
        assert network.objective == pytest.approx(objective, rel=1e-7)
        gradient = formulas.first_layer_gradient(
            weights, inputs, target, "binary", activation, row_weights
        )
        each = formulas.residuals(weights[0], gradient, lambdas, GROUP_INDEX)
        arguments = weights, inputs, target, "binary", activation, lambdas, GROUP_INDEX
        relative = (each / formulas.scales(*arguments, row_weights)).max()
        residual, pairs = each.max(), 0
        if activation == "relu" and relative > 1e-3:
            given_to = (weights, inputs, target, "binary", lambdas, GROUP_INDEX, row_weights)
            residual, pairs = formulas.kink_residual(*given_to)
        if pairs:  # on kinks two iterative solvers are compared
            assert network.kkt_residual_absolute == pytest.approx(residual, rel=0.1, abs=1e-6)
        else:
            assert network.kkt_residual_absolute == pytest.approx(residual, rel=1e-5, abs=1e-8)
            assert network.kkt_residual == pytest.approx(relative, rel=1e-5, abs=1e-7)
    assert done.kkt_residual < unfinished.kkt_residual
    assert done.objective <= unfinished.objective * (1 + 1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu"])
def test_objective_and_residual_with_genotypes_are_those_of_the_encodings(activation):
    """E = a·(E₀ + K·C) with E₀ = factor·z, standard normal z drawn from the seed."""
    data = small(genetic_dimensions=3)
    shape = architecture(data, (7, 4), activation)
    seeds, n = (4, 9), ROWS[0]
    specs = [spec(seed, lambda_group=0.004, genetic_weight_decay=0.5) for seed in seeds]
    population = Population(data, shape, specs, Schedule(epochs=15, batch_size=64))
    for epoch in range(1, 16):
        population.epoch(epoch)
    _, (dual, scale) = population.final.stacked(np.arange(2))
    for k, (seed, network) in enumerate(zip(seeds, population.finish(), strict=True)):
        z = np.random.default_rng([seed, 2]).standard_normal((n, 3), np.float32)
        coefficients = dual[:, k].astype(float)
        learned = data.relationship[:, :n].astype(float) @ coefficients
        encodings = scale[k] * (data.relationship_factor.astype(float) @ z + learned)
        first, later = float64(network.final_weights)
        weights = np.column_stack([first[:, :6], first[:, 7:], first[:, 6]]), later  # bias last
        inputs, target = np.column_stack([data.columns.astype(float), encodings]), data.target
        predictions, _ = formulas.forward(weights, inputs, activation)
        np.testing.assert_allclose(network.final_predictions[0], predictions[:, 0], atol=1e-4)
        loss = formulas.mean_loss(predictions[:n], target[:n], "binary")
        lambdas = (0.0, 0.0, 0.004)
        objective = loss + formulas.omega(weights[0][:, :-1], lambdas, data.group_index)
        assert network.objective == pytest.approx(objective, rel=1e-5)
        gradient = formulas.first_layer_gradient(
            weights, inputs[:n], target[:n], "binary", activation
        )
        residual = formulas.kkt_residual(weights[0], gradient, lambdas, data.group_index)
        if activation == "relu" and residual > 1e-3:  # these encodings are not on kinks to 2⁻²⁴
            assert network.kkt_residual_absolute <= residual * 1.01
        else:
            assert network.kkt_residual_absolute == pytest.approx(residual, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("rows", [(240, 120, 60), (5_000, 700, 300), (1_000, 0, 0)])
def test_any_number_of_rows_in_one_process_has_the_objective_and_residual_of_the_formulas(rows):
    """More of them than are summed, or predicted, together."""
    data, n = small(rows=rows), rows[0]
    network = train(data, [spec(1, lambda_group=0.01)], epochs=3)[0]
    weights = float64(network.final_weights)
    inputs, target = data.columns.astype(float), data.target[:n]
    predictions, _ = formulas.forward(weights, inputs, "tanh")
    np.testing.assert_allclose(network.final_predictions[0], predictions[:, 0], atol=1e-5)
    objective = formulas.mean_loss(predictions[:n], target, "binary")
    objective += formulas.omega(weights[0][:, :-1], (0.0, 0.0, 0.01), GROUP_INDEX)
    assert network.objective == pytest.approx(objective, rel=1e-7)
    gradient = formulas.first_layer_gradient(weights, inputs[:n], target, "binary", "tanh")
    residual = formulas.kkt_residual(weights[0], gradient, (0.0, 0.0, 0.01), GROUP_INDEX)
    assert network.kkt_residual_absolute == pytest.approx(residual, rel=1e-5, abs=1e-8)
    assert network.kkt_residual <= 1e-3


def test_finishing_certifies_smooth_networks_to_the_tolerance():
    specs = [spec(seed, lambda_group=s) for seed in range(3) for s in (0.001, 0.01, 0.03)]
    rough = train(small(), specs, tolerance=None)
    for tolerance in (1e-3, 1e-5):
        finished = train(small(), specs, tolerance=tolerance, finish_steps=3000)
        assert max(network.kkt_residual for network in finished) <= tolerance
    assert max(network.kkt_residual for network in rough) > 1e-3


# Best epoch and last state


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_best_epoch_is_the_first_with_the_best_score_and_its_state_has_that_score(task):
    data = small(task)
    specs = [spec(seed, lambda_group=s) for seed in range(4) for s in (0.0, 0.02)]
    for network in train(data, specs):
        curve = np.array(network.curves["score"])
        assert len(curve) == len(network.kept) == len(network.curves["train_loss"]) == 20
        seen, target = network.predictions[0, VALIDATION], data.target[VALIDATION]
        if task == "binary":
            assert network.best_epoch == 1 + int(np.argmax(curve))
            score = roc_auc_score(target, seen)
            assert score == pytest.approx(curve.max(), rel=1e-14)
        else:
            assert network.best_epoch == 1 + int(np.argmin(curve))
            score = mean_squared_error(target, seen)
        assert score == pytest.approx(curve[network.best_epoch - 1], rel=1e-6)
        kept = np.any(network.first_layer != 0.0, axis=1)
        assert np.array_equal(kept, network.kept[network.best_epoch - 1])


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_predictions_are_those_of_the_weights_at_the_best_epoch_and_of_the_finished_last(task):
    data = small(task)
    network = train(data, [spec(1, lambda_group=0.01)])[0]
    for prefix, layer in (("", network.first_layer), ("final_", network.first_layer_final)):
        weights = float64(getattr(network, f"{prefix}weights"))
        expected, _ = formulas.forward(weights, data.columns.astype(float), "tanh")
        found = getattr(network, f"{prefix}predictions")
        np.testing.assert_allclose(found, expected.T, atol=1e-5)
        assert np.array_equal(layer, getattr(network, f"{prefix}weights").first[:, :-1].T)


def test_without_validation_rows_the_best_state_is_the_finished_last():
    network = train(small(rows=(240, 0, 60)), [spec(lambda_group=0.02)])[0]
    assert network.best_epoch == network.final_epoch == 20
    assert np.array_equal(network.predictions, network.final_predictions)
    assert np.array_equal(network.first_layer, network.first_layer_final)
    assert network.kkt_residual <= 1e-3


# Seeds


def test_the_seed_decides_the_initial_weights_alone():
    data, still = small(), {"epochs": 1, "tolerance": None}
    shape = architecture(data)
    specs = [spec(8, learning_rate=1e-20, lambda_l1=s) for s in (0.0, 0.1)]
    drawn = initial_weights(shape, [8])
    for batch_seed in (0, 1):
        for network in train(data, specs, batch_seed=batch_seed, **still):
            np.testing.assert_allclose(network.final_weights.first, drawn.first[0], atol=1e-18)
            later = network.final_weights.later[0].weights
            assert np.array_equal(later, drawn.later[0].weights[0])
    other = train(data, [spec(9, learning_rate=1e-20)], **still)[0]
    assert not np.any(np.isclose(other.first_layer, network.first_layer, rtol=1e-3))


def test_the_batch_seed_decides_the_order_of_the_rows_alone():
    small_batches, whole = (
        [train(small(), [spec()], batch_size=b, batch_seed=s)[0].predictions for s in (0, 1)]
        for b in (64, ROWS[0])
    )
    assert np.abs(small_batches[0] - small_batches[1]).max() > 1e-3
    np.testing.assert_allclose(whole[0], whole[1], atol=1e-4)


# What each penalty does


def test_none_and_l2_zero_nothing():
    for network in train(small(), [spec(), spec(lambda_l2=0.1), spec(lambda_l2=1e6)]):
        assert np.all(network.first_layer != 0.0) and np.all(network.first_layer_final != 0.0)


def test_the_sparse_group_lasso_zeroes_whole_variables_and_single_weights():
    first = train(small(), [spec(lambda_l1=0.02, lambda_group=0.01)])[0].first_layer_final
    kept = formulas.kept(first.T, GROUP_INDEX)
    assert 1 <= len(kept) < 5
    inside = first[np.isin(GROUP_INDEX, kept)]
    assert np.any(inside == 0.0) and np.any(inside != 0.0)


def test_all_columns_of_a_category_fall_together_under_the_group_lasso_and_not_under_l1():
    rows = training_rows()
    data = TrainingData(
        rows.inputs.astype(np.float32), rows.target, "binary", (2544, 0, 0), rows.group_index
    )
    columns = rows.inputs.shape[1]
    strengths = np.geomspace(0.003, 0.02, 5)
    specs = [spec(lambda_group=s) for s in strengths] + [spec(lambda_l1=s) for s in strengths]
    shape = Architecture(columns, 0, (4,), 1, "tanh")
    zeroed = [
        np.all(network.first_layer_final == 0.0, axis=1)
        for network in train(data, specs, shape, epochs=10)
    ]
    education = [own[[name.startswith("education") for name in rows.names]] for own in zeroed]
    counts = {int(own.sum()) for own in education[:5]}
    assert counts == {0, 5}, "kept in some networks, zeroed in others, never split"
    assert any(0 < own.sum() < 5 for own in education[5:])
    for own in zeroed[:5]:
        for variable in np.unique(rows.group_index):
            assert len(set(own[rows.group_index == variable])) == 1


def test_the_group_lasso_finds_planted_variables_from_every_seed():
    rng = np.random.default_rng(21)
    columns = rng.normal(size=(1500, 30)).astype(np.float32)
    planted = [3, 8, 14, 22, 29]
    signal = columns[:, planted] @ np.array([1.2, -1.0, 1.0, -1.2, 1.0])
    target = (signal + rng.logistic(size=1500) > 0).astype(int)
    data = TrainingData(columns, target, "binary", (1000, 250, 250), np.arange(30))
    specs = [spec(seed, lambda_group=0.04) for seed in range(10)]
    for network in train(data, specs, epochs=30):
        kept = set(np.flatnonzero(np.any(network.first_layer_final != 0.0, axis=1)))
        assert kept >= set(planted) and len(kept) <= 6, "and at most one of the 25 others"


def test_an_unpenalized_variable_stays_under_any_lambda():
    factor = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    specs = [spec(lambda_group=1e3), spec(lambda_l1=1e3), spec(lambda_l1=10.0, lambda_group=10.0)]
    for sizes in ((), (8,)):
        data = small(penalty_factor=factor)
        for network in train(data, specs, architecture(data, sizes)):
            assert np.all(network.first_layer_final[[1, 2]] != 0.0)
            assert np.all(network.first_layer_final[[0, 3, 4, 5]] == 0.0)


def test_dropout_and_weight_decay_act_on_the_later_layers():
    data = small()
    shapes = [architecture(data, (16,), "relu", dropout) for dropout in (0.0, 0.5)]
    full, dropped = (train(data, [spec()], shape)[0] for shape in shapes)
    assert np.abs(full.predictions - dropped.predictions).max() > 0.01
    assert np.array_equal(full.predictions, train(data, [spec()], shapes[0])[0].predictions)
    free, decayed, gone = train(data, [spec(weight_decay=d) for d in (0.0, 0.5, 10.0)])
    norms = [np.linalg.norm(n.final_weights.later[0].weights) for n in (free, decayed, gone)]
    assert norms[0] > 1.2 * norms[1] > 1.2 * norms[2] and norms[2] < 0.1


# Edges


def test_a_column_that_is_zero_everywhere_is_zeroed_under_a_penalty_and_never_nan():
    data = small()
    columns = data.columns.copy()
    columns[:, 4] = 0.0
    data = dataclasses.replace(data, columns=columns)
    specs = [spec(), spec(lambda_l1=0.01), spec(lambda_group=0.01), spec(lambda_l2=0.5)]
    networks = train(data, specs)
    for network in networks:
        assert network.failure is None and np.isfinite(network.kkt_residual)
        assert np.isfinite(network.first_layer_final).all()
        assert np.isfinite(network.predictions).all()
    drawn = initial_weights(architecture(data), [0]).first[0].numpy()
    assert np.array_equal(networks[0].first_layer_final[4], drawn[:, 4]), "nothing pulls at it"
    for network in networks[1:3]:
        assert np.all(network.first_layer_final[4] == 0.0)


@pytest.mark.parametrize("genetic_dimensions", [0, 2])
@pytest.mark.parametrize("batch_size", [1000, ROWS[0], ROWS[0] - 1, 7])
def test_any_batch_size_and_one_network_alone(batch_size, genetic_dimensions):
    data = small(genetic_dimensions=genetic_dimensions)
    network = train(data, [spec(lambda_group=0.01)], batch_size=batch_size, epochs=3)[0]
    assert network.failure is None and np.isfinite(network.final_predictions).all()
    assert network.predictions.shape == (1, sum(ROWS))


def test_a_batch_larger_than_the_rows_is_all_rows():
    large, whole = (train(small(), [spec()], batch_size=b)[0] for b in (10_000, ROWS[0]))
    assert np.array_equal(large.predictions, whole.predictions)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_parts_have_every_network_once_and_equal_numbers_of_them(monkeypatch, cores):
    monkeypatch.setattr(parts, "cores", lambda: cores)
    setting = Population(small(), architecture(small()), [spec()], Schedule()).setting
    shapes = set()
    for networks in range(1, 150):
        groups = setting.split(np.arange(networks) + 7)
        assert sorted(np.concatenate(groups)) == list(range(7, networks + 7))
        counts = [len(group) for group in groups]
        assert max(counts) - min(counts) <= 1 and max(counts) <= setting.most
        assert len({setting.slots(count) for count in counts}) <= 2
        shapes |= {setting.slots(count) for count in counts}
    assert len(shapes) <= 8  # each is compiled


@pytest.mark.parametrize(
    ("sizes", "dimensions", "batch"), [((50,), 0, 128), ((50, 20), 5, 64), ((4000,), 0, 128)]
)
def test_the_tensors_of_a_part_fit_its_bytes_and_those_of_one_more_network_do_not(
    sizes, dimensions, batch
):
    """Counted in the state that a part trains with, and the activations of one batch."""
    data = small(genetic_dimensions=dimensions)
    shape, schedule = architecture(data, sizes), Schedule(batch_size=batch)
    (part,) = Population(data, shape, [spec()], schedule).parts
    slots = len(part.state.first)
    held = sum(np.asarray(x).nbytes for x in tf.nest.flatten(part.state)) / slots
    activations = 3 * 4 * batch * (sum(sizes) + 1 + dimensions)
    networks = training_types.networks_of_a_part(data, shape, schedule)
    room = training_types.PART_BYTES
    # Columns are filled up to whole vectors, which the number of networks does not count.
    assert networks == 1 or networks * (held + activations) <= 1.1 * room
    full = networks == training_types.MOST_OF_A_PART
    assert full or (networks + 1) * 1.1 * (held + activations) > room
    together = training_types.networks_at_once(data, shape, schedule)
    assert together == networks * training_types.cores() or not full


@pytest.mark.parametrize(("networks", "most"), [(20, 7), (7, 7), (8, 7), (3, 1), (513, 512)])
def test_a_population_that_is_too_large_is_split_into_as_few_and_equal_ones_as_can_be(
    monkeypatch, networks, most
):
    monkeypatch.setattr(populations, "networks_at_once", lambda *_: most)
    monkeypatch.setattr(populations, "_schedule", lambda *_: Schedule())
    monkeypatch.setattr(populations, "_architecture", lambda *_: None)
    configuration = SimpleNamespace(
        number=0, inputs=("clinical",), network=(50,), training=SimpleNamespace(class_weight="none")
    )
    replicates = [populations.Replicate(configuration, seed) for seed in range(networks)]
    people = SimpleNamespace(training_data=lambda *_: None, outputs=1)
    found = [p.replicates for p in populations.populations(replicates, people, "val_auroc")]
    assert [r for part in found for r in part] == replicates
    slices = training_types.split_networks(networks, most)
    assert [len(part) for part in found] == [each.stop - each.start for each in slices]
    sizes = [len(part) for part in found]
    assert len(found) == -(-networks // most)
    assert max(sizes) <= most and max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("networks", "workers", "found"),
    [
        (160, 2, [40, 40, 40, 40]),  # not 64, 48, 48: one worker would have 96 of them
        (100, 2, [50, 50]),
        (3, 4, [1, 1, 1]),
        (131, 1, [44, 44, 43]),
        (130, 2, [33, 33, 32, 32]),
    ],
)
def test_every_worker_gets_as_many_networks_as_the_others(networks, workers, found):
    crew = SimpleNamespace(size=workers)
    assert list(populations._sizes(networks, 64, crew)) == found


def test_a_worker_that_joins_gets_its_share_of_what_is_left():
    crew = SimpleNamespace(size=1)
    sizes = populations._sizes(120, 60, crew)
    first = next(sizes)
    crew.size = 3
    assert [first, *sizes] == [60, 20, 20, 20]


def test_any_batch_seed_of_31_bits_trains_with_dropout():
    data = small()
    shape = architecture(data, dropout=0.2)
    one, other = (
        train(data, [spec()], shape, epochs=1, batch_seed=seed)[0] for seed in (0, 2**31 - 1)
    )
    assert one.failure is other.failure is None
    assert not np.array_equal(one.predictions, other.predictions)


def test_an_encoder_that_one_step_would_turn_around_is_refused():
    with pytest.raises(InputError, match="must be below 1"):
        spec(genetic_learning_rate=0.5, genetic_weight_decay=2.0)
