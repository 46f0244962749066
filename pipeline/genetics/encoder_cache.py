"""What training learned of each network's encoder, kept in the local cache until it is needed.

The dual coefficients C have a row a training person, so they never leave this machine: the tracking
store gets weights of variants (pipeline.genetics.variant_weights) and nothing of a person.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.process import OWNER_ONLY, whole_file


class Encoders:
    """A network's key → C (n, d) and scale a of its best epoch, in a folder.

    The key is a hash of all that decides the network's numbers, so every study with the network
    finds it.
    """

    def __init__(self, cache: Path):
        self._folder = Path(cache) / "encoders"

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def keep(self, key: str, coefficients: np.ndarray, scale: float) -> None:
        """Written whole or not at all, for its owner alone to read."""
        with whole_file(self._path(key), OWNER_ONLY) as handle:
            np.savez(handle, coefficients=coefficients, scale=scale)

    def read(self, key: str) -> tuple[np.ndarray, float] | None:
        """None where this machine does not have it, or not whole."""
        try:
            with np.load(self._path(key), allow_pickle=False) as stored:
                return stored["coefficients"], float(stored["scale"])
        except Exception:  # whatever a foreign file makes of NumPy's reader
            return None
