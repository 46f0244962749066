"""Finished models, used: on new people, and to be understood.

`models` loads one, `scoring` predicts, `validation` measures it on people of known outcome,
`explanation` says what it does with its variables, `exports` writes it down for other programs.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
