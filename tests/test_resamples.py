"""A network of a resample is the network of the table cut by hand and standardized anew."""

import dataclasses

import numpy as np
import pytest
from small_data import GROUP_INDEX, spec, train
from small_data import architecture as shape
from test_independence import assert_same

from pipeline.errors import InputError
from pipeline.genetics.relationship import encoding_factor
from pipeline.networks import MOST_DENSE, ColumnMap, FirstLayer, OwnRows, plain_layers
from pipeline.networks.own_rows import carried_back, on_table
from pipeline.networks.types import Resamples, Schedule, TrainingData
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.own_rows import median
from pipeline.training.training import train_population

PEOPLE, TEST = 200, 40
RNG = np.random.default_rng(7)
VALUES = RNG.normal(size=(PEOPLE + TEST, 6)) * [1.0, 3.0, 0.2, 1.0, 10.0, 1.0] + [0, 50, 0, 1, 0, 3]
VALUES[:, 4] = RNG.random(PEOPLE + TEST) < 0.3
MISSING = np.zeros(VALUES.shape, bool)
MISSING[:, 1], MISSING[:, 2] = RNG.random((2, PEOPLE + TEST)) < 0.2
SIGNAL = 1.5 * VALUES[:, 0] - 0.4 * (VALUES[:, 1] - 50) + 2.0 * VALUES[:, 4] * VALUES[:, 0]
QUANTITY = SIGNAL + RNG.logistic(size=len(SIGNAL))

