"""What simpler models reach on the same people: the yardstick of a study's networks.

`contenders` is the list of them and fits one after another, `linear` has regression plain and with
an elastic net, `boosting` gradient boosting, `gblup` the relationship matrix, alone and beside the
table, `choosing` takes what does best on the validation rows, `kept` keeps predictions where the
people's other arrays are. All train on exactly the training rows; test rows have no say.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
