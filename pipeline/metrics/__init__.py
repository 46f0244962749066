"""Predictions → numbers, and how sure the numbers are.

`metrics` has the scores of each task by scikit-learn's definitions, `bootstrap` their intervals
over test rows, `calibration` whether predicted risks are the observed ones, by regressions of all
resamples at once (`logistic`), `decisions` what follows from acting on them, `masking` which counts
are shown. Nothing here knows of networks, studies or files.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
