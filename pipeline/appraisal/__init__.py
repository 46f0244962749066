"""How a study's model does on people it has not seen, in numbers that name nobody.

`subject` is whom and what is measured, `performance` has scores, calibration, decisions and the
distribution of risk, `comparison` sets baselines beside it, `groups` looks at parts of the people,
`table_one` describes them, `whole` puts all of it together. What comes out are aggregates alone:
counts below five, and those from which one would follow, are masked.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
