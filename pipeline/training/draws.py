"""Random numbers that training starts from, and that whoever explains a network draws again."""

from __future__ import annotations

import numpy as np


def genetic_draws(seed: int, training_rows: int, dimensions: int) -> np.ndarray:
    """z (n, d) float32, from which the encoder of a network of this seed starts."""
    generator = np.random.default_rng([seed, 2])
    return generator.standard_normal((training_rows, dimensions), np.float32)
