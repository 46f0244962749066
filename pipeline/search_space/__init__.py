"""A study file → a validated space of configurations → the configurations themselves.

`yaml12` reads YAML 1.2 without its traps, `schema` has every key and its limits, `space` what may
be searched, `overrides` lays parameters over the file, `located` knows where files are,
`study_file` puts them together, `combinations` and `sampling` draw configurations by Optuna's
samplers. No table is read here, and no database is opened.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
