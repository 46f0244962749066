from .estimators import SparseMLPClassifier as SparseMLPClassifier
from .estimators import SparseMLPRegressor as SparseMLPRegressor
from .fitting import train_networks as train_networks
from .path import lambda_path as lambda_path
