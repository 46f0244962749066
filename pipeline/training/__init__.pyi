from .checkpoint import Checkpoint as Checkpoint
from .draws import genetic_draws as genetic_draws
from .problems import Problems as Problems
from .training import train_population as train_population
