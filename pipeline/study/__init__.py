"""The story of a study: ask, train, record, tell, report.

`run` has its steps in order; `identity` makes the study's id and record, `lock` lets one process at
a time run it, `needs` checks the memory, `storage` says where trials are kept. `study_cohort` fits
study and table to each other. `populations` groups `replicates` and trains them on `people`,
`evaluation` measures them, `recording` writes them into runs and `trials`, `scores` has what
configurations score by them, `crew` says who trains. `variant_search` picks the variants to show,
`finalists` the networks that become models.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
