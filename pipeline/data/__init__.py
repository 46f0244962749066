"""A table → a cohort: people, columns, variables and splits.

`table` reads a file, `features` turns columns into numbers, `outcome` and `row_weights` do so
with the target and the rows' weights, `variables` says what the penalty takes as one, `split`
holds rows out, `cohort` has it all. Everything that is fitted is fitted on training rows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
