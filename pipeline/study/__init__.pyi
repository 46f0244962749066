from .crew import study_crew as study_crew
from .people import People as People
from .run import run_study as run_study
from .study_cohort import study_cohort as study_cohort
