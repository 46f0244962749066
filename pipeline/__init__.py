"""Lariat: which variables does a neural network need, under which regularizer?

The scikit-learn face is `SparseMLPClassifier`, `SparseMLPRegressor` and `lambda_path`; each is
loaded when it is first asked for, so that `import pipeline` stays free of TensorFlow.
"""

from __future__ import annotations

from importlib import import_module

_HOME = {
    "SparseMLPClassifier": "pipeline.estimators",
    "SparseMLPRegressor": "pipeline.estimators",
    "lambda_path": "pipeline.lambda_paths",
}

__all__ = ["SparseMLPClassifier", "SparseMLPRegressor", "lambda_path"]


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
