from .story import new_study as new_study
