"""What other people would have given: bounds, stable sets and variances, against values that were
published, worked out by hand, or found by another method."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import t as student

from pipeline.people import (
    ResampledPredictions,
    components,
    false_selections,
    grid_of,
    instability,
    integrated_path,
    prediction_tables,
    selection_path,
    share_intervals,
    stable_set,
)
from pipeline.people.false_selections import largest_tail, r_concave
from pipeline.people.instability import FEWEST, changed_class, prediction_error

# What R's stabs 0.6-4 prints for p = 100, cutoff 0.6, 50 pairs (tests/regtest-inference.Rout.save).
STABS_UNIMODAL = {1: 0.02631579, 3: 0.2368421, 5: 0.6578947, 10: 2.631579}
STABS_R_CONCAVE = {3: 0.08691176, 5: 0.2605329, 7: 0.5295188, 10: 1.141338, 30: 16.24975}


def test_the_bound_without_assumptions_is_that_of_meinshausen_and_buhlmann():
    for q, wanted in {1: 0.05, 3: 0.45, 5: 1.25, 10: 5.0}.items():
        assert false_selections(q, 100, 0.6, 0).any_distribution == pytest.approx(wanted)


@pytest.mark.parametrize("q", STABS_UNIMODAL)
def test_the_unimodal_bound_is_that_of_r_stabs(q):
    found = false_selections(q, 100, 0.6, 50).unimodal
    assert found == pytest.approx(STABS_UNIMODAL[q], rel=1e-6)
    assert false_selections(3, 10, 0.96, 50).unimodal == pytest.approx(0.176, abs=5e-4)


@pytest.mark.parametrize("q", STABS_R_CONCAVE)
def test_the_r_concave_bound_is_that_of_r_stabs(q):
    # R's optimize stops short of the maximum by up to 0.03 %, and stabs leaves out the widest pmf.
    wanted = STABS_R_CONCAVE[q]
    assert wanted * (1 - 1e-6) <= r_concave(q, 100, 0.6, 50) <= wanted * 1.0003


def test_the_r_concave_bound_at_other_thresholds_is_that_of_r_stabs():
    for q, p, threshold, wanted in [
        (6, 200, 0.6, 0.174), (7, 200, 0.6, 0.248), (7, 200, 0.62, 0.196), (7, 200, 0.61, 0.219),
        (10, 100, 0.5, 2.48), (10, 100, 0.62, 0.897), (10, 100, 0.61, 1.01),
    ]:  # fmt: skip
        assert r_concave(q, p, threshold, 50) == pytest.approx(wanted, rel=6e-3)


def tail_by_search(mean: float, reached: int, steps: int, r: float) -> float:
    """The largest P(X ≥ t) of pmfs whose r-th power is convex, by a general solver."""
    best, rng = 0.0, np.random.default_rng(0)
    for last in range(reached, steps + 1):

        def pmf(x):
            weights = np.exp(np.clip(x, -60, 60)) ** (1 / r)
            return weights / weights.sum()

        constraints = [
            {"type": "eq", "fun": lambda x: pmf(x) @ np.arange(len(x)) - mean * steps},
            {"type": "ineq", "fun": lambda x: np.diff(np.exp(np.clip(x, -60, 60)), 2)},
        ]
        for _ in range(20):
            start = np.sort(rng.normal(size=last + 1)) * rng.uniform(0.2, 3)
            found = minimize(
                lambda x: -pmf(x)[reached:].sum(), start, method="SLSQP", constraints=constraints
            )
            holds = abs(constraints[0]["fun"](found.x)) < 1e-6
            if holds and constraints[1]["fun"](found.x).min() > -1e-7:
                best = max(best, -found.fun)
    return best


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("mean", "reached", "steps", "r"), [(0.1, 4, 5, -0.5), (0.15, 4, 6, -0.25)]
)
def test_the_largest_tail_is_what_a_general_solver_finds(mean, reached, steps, r):
    wanted = tail_by_search(mean, reached, steps, r)
    assert largest_tail(mean, reached, steps, r) == pytest.approx(wanted, rel=1e-4)


def test_bounds_are_in_order_and_grow_with_what_is_kept():
    found = [false_selections(q, 40, 0.8, 50) for q in np.linspace(0.5, 10, 20)]
    for bound in found:
        assert bound.r_concave <= bound.unimodal <= bound.any_distribution
    for name in ("any_distribution", "unimodal", "r_concave"):
        assert np.all(np.diff([b.under(name) for b in found]) >= 0)
    assert found[0].under("r_concave") == found[0].r_concave


def test_without_pairs_there_is_the_bound_without_assumptions_alone():
    found = false_selections(3, 40, 0.8, 0)
    assert np.isnan(found.unimodal) and np.isnan(found.r_concave)
    assert found.under("r_concave") == found.any_distribution


def networks_of(kept: np.ndarray):
    """(R, S, L, g) → the rows of `selection_path`, in a shuffled order."""
    resamples, seeds, configurations, _ = kept.shape
    at = np.array(list(np.ndindex(resamples, seeds, configurations)))
    np.random.default_rng(0).shuffle(at)
    r, s, c = at.T
    return kept[r, s, c], c, s, r


def planted(resamples=40, seeds=2, g=20):
    """Variables 0 and 1 always kept from the first and second configuration on; others by chance,
    more of them at each configuration."""
    rng = np.random.default_rng(1)
    kept = np.zeros((resamples, seeds, 4, g), bool)
    kept[:, :, 0:, 0] = kept[:, :, 1:, 1] = True
    for c, chance in enumerate((0.0, 0.02, 0.05, 0.6)):
        kept[:, :, c, 2:] |= rng.random((resamples, seeds, g - 2)) < chance
    return kept


def test_probabilities_along_the_path_are_shares_of_networks():
    kept = planted()
    path = selection_path(*networks_of(kept), paired=True)
    assert path.configurations == (0, 1, 2, 3) and path.pairs == 20 and path.dropped == 0
    np.testing.assert_allclose(path.probability, kept.mean(axis=(0, 1)))
    np.testing.assert_allclose(path.kept_on_average, kept.sum(axis=3).mean(axis=(0, 1)))


def test_the_stable_set_runs_down_the_path_as_far_as_its_bound_allows():
    path = selection_path(*networks_of(planted()), paired=True)
    found = stable_set(path, threshold=0.8, most_false=1.0)
    assert found.configurations == (0, 1, 2)  # at the fourth, 12 of 20 are kept by chance
    assert found.stable.tolist() == [True, True] + [False] * 18
    anywhere = planted()[:, :, :3].any(axis=2)
    assert found.kept == pytest.approx(anywhere.sum(axis=2).mean())
    wanted = false_selections(found.kept, 20, 0.8, 20)
    assert found.false == wanted and found.expected_false == wanted.unimodal <= 1.0
    stricter = stable_set(path, threshold=0.8, most_false=0.01, assumption="any_distribution")
    assert stricter.configurations == () and not stricter.stable.any()


def test_a_failed_network_keeps_nothing_and_a_resample_without_its_half_is_left_out():
    selected, c, s, r = networks_of(planted(resamples=6, seeds=1))
    missing = (r == 3) | ((r == 0) & (c == 0))
    path = selection_path(selected[~missing], c[~missing], s[~missing], r[~missing], paired=True)
    assert path.resamples == (0, 1, 4, 5) and path.dropped == 1 and path.pairs == 2
    assert not path.finished[0, 0, 0] and not path.kept[0, 0, 0].any()
    assert path.probability[0, 0] == 1.0  # of the networks that finished


def test_integrated_paths_are_those_of_the_authors_package():
    # Of ipss 1.1.13: ipss_scores(probability, 25, logspace(0, -2, 4), q, "h3", 1, 1e9).
    probability = np.array(
        [[0.6, 0.5, 0, 0], [0.9, 0.7, 0.1, 0.04], [1, 0.84, 0.2, 0.3], [1, 0.9, 0.56, 0.6]]
    )
    times = np.round(50 * probability).astype(int)  # (L, g)
    kept = np.arange(50)[:, None, None, None] < times[None, None]
    path = selection_path(*networks_of(kept), paired=True)
    np.testing.assert_allclose(path.probability, probability)
    # The package sums rectangles from the left, so the last λ has no weight: here it has none too.
    weights = np.array([1, 1, 1, 0]) / 3
    found = integrated_path(path, np.logspace(0, -2, 4), cutoff=1e9, weights=weights)
    np.testing.assert_allclose(found.expected_false, [0.16055873, 0.64489595, 4, 4], rtol=1e-6)
    np.testing.assert_allclose(found.q_values, [0.16055873, 0.32244798, 1, 1], rtol=1e-6)


def test_the_integral_runs_as_far_as_its_cutoff_and_weighs_lambda_on_its_logarithm():
    path = selection_path(*networks_of(planted()), paired=True)
    found = integrated_path(path, np.array([0.1, 0.05, 0.02, 0.01]))
    assert found.configurations == (0, 1, 2)
    # Trapezoids in log λ of widths log 2 and log 2.5: always kept from the first, or second, λ on.
    assert found.score[0] == pytest.approx(1.0)
    assert found.score[1] == pytest.approx(1 - np.log(2) / 2 / np.log(5))
    assert (found.score[2:] == 0).all() and (found.expected_false[2:] == 20).all()


def test_variance_components_are_those_worked_out_by_hand():
    # Means of rows 3, 6; of columns 2, 5, 6.5; all 4.5. MS_R = 3·(2.25+2.25) = 13.5,
    # MS_S = 2·(6.25+0.25+4)/2 = 10.5, residuals ±(0.5, −0.5, 0), MS_RS = 4·0.25/2 = 0.5.
    found = components(np.array([[1.0, 3.0, 5.0], [3.0, 7.0, 8.0]]))
    assert found.both == pytest.approx(0.5)
    assert found.resample == pytest.approx((13.5 - 0.5) / 3)
    assert found.seed == pytest.approx((10.5 - 0.5) / 2)
    shares = found.shares()[:, 0]
    assert shares == pytest.approx(np.array([5.0, 13 / 3, 0.5]) / (5.0 + 13 / 3 + 0.5))


def test_a_negative_component_counts_as_none_and_a_constant_has_no_shares():
    crossed = np.array([[0.0, 1.0], [1.0, 0.0]])
    found = components(np.stack([crossed, np.ones((2, 2))], axis=2))
    assert found.seed[0] < 0 and found.resample[0] < 0 and found.both[0] == 1.0
    assert found.shares()[:, 0].tolist() == [0.0, 0.0, 1.0] and np.isnan(found.shares()[:, 1]).all()


def test_components_do_not_depend_on_the_order_of_networks_and_whole_resamples_alone_count():
    rng = np.random.default_rng(0)
    values, order = rng.normal(size=(3, 2, 4)), rng.permutation(6)
    r, s = (x.ravel()[order] for x in np.meshgrid([7, 8, 9], [0, 5], indexing="ij"))
    flat = values.reshape(6, 4)[order]
    np.testing.assert_array_equal(grid_of(flat, r, s)[0], values)
    grid, dropped = grid_of(flat[1:], r[1:], s[1:])
    assert grid.shape == (2, 2, 4) and dropped == 1


def test_jackknifed_intervals_are_those_of_grids_with_rows_and_columns_left_out():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(20, 6, 3)) + rng.normal(size=(20, 1, 3)) + rng.normal(size=(1, 6, 3))

    c, d = np.array([1 / 20, 1 / 6, 1 / 120]), 1 / 120

    def phi(grid):
        found = components(grid)
        parts = np.array([p.sum() for p in (found.seed, found.resample, found.both)])
        return np.log((parts / parts.sum() + c) / (1 + d - parts / parts.sum()))

    rows = np.array([phi(np.delete(y, i, 0)) for i in range(20)])
    columns = np.array([phi(np.delete(y, j, 1)) for j in range(6)])
    cells = [[phi(np.delete(np.delete(y, i, 0), j, 1)) for j in range(6)] for i in range(20)]
    u = 19 * 5 * (np.array(cells) - rows[:, None] - columns + phi(y))
    u = u - u.mean(axis=0) - u.mean(axis=1, keepdims=True) + u.mean(axis=(0, 1))
    v_rows, v_columns = 19 * rows.var(axis=0), 5 * columns.var(axis=0)
    v = v_rows + v_columns - np.square(u).sum(axis=(0, 1)) / (19 * 5 * 20 * 6)
    v = np.maximum(v, np.maximum(v_rows, v_columns))
    freedom = (v_rows + v_columns) ** 2 / (v_rows**2 / 18 + v_columns**2 / 4)
    reach = student.ppf(0.975, freedom) * np.sqrt(v)
    odds = np.exp([phi(y) - reach, phi(y) + reach])
    wanted = np.clip((odds * (1 + d) - c) / (1 + odds), 0, 1).T
    np.testing.assert_allclose(share_intervals(y), wanted, rtol=1e-9)


def test_from_few_seeds_or_resamples_there_is_no_interval():
    rng = np.random.default_rng(0)
    assert np.isnan(share_intervals(rng.normal(size=(40, 4)))).all()
    assert np.isnan(share_intervals(rng.normal(size=(10, 8)))).all()
    assert np.isnan(share_intervals(np.ones((40, 8)))).all()


def test_instability_is_that_of_riley_and_collins_by_hand():
    # As pminternal has them: mean |p_b − p| over models b, and the share of models whose class,
    # p > threshold, is another one.
    predictions = np.array([[0.1, 0.5], [0.3, 0.7], [0.2, 0.2]])
    reference = np.array([0.2, 0.6])
    np.testing.assert_allclose(prediction_error(predictions, reference), [0.2 / 3, 0.6 / 3])
    np.testing.assert_allclose(changed_class(predictions, reference, 0.5), [0, 2 / 3])


def test_instability_of_many_people_adds_up_and_shows_no_one():
    rng = np.random.default_rng(0)
    risk = rng.beta(1, 6, size=400)
    risk[0] = 0.999  # alone at his end of the scale
    predictions = np.clip(risk + rng.normal(0, 0.03, size=(30, 400)), 0, 1)
    found = instability(predictions, risk, threshold=0.2)
    assert found.mean_error == pytest.approx(np.abs(predictions - risk).mean())
    assert found.bands["people"].sum() == 400 and (found.bands["people"] >= FEWEST).all()
    weighted = np.average(found.bands["mean_changed"], weights=found.bands["people"])
    assert weighted == pytest.approx(found.mean_changed)
    band = found.bands.iloc[-1]
    assert band["low"] < 0.95  # he was joined to others
    for _, cell in found.cells.iterrows():
        members = (risk >= cell["low"]) & (risk < cell["high"])
        inside = (predictions >= cell["bottom"]) & (predictions < cell["top"])
        assert (inside.any(axis=0) & members).sum() >= FEWEST or cell["high"] >= 1


def test_too_few_people_are_refused():
    with pytest.raises(ValueError, match="at least 2 networks and 5 people"):
        instability(np.zeros((3, 4)))


def test_tables_of_predictions_say_whose_the_variance_is():
    rng = np.random.default_rng(0)
    people, seeds, resamples = rng.uniform(0.1, 0.4, 60), 15, 20
    by_resample = rng.normal(0, 0.05, size=(resamples, 1, 60))
    by_seed = rng.normal(0, 0.01, size=(1, seeds, 60))
    grid = people + by_resample + by_seed + rng.normal(0, 0.01, size=(resamples, seeds, 60))
    r, s = (x.ravel() for x in np.meshgrid(range(resamples), range(seeds), indexing="ij"))
    group = ResampledPredictions(3, grid.reshape(-1, 60), s, r, people, "test")
    tables = prediction_tables([group], threshold=0.25)
    row = tables["instability"].iloc[0]
    wanted = np.array([0.01**2, 0.05**2, 0.01**2]) / (2 * 0.01**2 + 0.05**2)
    for part, share in zip(("seed", "resample", "both"), wanted, strict=True):
        assert row[f"share_{part}_low"] <= row[f"share_{part}"] <= row[f"share_{part}_high"]
        assert row[f"share_{part}"] == pytest.approx(share, rel=0.5)
    assert (row["configuration"], row["number_of_people"], row["networks"]) == (3, 60, 300)
    assert row["mean_error"] == pytest.approx(np.abs(grid - people).mean())
    for table in tables.values():
        assert (table["configuration"] == 3).all() and len(table) < 60
    quantities = prediction_tables([group], threshold=None)["instability"].iloc[0]
    assert np.isnan(quantities["mean_changed"]) and np.isnan(quantities["often_changed"])


def test_of_fewer_than_five_people_nothing_is_recorded():
    group = ResampledPredictions(0, np.zeros((6, 4)), [0, 1] * 3, [0, 0, 1, 1, 2, 2])
    assert all(table.empty for table in prediction_tables([group], 0.5).values())


def test_intervals_of_whose_variance_it_is_cover_what_they_say():
    """15 variables, 40 resamples and 6 seeds; docs/coverage.md has more of them."""
    rng, levels = np.random.default_rng(0), np.linspace(-2, 2, 15)
    shares = components(kept_by_planted_effects(rng, levels, 2000, 200)).pooled()
    held = np.zeros(3)
    for _ in range(200):
        ends = share_intervals(kept_by_planted_effects(rng, levels, 40, 6))
        held += (ends[:, 0] <= shares) & (shares <= ends[:, 1])
    assert (held / 200 >= 0.9).all()


def kept_by_planted_effects(rng, levels, resamples, seeds):
    of_people = np.sqrt(0.5) * rng.normal(size=(resamples, 1, len(levels)))
    of_seed = np.sqrt(0.2) * rng.normal(size=(1, seeds, len(levels)))
    rest = np.sqrt(0.3) * rng.normal(size=(resamples, seeds, len(levels)))
    return (levels + of_people + of_seed + rest > 0).astype(float)


def test_of_planted_variables_the_stable_are_found_and_false_ones_stay_within_the_bound():
    """100 tables of correlated columns, of which 3 of 20 act; on every half the columns that are
    most correlated with the outcome are kept, more of them at each of four λ.

    benchmarks/error_control.py does it for a group lasso, beside other people's methods.
    """
    rng = np.random.default_rng(0)
    false, promised, found = [], [], []
    for _ in range(100):
        x = rng.normal(size=(200, 20))
        x[:, 1:] = 0.5 * x[:, :-1] + np.sqrt(0.75) * x[:, 1:]
        acts = np.isin(np.arange(20), [3, 10, 17])
        y = x[:, acts].sum(axis=1) + rng.normal(size=200)
        kept = np.array([kept_of_half(x[half], y[half]) for half in halves(rng, 200, 25)])
        path = selection_path(*networks_of(kept[:, None]), paired=True)
        stable = stable_set(path, assumption="unimodal")
        false.append((stable.stable & ~acts).sum())
        promised.append(stable.expected_false)
        found.append(stable.stable[acts].mean())
    error = np.std(false, ddof=1) / 10
    assert np.mean(false) <= np.mean(promised) + 2 * error <= 1 + 2 * error
    assert np.mean(found) > 0.8


def halves(rng, people, pairs):
    for _ in range(pairs):
        order = rng.permutation(people)
        yield from (order[: people // 2], order[people // 2 :])


def kept_of_half(x, y):
    """(4, g): the 1, 2, 3 and 10 columns of the largest correlation with the outcome."""
    x, y = x - x.mean(axis=0), y - y.mean()
    rank = np.argsort(np.argsort(-np.abs(x.T @ y) / np.linalg.norm(x, axis=0)))
    return rank < np.array([1, 2, 3, 10])[:, None]
