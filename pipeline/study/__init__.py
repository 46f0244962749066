"""The story of a study: ask, train, record, tell, report.

`run` tells it; `identity` says which study it is, `lock` keeps others out; `populations` groups
`replicates` and trains them on `people`, `evaluation` measures them, `recording` hands them on;
`trials` asks and tells Optuna, `study_cohort` fits study and table to each other,
`variant_search` picks the variants to show, `finalists` the networks that become models.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
