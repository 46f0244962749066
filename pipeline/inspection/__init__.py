"""What results across seeds say: pure functions of results, no files, no figures.

`solutions` groups networks by what they keep, `configurations` has one row a configuration,
`stability` and `agreement` measure how far seeds agree, `tipping` finds where solutions change
along λ, `pareto` what no other configuration beats, `importance` which searched values matter,
`focus` which configurations deserve a closer look, `other_people` what networks of resamples say.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
