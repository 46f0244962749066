"""Would other people have given the same answer? Pure functions over plain arrays.

`false_selections` has the bounds on how many variables are kept by chance, `selection` how often
each variable is kept over resamples along λ, and the stable ones, `integrated` the same without a
threshold, `components` how much of the variance is the seed's and how much the people's,
`instability` how far a person's prediction depends on either, and `tables` what may be recorded of
it. Nothing here knows of networks,
studies or files; whatever is said of single persons is gathered over at least five.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
