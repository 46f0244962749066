"""The mathematics of one network, written for a population of K networks at once.

`architecture` says what networks have in common, `network` is the forward pass and its
gradients, `first_layer` the places of its columns,
`regularizers` the table of them, `penalties` value and proximal step of every
regularizer, `optimizer` one training step, `resting` what of the encoder moves in an
epoch, `epoch` the compiled program of it, `types`
what training is given and gives back, `fitted_network` a trained network in NumPy alone. Nothing
here decides when to stop or reads a table.
"""

import lazy_loader

from pipeline.process import load_driver

load_driver()  # before TensorFlow, which this room loads
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
