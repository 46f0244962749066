"""Finished models, used: on new people, and to be understood.

`model` is one in Python. `predict` is the story of a prediction: `scoring` predicts, `outcomes`
reads what is known of the people, `validation` measures the model on it. `explain` is that of an
explanation: `rows` chooses people, `coded` has them in numbers, `explanation` says what the model
does with its variables, `exports` writes it down for other programs. `figures` and `page` show
both.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
