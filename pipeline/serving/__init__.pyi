from .errors import InputError as InputError
from .forward import ACTIVATIONS as ACTIVATIONS
from .forward import forward as forward
from .forward import probabilities as probabilities
