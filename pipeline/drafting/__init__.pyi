from .new_study import new_study as new_study
