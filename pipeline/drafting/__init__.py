"""A table → a study file that runs as it is, with comments that say why it is so.

`columns` looks at a table's columns, `strengths` finds where λ leaves nothing, `text` writes the
file, `questions` asks a person at a terminal, `story` has it all in order.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
