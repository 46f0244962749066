"""First layers brought to a stationary point, and the certificate that they are there.

One network at a time, in NumPy and float64: `problem` is what the solvers see of it, with loss,
gradient, penalty and proximal step; `subspace` takes quasi-Newton steps (`quasi_newton`) on all
training rows, `kinks` settles ReLU networks whose minimum lies where units bend (`near_kinks` finds
those, `box_minimum` solves for their multipliers), `finish` runs both until `kkt`, the
certificate, holds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
