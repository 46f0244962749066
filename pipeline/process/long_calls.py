"""Linear algebra that takes long, called without Python's lock.

SciPy's wrappers hold the lock of the interpreter for the whole of a call, which for 30,000 people
is minutes: nobody could ask the process to stop in that time (`pipeline.process.stopping`), and no
progress would show. These are the same routines of SciPy's own BLAS and LAPACK, found by the
addresses that it hands on to Cython, so the numbers are the same to the last bit.

Shapes: N people, m variants, n equations.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg import cython_blas, cython_lapack
from threadpoolctl import threadpool_limits

_INT = ctypes.c_int


@cache
def _routine(module: object, name: str, arguments: int) -> Callable[..., None]:
    capsule = module.__pyx_capi__[name]  # type: ignore[attr-defined]
    name_of, address_of = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of.restype, address_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    address = address_of(capsule, name_of(capsule))
    # A function of `CFUNCTYPE` is called with the lock released.
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(address)


def one_blas_thread() -> threadpool_limits:
    """While a block runs, or from here to `restore_original_limits`, NumPy's and SciPy's products
    use one core: their digits depend on how many do, and so on what else the process does."""
    return threadpool_limits(1, "blas")  # SciPy's is loaded: this module needs it


def _numbers(*values: int) -> list:
    return [ctypes.byref(_INT(value)) for value in values]


def _data(array: np.ndarray) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def add_products(total: np.ndarray, genotypes: np.ndarray) -> None:
    """total += G·Gᵀ, its lower triangle, in place: (N, N) and (N, m), float32 in Fortran order."""
    _check(np.float32, total, genotypes)
    people, variants = genotypes.shape
    n, k, lda, ldc = _numbers(people, variants, max(people, 1), max(people, 1))
    one = ctypes.byref(ctypes.c_float(1.0))
    ssyrk = _routine(cython_blas, "ssyrk", 10)
    ssyrk(b"L", b"N", n, k, one, _data(genotypes), lda, one, _data(total), ldc)


def factor(matrix: np.ndarray) -> int:
    """Overwrites the lower triangle with L of L·Lᵀ, the upper one with zeros: (n, n) float64 in
    Fortran order. Returns 0, or the order of the first minor that is not positive."""
    _check(np.float64, matrix)
    n, lda = _numbers(len(matrix), max(len(matrix), 1))
    info = _INT()
    _routine(cython_lapack, "dpotrf", 5)(b"L", n, _data(matrix), lda, ctypes.byref(info))
    for start in range(0, len(matrix), 1024):
        part = slice(start, start + 1024)
        matrix[:start, part] = 0.0
        matrix[part, part] = np.tril(matrix[part, part])
    return info.value


def solve(lower: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    """L⁻¹·B, or L⁻ᵀ·B, (n, m) float64, of a lower L (n, n) as `factor` gives it."""
    lower, answer = np.asfortranarray(lower), np.array(right, np.float64, order="F")
    _check(np.float64, lower, answer)
    n, m, lda, ldb = _numbers(*answer.shape, max(len(lower), 1), max(len(answer), 1))
    turned, info = b"T" if transposed else b"N", _INT()
    dtrtrs = _routine(cython_lapack, "dtrtrs", 10)
    dtrtrs(b"L", turned, b"N", n, m, _data(lower), lda, _data(answer), ldb, ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"the matrix is singular at row {info.value}")
    return answer


def _check(kind: type, *arrays: np.ndarray) -> None:
    for array in arrays:
        if array.dtype != kind or array.ndim != 2 or not array.flags.f_contiguous:
            raise ValueError(f"matrices of {kind.__name__} in Fortran order are wanted")