SUBSAMPLE = np.zeros(PEOPLE)
SUBSAMPLE[RNG.permutation(PEOPLE)[: PEOPLE // 2]] = 1.0
BOOTSTRAP = np.bincount(RNG.integers(0, PEOPLE, PEOPLE), minlength=PEOPLE).astype(float)
FOLD = (np.arange(PEOPLE) % 5 != 2).astype(float)
WEIGHTS = np.array([SUBSAMPLE, BOOTSTRAP, FOLD], np.float32)
KINDS = ("subsample", "bootstrap", "fold")


def features(rows: np.ndarray, missing: bool) -> np.ndarray:
    """Everyone's columns and two indicators, fitted on these rows (repeats count) by their
    definitions: the median for what is missing, mean and standard deviation."""
    values = VALUES.copy()
    if missing:
        for j in (1, 2):
            values[MISSING[:, j], j] = np.median(values[rows][~MISSING[rows, j], j])
        values = np.insert(values, [2, 3], MISSING[:, 1:3], axis=1)
    scale = values[rows].std(axis=0)
    return (values - values[rows].mean(axis=0)) / np.where(scale > 0, scale, 1.0)


def index_of(missing: bool) -> np.ndarray:
    """The variable of each column; an indicator follows its column."""
    return np.insert(GROUP_INDEX, [2, 3], GROUP_INDEX[1:3]) if missing else GROUP_INDEX


def outcome(task: str, rows: np.ndarray) -> np.ndarray:
    if task == "binary":
        return (QUANTITY > 1.0).astype(int)
    if task == "multiclass":
        return np.digitize(QUANTITY, (-1.0, 2.0))
    return (QUANTITY - QUANTITY[rows].mean()) / QUANTITY[rows].std()


def development(task="binary", missing=False, weights=WEIGHTS, **given) -> TrainingData:
    """All development people, with resamples of them; who is not drawn validates."""
    everyone = np.arange(PEOPLE)
    resamples = Resamples(weights, weights == 0.0, **given.pop("resampling", {}))
    return TrainingData(
        columns=features(everyone, missing).astype(np.float32),
        target=outcome(task, everyone),
        task=task,
        rows=(PEOPLE, 0, TEST),
        group_index=index_of(missing),
        resamples=resamples,
        missing=np.insert(MISSING, [2, 3], False, axis=1) if missing else None,
        **given,
    )


def cut(drawn: np.ndarray, task="binary", missing=False, **given) -> TrainingData:
    """The table of the drawn people alone (as often as they were drawn), the others validating,
    everything fitted on the drawn."""
    rows = np.repeat(np.arange(PEOPLE), drawn.astype(int))
    others = np.flatnonzero(drawn == 0.0)
    order = np.concatenate([rows, others, PEOPLE + np.arange(TEST)])
    return TrainingData(
        columns=features(rows, missing)[order].astype(np.float32),
        target=outcome(task, rows)[order],
        task=task,
        rows=(len(rows), len(others), TEST),
        group_index=index_of(missing),
        **given,
    )


def in_order_of_people(network, drawn: np.ndarray) -> np.ndarray:
    """Predictions of the network of a cut table, of those not drawn and the test people."""
    return network.final_predictions[:, int(drawn.sum()) :]


def of_the_same(network, drawn: np.ndarray) -> np.ndarray:
    others = np.append(np.flatnonzero(drawn == 0.0), PEOPLE + np.arange(TEST))
    return network.final_predictions[:, others]


def to_cut_units(predictions: np.ndarray, task: str, drawn: np.ndarray) -> np.ndarray:
    """Predictions of the quantity as all development people standardize it → as the drawn do."""
    if task != "regression":
        return predictions
    rows = np.repeat(np.arange(PEOPLE), drawn.astype(int))
    known = predictions * QUANTITY[:PEOPLE].std() + QUANTITY[:PEOPLE].mean()
    return (known - QUANTITY[rows].mean()) / QUANTITY[rows].std()


@pytest.mark.parametrize(
    ("task", "missing"),
    [("binary", False), ("binary", True), ("multiclass", True), ("regression", True)],
)
def test_without_a_hidden_layer_the_unique_minimum_is_that_of_the_table_cut_by_hand(task, missing):
    data, strength = development(task, missing), {"lambda_group": 0.02}
    specs = [spec(0, resample=i, **strength) for i in range(len(KINDS))]
    trained = train(data, specs, shape(data, ()))
    for drawn, network in zip(WEIGHTS, trained, strict=True):
        alone = cut(drawn, task, missing)
        (by_hand,) = train(alone, [spec(0, **strength)], shape(alone, ()))
        assert network.kkt_residual <= 1e-5
        assert network.objective == pytest.approx(by_hand.objective, abs=1e-6)
        np.testing.assert_allclose(network.first_layer_final, by_hand.first_layer_final, atol=2e-4)
        assert np.array_equal(network.first_layer_final == 0, by_hand.first_layer_final == 0)
        np.testing.assert_allclose(
            to_cut_units(of_the_same(network, drawn), task, drawn),
            in_order_of_people(by_hand, drawn),
            atol=1e-3,
        )


@pytest.mark.parametrize(
    ("sizes", "task", "missing"),
    [
        ((8,), "binary", True),
        ((8,), "regression", False),
        ((5, 3), "binary", False),
        ((5, 3), "regression", True),
    ],
)
def test_with_all_rows_in_a_step_it_takes_the_same_steps_to_float32(sizes, task, missing):
    data = development(task, missing)
    given = {"batch_size": 10**6, "epochs": 25, "tolerance": None}
    specs = [spec(3, resample=i, lambda_group=0.01) for i in range(len(KINDS))]
    trained = train(data, specs, shape(data, sizes), **given)
    for drawn, network in zip(WEIGHTS, trained, strict=True):
        alone = cut(drawn, task, missing)
        (by_hand,) = train(alone, [spec(3, lambda_group=0.01)], shape(alone, sizes), **given)
        np.testing.assert_allclose(network.first_layer_final, by_hand.first_layer_final, atol=3e-5)
        assert np.array_equal(network.kept, by_hand.kept)
        losses = by_hand.curves["train_loss"]
        np.testing.assert_allclose(network.curves["train_loss"], losses, rtol=1e-4)
        np.testing.assert_allclose(
            to_cut_units(of_the_same(network, drawn), task, drawn),
            in_order_of_people(by_hand, drawn),
            atol=2e-4,
        )
        if task == "binary":
            scores = by_hand.curves["score"]
            np.testing.assert_allclose(network.curves["score"], scores, atol=2e-3)


def test_class_weights_and_row_weights_are_those_of_the_own_rows():
    row_weights = RNG.uniform(0.5, 2.0, PEOPLE)
    data = development(row_weights=row_weights, resampling={"balanced": True})
    trained = train(data, [spec(0, resample=i, lambda_l1=0.01) for i in range(3)], shape(data, ()))
    for drawn, network in zip(WEIGHTS, trained, strict=True):
        rows = np.repeat(np.arange(PEOPLE), drawn.astype(int))
        classes = outcome("binary", rows)[rows]
        balanced = len(rows) / (2 * np.bincount(classes))
        alone = cut(drawn, row_weights=row_weights[rows] * balanced[classes])
        (by_hand,) = train(alone, [spec(0, lambda_l1=0.01)], shape(alone, ()))
        assert network.objective == pytest.approx(by_hand.objective, abs=1e-6)
        np.testing.assert_allclose(network.first_layer_final, by_hand.first_layer_final, atol=2e-4)


def test_numbers_as_they_are_stay_so_without_standardizing():
    data = development(resampling={"standardize": False})
    trained = train(data, [spec(0, resample=i, lambda_l1=0.01) for i in range(3)], shape(data, ()))
    for drawn, network in zip(WEIGHTS, trained, strict=True):
        rows = np.repeat(np.arange(PEOPLE), drawn.astype(int))
        alone = dataclasses.replace(
            data,
            columns=data.columns[rows],
            target=data.target[rows],
            rows=(len(rows), 0, 0),
            resamples=None,
        )
        (by_hand,) = train(alone, [spec(0, lambda_l1=0.01)], shape(alone, ()))
        assert network.objective == pytest.approx(by_hand.objective, abs=1e-6)
        np.testing.assert_allclose(network.first_layer_final, by_hand.first_layer_final, atol=2e-4)


def with_a_level_that_one_resample_lacks() -> tuple[TrainingData, np.ndarray]:
    """Three levels of one variable, the last of which nobody of the subsample has."""
    data = development()
    level = RNG.integers(0, 3, len(data.columns))
    level[:PEOPLE][SUBSAMPLE > 0] = RNG.integers(0, 2, PEOPLE // 2)
    one_hot = (level[:, None] == np.arange(3)).astype(np.float32)
    columns = np.column_stack([data.columns, one_hot - one_hot[:PEOPLE].mean(axis=0)])
    index = np.append(GROUP_INDEX, [5, 5, 5])
    return dataclasses.replace(data, columns=columns.astype(np.float32), group_index=index), level


@pytest.mark.parametrize("sizes", [(), (8,)])
def test_a_column_that_is_constant_among_the_own_rows_has_weights_of_zero_from_the_start(sizes):
    data, _ = with_a_level_that_one_resample_lacks()
    specs = [spec(0, resample=i, lambda_group=1e-4) for i in (0, 2)]
    lacking, having = train(data, specs, shape(data, sizes))
    assert np.all(lacking.first_layer_final[8] == 0.0) and np.all(lacking.first_layer[8] == 0.0)
    assert not np.array(lacking.kept)[:, 8].any()
    assert np.all(lacking.first_layer_final[6:8] != 0.0)
    assert np.all(having.first_layer_final[8] != 0.0)


@pytest.mark.parametrize(
    ("sizes", "task", "missing"),
    [((), "binary", False), ((8,), "binary", True), ((), "regression", True)],
)
def test_table_weights_predict_from_the_table_as_it_is(sizes, task, missing):
    data = development(task, missing)
    specs = [spec(i, resample=i, lambda_group=0.01) for i in range(3)]
    for network in train(data, [*specs, spec(0)], shape(data, sizes)):
        for weights, predictions in (
            (network.table_weights, network.predictions),
            (network.final_table_weights, network.final_predictions),
        ):
            layers = plain_layers(weights, FirstLayer(data.columns.shape[1]), np.float64)
            z = data.columns.astype(float)
            for i, (w, bias) in enumerate(layers):
                z = z @ w + bias
                z = np.tanh(z) if i < len(layers) - 1 else z
            np.testing.assert_allclose(z.T, predictions, atol=3e-5)


def mixed(data: TrainingData) -> list:
    return [
        spec(i % 4, resample=None if i % 5 == 4 else i % 3, lambda_group=0.003 * (1 + i % 6))
        for i in range(20)
    ]


@pytest.mark.parametrize(
    ("sizes", "missing", "genetic_dimensions"),
    [((8,), True, 0), ((50,), False, 3), ((50,), True, 0), ((), True, 3)],
)
def test_a_network_has_the_same_bits_whoever_trains_beside_it(sizes, missing, genetic_dimensions):
    data = development(missing=missing)
    if genetic_dimensions:
        data = with_genotypes(data, genetic_dimensions)
    layers = shape(data, sizes, "relu")
    specs, given = mixed(data), {"epochs": 4, "finish_steps": 20}
    leaving = spec(1, resample=1, learning_rate=1e30)  # diverges, and the others are regrouped
    *together, left = train(data, [*specs, leaving], layers, **given)
    assert left.failure.startswith("diverged")
    order = np.random.default_rng(1).permutation(len(specs))[:5]
    for i, network in zip(order, train(data, [specs[i] for i in order], layers, **given)):
        assert_same(network, together[i])
    # Other resamples beside it, in another place.
    swapped = WEIGHTS[::-1].copy()
    others = Resamples(swapped, swapped == 0.0)
    alone = spec(2, resample=0, lambda_group=0.003)
    moved = dataclasses.replace(data, resamples=others)
    (here,) = train(data, [dataclasses.replace(alone, resample=2)], layers, **given)
    (there,) = train(moved, [alone], layers, **given)
    assert_same(there, here)


@pytest.mark.parametrize("sizes", [(), (8,)])
def test_a_network_of_all_rows_is_the_same_as_without_resamples(sizes):
    data = development()
    without = dataclasses.replace(data, resamples=None)
    beside, _ = train(data, [spec(1, lambda_group=0.01), spec(1, resample=0)], shape(data, sizes))
    (alone,) = train(without, [spec(1, lambda_group=0.01)], shape(data, sizes))
    np.testing.assert_allclose(beside.first_layer_final, alone.first_layer_final, atol=1e-5)
    assert beside.best_epoch == beside.final_epoch == alone.final_epoch


def with_genotypes(data: TrainingData, dimensions: int) -> TrainingData:
    counts = np.random.default_rng(3).normal(size=(len(data.columns), 500))
    related = (counts @ counts.T / 500).astype(np.float32)
    return dataclasses.replace(
        data,
        relationship=related[:, :PEOPLE],
        relationship_factor=encoding_factor(related, PEOPLE),
        rank=min(PEOPLE, 500),
        group_index=np.append(data.group_index, 5 + np.arange(dimensions)),
    )


@pytest.mark.parametrize("sizes", [(8,), ()])
def test_with_genotypes_it_takes_the_steps_of_the_people_cut_by_hand(sizes):
    """K is that of the allele frequencies of all; everything else is of the own people alone."""
    data = dataclasses.replace(with_genotypes(development(), 3), relationship_factor=None)
    given = {"batch_size": 10**6, "epochs": 15, "tolerance": None}
    specs = [spec(3, resample=i, lambda_group=0.01) for i in (0, 2)]
    trained = train(data, specs, shape(data, sizes), **given)
    for drawn, network in zip(WEIGHTS[[0, 2]], trained, strict=True):
        rows, others = np.flatnonzero(drawn), np.flatnonzero(drawn == 0.0)
        order = np.concatenate([rows, others, PEOPLE + np.arange(TEST)])
        related = data.relationship[np.ix_(order, rows)]
        alone = dataclasses.replace(
            cut(drawn),
            relationship=related,
            relationship_factor=encoding_factor(related, len(rows)),
            rank=len(rows),
            group_index=data.group_index,
        )
        (by_hand,) = train(alone, [spec(3, lambda_group=0.01)], shape(alone, sizes), **given)
        coefficients, _ = network.encoder
        assert np.all(coefficients[others] == 0.0)
        np.testing.assert_allclose(coefficients[rows], by_hand.encoder[0], atol=1e-4)
        np.testing.assert_allclose(
            of_the_same(network, drawn), in_order_of_people(by_hand, drawn), atol=1e-3
        )


@pytest.mark.parametrize("genetic_dimensions", [0, 3])
def test_what_stands_in_rows_of_weight_0_changes_no_bit(genetic_dimensions):
    data, given = development(missing=True), {"epochs": 5, "finish_steps": 40}
    if genetic_dimensions:
        data = with_genotypes(data, genetic_dimensions)
    # Who is neither drawn nor validates.
    seen = Resamples(WEIGHTS, np.zeros(WEIGHTS.shape, bool))
    data = dataclasses.replace(data, resamples=seen)
    unseen = np.flatnonzero(SUBSAMPLE == 0.0)
    columns, target = data.columns.copy(), data.target.copy()
    columns[np.ix_(unseen, [0, 5, 6, 7])] *= RNG.choice([-1e3, 1e6, 0.0], (len(unseen), 4))
    target[unseen] = 1 - target[unseen]
    wild = dataclasses.replace(data, columns=columns, target=target)
    layers, specs = shape(data, (8,), "relu"), [spec(0, resample=0, lambda_group=0.01)]
    (network,) = train(data, specs, layers, **given)
    (beside_wild,) = train(wild, specs, layers, **given)
    for name in ("first_layer", "first_layer_final", "kkt_residual", "objective"):
        assert np.array_equal(getattr(network, name), getattr(beside_wild, name)), name
    assert network.curves["train_loss"] == beside_wild.curves["train_loss"]
    drawn = np.flatnonzero(SUBSAMPLE)
    assert np.array_equal(network.predictions[:, drawn], beside_wild.predictions[:, drawn])


@pytest.mark.parametrize("imputed", [False, True])
def test_the_map_to_the_shared_columns_is_one_formula_whether_dense_or_wide(imputed):
    rng, bias = np.random.default_rng(2), 5
    first, gradient = rng.normal(size=(2, 3, 4, 8)).astype(np.float32)
    scale, into_bias, tie = rng.normal(size=(3, 3, 8)).astype(np.float32)
    columns = ColumnMap(scale, into_bias, tie if imputed else ())
    expected = first * scale[:, None]
    expected[:, :, bias] += np.einsum("khp,kp->kh", first, into_bias)
    if imputed:
        expected[:, :, 1:] += first[:, :, :-1] * tie[:, None, 1:]
    for each in (columns, columns.dense(bias)):
        own = OwnRows((), (), each)
        moved = on_table(first, own, bias).numpy()
        np.testing.assert_allclose(moved, expected, atol=1e-5)
        back = carried_back(gradient, own, bias).numpy()
        assert np.sum(back * first) == pytest.approx(np.sum(gradient * moved), abs=1e-3)


def test_of_many_columns_it_takes_the_same_steps_too():
    data, alone = (widened(each) for each in (development(missing=True), cut(FOLD, missing=True)))
    given = {"batch_size": 10**6, "epochs": 10, "tolerance": None}
    (network,) = train(data, [spec(3, resample=2, lambda_group=0.01)], shape(data), **given)
    (by_hand,) = train(alone, [spec(3, lambda_group=0.01)], shape(alone), **given)
    np.testing.assert_allclose(network.first_layer_final, by_hand.first_layer_final, atol=3e-5)


def widened(data: TrainingData) -> TrainingData:
    """More columns than MOST_DENSE: the same again and again, each time another variable."""
    times = MOST_DENSE // data.columns.shape[1] + 1
    variables = [data.group_index + i * (data.group_index.max() + 1) for i in range(times)]
    return dataclasses.replace(
        data,
        columns=np.tile(data.columns, times),
        group_index=np.concatenate(variables),
        missing=None if data.missing is None else np.tile(data.missing, times),
    )


def test_a_median_of_counted_values_is_that_of_the_repeated_ones():
    for _ in range(50):
        values, counts = RNG.integers(0, 6, 7) * 1.0, RNG.integers(0, 4, 7)
        if counts.any():
            drawn = counts > 0
            expected = np.median(np.repeat(values, counts))
            assert median(values[drawn], counts[drawn].astype(float)) == expected


def test_wrong_resamples_are_refused_with_the_law():
    for weights, validation, words in (
        (-WEIGHTS, WEIGHTS == 0.0, "at least 0"),
        (0 * WEIGHTS, WEIGHTS == 0.0, "draws nobody"),
        (WEIGHTS, WEIGHTS > 0.0, "must not be trained on"),
        (WEIGHTS, WEIGHTS[:2] == 0.0, "but got"),
    ):
        with pytest.raises(InputError, match=words):
            Resamples(weights, validation)
    data = development()
    with pytest.raises(InputError, match="0 to 2, but got 3"):
        train(data, [spec(resample=3)])
    with pytest.raises(InputError, match="all development rows stand first"):
        train(dataclasses.replace(data, rows=(PEOPLE - 20, 20, TEST)), [spec(resample=0)])
    missing = MISSING.copy()
    with pytest.raises(InputError, match="must be the column after it"):
        train(dataclasses.replace(data, missing=missing), [spec(resample=0)])


def test_a_stopped_population_goes_on_to_the_same_bits(tmp_path):
    data = development(missing=True)
    specs, schedule = mixed(data)[:6], Schedule(epochs=6, batch_size=64, finish_steps=40)
    whole = train_population(data, shape(data), specs, schedule)

    class Stop(Exception):
        pass

    def stop(epoch, *_):
        if epoch == 3:
            raise Stop

    with pytest.raises(Stop):
        kept = Checkpoint(tmp_path, every_seconds=0.0)
        train_population(data, shape(data), specs, schedule, stop, checkpoint=kept)
    # The same people under another number.
    renumbered = Resamples(WEIGHTS[::-1].copy(), WEIGHTS[::-1] == 0.0)
    moved = dataclasses.replace(data, resamples=renumbered)
    of_it = [
        dataclasses.replace(s, resample=None if s.resample is None else 2 - s.resample)
        for s in specs
    ]
    epochs = []
    resumed = train_population(
        moved,
        shape(data),
        of_it,
        schedule,
        lambda epoch, *_: epochs.append(epoch),
        checkpoint=Checkpoint(tmp_path),
    )
    assert epochs[0] > 1
    for network, other in zip(resumed, whole, strict=True):
        assert_same(network, other)
