"""MLflow, in both directions; no other room imports it.

`store` (with `connecting`, and `store_sql` and `store_search`, the fast ways into and out of a
database) has runs as plain values (`records`), `artifacts` their files; `format` turns values into
a store's text and back. `opening` and `writer` write a study's runs, `reader` reads them. `models`
logs models with their `origin`, `fetched` gets them back. `availability` recognizes servers that do
not answer, `delivery` and `spool` keep runs until they do. `holder` says which process runs a
study, `local_sqlite` looks after database files, and `databases` says what is wrong with those of
servers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
