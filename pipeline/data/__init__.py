"""A table → a cohort: people, columns, variables and splits.

`files` (with `csv_text`) reads a file, `kinds` (with `notations`) decides what each column is,
`suspects` which look like variables and are none, `features` fits the table's schema, `outcome` and
`row_weights` read the target and the rows' weights, `variables` says what the penalty takes as one,
`described` has columns in people's own values for tables about them, `split` holds rows out,
`resampling` draws who else might have been there, `cohort` has it all. Everything that is fitted is
fitted on training rows.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
