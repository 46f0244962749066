from .people import People as People
from .run import run_study as run_study
