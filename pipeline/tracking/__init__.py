"""MLflow, in both directions; no other room imports it.

`store` (with `store_sql`, the fast way into SQLite) has runs as plain values, `models` has
models, `format` turns values into a store's text and back, `opening` and `writer` write a study's
runs, `reader` reads them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
