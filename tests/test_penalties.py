"""The penalties, against formulas written in NumPy, worked values and theorems."""

import numpy as np
import pytest
import tensorflow as tf

from pipeline.networks import penalties

K, H, P = 4, 3, 5
INDEX = np.array([0, 1, 1, 2, 1])
SIZES = {0: 1, 1: 3, 2: 1}
FACTOR = np.array([1.0, 2.0, 2.0, 0.0, 2.0])


def lambdas(l1, l2, group, networks=K):
    return penalties.Lambdas(
        *(tf.constant(np.broadcast_to(x, networks).astype(float)) for x in (l1, l2, group))
    )


def groups(factor=None):
    return penalties.groups(INDEX, factor, tf.float64)


def omega(weights, l1, l2, group, factor):
    """Ω of one network, as the module's formula reads."""
    total = 0.0
    for g, size in SIZES.items():
        own, f = weights[:, INDEX == g], factor[INDEX == g][0]
        total += f * l1 * np.abs(own).sum() + f * l2 * 0.5 * (own**2).sum()
        total += f * group * np.sqrt(size * H) * np.sqrt((own**2).sum())
    return total


@pytest.fixture
def weights():
    return np.random.default_rng(1).normal(size=(K, H, P))


PENALTIES = {
    "none": (0.0, 0.0, 0.0),
    "l1": (0.3, 0.0, 0.0),
    "l2": (0.0, 0.7, 0.0),
    "elastic_net": (0.3, 0.7, 0.0),
    "group_lasso": (0.0, 0.0, 0.4),
    "sparse_group_lasso": (0.2, 0.0, 0.4),
    "all_three": (0.2, 0.5, 0.4),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_value_is_the_printed_formula(name, weights):
    for factor in (np.ones(P), FACTOR):
        value = penalties.value(weights, lambdas(*PENALTIES[name]), groups(factor)).numpy()
        expected = [omega(w, *PENALTIES[name], factor) for w in weights]
        np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("name", PENALTIES)
def test_proximal_step_beats_random_perturbations(name, weights):
    step = np.array([0.5, 0.9, 0.9, 0.2, 0.9])
    lam = lambdas(*PENALTIES[name])
    steps = tf.constant(np.tile(step, (K, 1)))
    found = penalties.proximal_step(weights, steps, lam, groups(FACTOR)).numpy()

    def criterion(candidate, w):
        # Steps differ between variables: divide each variable's distance by its own.
        distance = 0.5 * ((candidate - w) ** 2 / step).sum()
        return distance + omega(candidate, *PENALTIES[name], FACTOR)

    rng = np.random.default_rng(2)
    for w, u in zip(weights, found, strict=True):
        best = criterion(u, w)
        for size in (1e-4, 1e-2, 1.0):
            for _ in range(100):
                assert criterion(u + size * rng.normal(size=u.shape), w) > best
        for _ in range(20):  # towards zero in one variable
            closer = u.copy()
            closer[:, INDEX == rng.integers(3)] *= rng.random()
            assert criterion(closer, w) >= best - 1e-12


def test_proximal_step_worked_by_hand():
    # One network, one unit, one variable of two columns (3, 4): the norm 5 shrinks by
    # t·λg·√2 = 0.5·1·√2.
    two = penalties.groups(np.array([0, 0]), dtype=tf.float64)
    w = np.array([[[3.0, 4.0]]])
    lam = lambdas(0.0, 0.0, 1.0, 1)
    found = penalties.proximal_step(w, tf.constant([[0.5, 0.5]], tf.float64), lam, two).numpy()
    np.testing.assert_allclose(found, w * (1 - 0.5 * np.sqrt(2) / 5))
    # l1 0.5·2 takes 1 off both, then l2 divides by 1 + 0.5·4.
    lam = lambdas(2.0, 4.0, 0.0, 1)
    found = penalties.proximal_step(w, tf.constant([[0.5, 0.5]], tf.float64), lam, two).numpy()
    np.testing.assert_allclose(found, [[[2.0 / 3.0, 1.0]]])


def test_a_variable_within_its_threshold_is_exactly_zero_and_stays_so(weights):
    lam = lambdas(0.0, 0.0, 1e3)
    steps = tf.ones([K, P], tf.float64)
    once = penalties.proximal_step(weights, steps, lam, groups()).numpy()
    assert np.array_equal(once, np.zeros_like(once))
    again = penalties.proximal_step(once, steps, lam, groups()).numpy()
    assert np.array_equal(again, np.zeros_like(once)), "0/0 on a variable that is already zero"


def test_l2_and_none_never_make_a_zero(weights):
    steps = tf.ones([K, P], tf.float64)
    for name in ("none", "l2"):
        found = penalties.proximal_step(weights, steps, lambdas(*PENALTIES[name]), groups())
        assert np.all(found.numpy() != 0.0)


def test_groups_of_one_column_and_one_unit_are_the_lasso():
    w = np.random.default_rng(3).normal(size=(1, 1, 6))
    alone = penalties.groups(np.arange(6), dtype=tf.float64)
    steps = tf.fill([1, 6], tf.constant(0.3, tf.float64))
    as_group = penalties.proximal_step(w, steps, lambdas(0, 0, 0.8, 1), alone)
    as_l1 = penalties.proximal_step(w, steps, lambdas(0.8, 0, 0, 1), alone)
    np.testing.assert_allclose(as_group.numpy(), as_l1.numpy(), atol=1e-15)


def test_elastic_net_without_l2_is_l1(weights):
    """Soft-thresholding, and as λ2 falls the elastic net comes to it at the rate t·λ2."""
    steps = tf.ones([K, P], tf.float64) * 0.2
    soft = np.sign(weights) * np.maximum(np.abs(weights) - 0.2 * 0.5, 0.0)
    for l2 in (0.0, 1e-3, 0.7):
        net = penalties.proximal_step(weights, steps, lambdas(0.5, l2, 0), groups()).numpy()
        np.testing.assert_allclose(net * (1.0 + 0.2 * l2), soft, rtol=1e-14)
        assert np.array_equal(net == 0.0, soft == 0.0)


def test_an_unpenalized_variable_is_left_alone(weights):
    steps = tf.ones([K, P], tf.float64)
    found = penalties.proximal_step(weights, steps, lambdas(0.5, 0.5, 0.5), groups(FACTOR))
    assert np.array_equal(found.numpy()[:, :, 3], weights[:, :, 3])
    assert not np.array_equal(found.numpy()[:, :, 0], weights[:, :, 0])


def test_networks_do_not_share_their_lambdas(weights):
    steps = tf.ones([K, P], tf.float64) * 0.4
    mixed = penalties.proximal_step(
        weights, steps, lambdas([0, 0.5, 0, 0.1], [0, 0, 0.9, 0], [0, 0, 0, 0.7]), groups()
    ).numpy()
    for k, lam in enumerate([(0, 0, 0), (0.5, 0, 0), (0, 0.9, 0), (0.1, 0, 0.7)]):
        alone = penalties.proximal_step(
            weights[k : k + 1], steps[:1], lambdas(*lam, networks=1), groups()
        ).numpy()
        np.testing.assert_allclose(mixed[k], alone[0], rtol=1e-14)


def test_residual_of_a_proximal_point_is_zero_and_of_others_is_not(weights):
    """W = prox_t(Y) solves min ½‖W − Y‖²/t + Ω, whose smooth gradient at W is (W − Y)/t."""
    t = 0.3
    lam, steps = lambdas(0.2, 0.5, 0.4), tf.ones([K, P], tf.float64) * 0.3
    solved = penalties.proximal_step(weights, steps, lam, groups())
    gradient = (solved - weights) / t
    for step in (1e-3, 1e-2, 1.0):
        residual = penalties.residual(solved, gradient, step, lam, groups()).numpy()
        assert np.all(residual < 1e-9)
    assert np.all(penalties.residual(solved + 0.01, gradient, 1e-2, lam, groups()) > 1e-3)


def test_residual_of_zero_weights_is_the_excess_of_the_gradient_norm():
    """At W = 0: max_g (‖∇_g‖ − λg·√(|g|·h))₊, which defines the group lasso's λ_max."""
    gradient = np.random.default_rng(5).normal(size=(1, H, P))
    norms = np.array([np.sqrt((gradient[0][:, INDEX == g] ** 2).sum()) for g in SIZES])
    roots = np.array([np.sqrt(size * H) for size in SIZES.values()])
    largest = (norms / roots).max()
    zero = np.zeros((1, H, P))
    at = penalties.residual(zero, gradient, 1e-2, lambdas(0, 0, largest, 1), groups()).numpy()
    below = penalties.residual(zero, gradient, 1e-2, lambdas(0, 0, 0.9 * largest, 1), groups())
    assert at[0] == pytest.approx(0.0, abs=1e-12)
    expected = np.maximum(norms - 0.9 * largest * roots, 0).max()
    assert below.numpy()[0] == pytest.approx(expected)


def test_columns_of_a_variable_must_share_their_factor():
    with pytest.raises(ValueError, match="share one penalty factor"):
        penalties.groups(np.array([0, 0]), np.array([1.0, 0.0]))
