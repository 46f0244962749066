"""A population of networks, epoch by epoch, to its final states.

`training` is the story, `population` the networks that train together on one core, `tensors`
their data, `draws` the random numbers of encoders, `resting_encoder` what of a part's encoder
moves,
`problems` the same as the solvers see it, `final_state` the last states, settled,
certified and predicted.
"""

import lazy_loader

from pipeline.process import load_driver

load_driver()  # before TensorFlow, which this room loads
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
