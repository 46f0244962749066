"""Where float32 cannot tell one objective from the next, float64 goes on."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from pipeline.networks import Schedule
from pipeline.solvers import Problem, certified, finished
from pipeline.solvers.finish import CONVEX


@pytest.mark.parametrize("lambdas", [(3e-4, 0.0, 0.0), (0.0, 0.0, 3e-4)])
def test_ten_classes_that_can_be_told_apart_reach_their_tolerance_under_a_weak_penalty(lambdas):
    """Their objective is flat: it stops falling in float32 far from the tolerance."""
    columns, classes = load_digits(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(columns))[:1200]
    columns = np.append(StandardScaler().fit_transform(columns)[rows], np.ones((1200, 1)), axis=1)
    p, target = columns.shape[1], np.eye(10)[classes[rows]].T
    problem = Problem(
        columns, target, np.full(1200, 1 / 1200), "multiclass", "relu", (), lambdas,
        np.arange(p), np.ones(p), np.append(np.ones(p - 1), 0.0),
    )  # fmt: skip
    schedule = Schedule(epochs=1)
    found = finished(np.zeros((10, p)), problem, schedule)
    assert found.certificate.relative <= CONVEX * schedule.tolerance
    assert certified(found.first, problem)[0] == found.certificate
