from .explain import explain as explain
from .model import load_model as load_model
from .predict import Written as Written
from .predict import predict as predict
