"""What training learned of each network's encoder, kept in the local cache until it is needed.

The dual coefficients C have a row a training person, so they never leave this machine: the tracking
store gets weights of variants (pipeline.genetics.variant_weights) and nothing of a person.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.files import OWNER_ONLY, whole_file


class Encoders:
    """(configuration, seed) → C (n, d) and scale a of the network's best epoch, in a folder."""

    def __init__(self, cache: Path, study_id: str):
        self._folder = Path(cache) / "encoders" / study_id

    def _path(self, cell: tuple[int, int]) -> Path:
        return self._folder / f"c{cell[0]}_s{cell[1]}.npz"

    def keep(self, cell: tuple[int, int], coefficients: np.ndarray, scale: float) -> None:
        """Written whole or not at all, for its owner alone to read."""
        with whole_file(self._path(cell), OWNER_ONLY) as handle:
            np.savez(handle, coefficients=coefficients, scale=scale)

    def read(self, cell: tuple[int, int]) -> tuple[np.ndarray, float] | None:
        """None where this machine does not have it, or not whole."""
        try:
            with np.load(self._path(cell), allow_pickle=False) as stored:
                return stored["coefficients"], float(stored["scale"])
        except Exception:  # whatever a foreign file makes of NumPy's reader
            return None
