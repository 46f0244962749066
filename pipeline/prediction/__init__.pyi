from .explain import explain as explain
from .predict import Written as Written
from .predict import predict as predict
