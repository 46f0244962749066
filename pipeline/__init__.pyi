from .estimators import SparseMLPClassifier as SparseMLPClassifier
from .estimators import SparseMLPRegressor as SparseMLPRegressor
from .estimators import lambda_path as lambda_path
from .estimators import stability_path as stability_path
from .prediction import load_model as load_model
