from .estimators import SparseMLPClassifier as SparseMLPClassifier
from .estimators import SparseMLPRegressor as SparseMLPRegressor
from .fitting import train_networks as train_networks
from .maxima import largest_lambdas as largest_lambdas
from .path import lambda_path as lambda_path
from .stability import StabilityPath as StabilityPath
from .stability import stability_path as stability_path
