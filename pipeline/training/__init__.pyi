from .checkpoint import Checkpoint as Checkpoint
from .problems import Problems as Problems
from .tensors import genetic_draws as genetic_draws
from .training import train_population as train_population
