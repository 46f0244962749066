from .finish import Finished as Finished
from .finish import finished as finished
from .kkt import certified as certified
from .problem import Problem as Problem
from .problem import gradient as gradient
