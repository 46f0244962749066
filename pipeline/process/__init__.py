"""The process on its machine: what it may use, where it stands, how it ends.

`memory` says how much there is and `cores` how many of them, `places` where the person stands,
`files` writes whole files or none, `stopping` ends within seconds when asked to, `long_calls` does
linear algebra during which it can, `faults` tells the errors of a disk from those of the program,
`masking` takes passwords out of text, `drivers` loads a database's driver while it can be,
`garbage` has Python look for lost cycles less often, `beside` does something in a thread, and
`spread` in several processes.
Nothing here knows of networks or tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
