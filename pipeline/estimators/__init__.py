"""The engine as scikit-learn estimators, and paths along λ.

`estimators` has classifier and regressor, `parameters` checks what they are given, `fitting`
trains, `groups` reads variables off a fitted transformer, `path` follows λ from dense to sparse,
`stability` does so on resamples of the rows, which `resampling` draws.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
