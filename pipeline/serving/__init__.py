"""A trained network to use: a table as read → features → predictions, by NumPy.

This room imports nothing else of Lariat, because MLflow keeps a copy of it with every model, under
a name of its own. `notation` says how numbers are written, `columns` what one column is, `schema`
turns a table into features by it, `forward` is the network's forward pass, `model` all of it as one
model to use, `errors` has the one exception. Of genotypes, `fileset` reads PLINK files, `matching`
finds a model's variants there, `variant_scores` makes genetic dimensions of them by the model's
weights, `genotyped` for the people of a table. Nothing is fitted here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
