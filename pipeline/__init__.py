"""Lariat: which variables does a neural network need, under which regularizer?

The scikit-learn face is `SparseMLPClassifier`, `SparseMLPRegressor` and `lambda_path`; `load_model`
is a network of a finished study, to use. Each is loaded when it is first asked for, so that
`import pipeline` stays free of TensorFlow.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
