"""Long calls of linear algebra give what SciPy's own give, and do not hold Python up."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.linalg import blas, lapack, solve_triangular

from pipeline.process import long_calls

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("people", "variants"), [(3, 1), (50, 30), (700, 300)])
def test_numbers_are_those_of_scipys_wrappers_to_the_last_bit(people: int, variants: int) -> None:
    genotypes = np.asfortranarray(RNG.normal(size=(people, variants)).astype(np.float32))
    total = np.asfortranarray(RNG.normal(size=(people, people)).astype(np.float32))
    expected = blas.ssyrk(1.0, genotypes, beta=1.0, c=total.copy(order="F"), lower=1)
    long_calls.add_products(total, genotypes)
    np.testing.assert_array_equal(total, expected)
    matrix = np.asfortranarray(genotypes @ genotypes.T + np.eye(people), np.float64)
    lower, info = lapack.dpotrf(matrix, lower=1, clean=1)
    assert long_calls.factor(matrix) == info == 0
    np.testing.assert_array_equal(matrix, lower)
    for columns in (1, 20, people):
        right = RNG.normal(size=(people, columns))
        for given in (right, np.asfortranarray(right)):
            before = given.copy()
            np.testing.assert_array_equal(
                long_calls.solve(lower, given), solve_triangular(lower, given, lower=True)
            )
            np.testing.assert_array_equal(
                long_calls.solve(lower, given, transposed=True),
                solve_triangular(lower, given, lower=True, trans="T"),
            )
            np.testing.assert_array_equal(given, before)


def test_a_matrix_that_is_not_positive_definite_says_where() -> None:
    matrix = np.asfortranarray(np.diag([1.0, 2.0, -1.0, 3.0]))
    assert long_calls.factor(matrix) == lapack.dpotrf(np.diag([1.0, 2.0, -1.0, 3.0]), lower=1)[1]
    with pytest.raises(ValueError, match="Fortran order"):
        long_calls.factor(np.arange(6.0).reshape(2, 3))


def test_another_thread_goes_on_meanwhile() -> None:
    """A thread that is to hear a signal gets its turn within a call, not only after it."""
    genotypes = np.asfortranarray(RNG.normal(size=(3000, 500)).astype(np.float32))
    total = np.zeros((3000, 3000), np.float32, order="F")
    inside, turns, done = threading.Event(), [], threading.Event()

    def other() -> None:
        inside.wait()
        while not done.wait(0.001):
            turns.append(1)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        inside.set()
        long_calls.add_products(total, genotypes)
        at_the_end = len(turns)
    finally:
        done.set()
        thread.join()
    assert at_the_end >= 3
