"""What each network predicts for every person, kept in the local cache for the end of the study.

A prediction is a person's, so it never leaves this machine: the tracking store gets numbers of
groups of people that are made of them. One file a population, whole or not at all, written before
its networks are recorded: a recorded network's predictions are there unless somebody removed them.

Shapes: K networks of a population, M networks, o outputs, N rows of the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.process import OWNER_ONLY, private_folder, whole_file

FOLDER = "predictions"


class Predictions:
    """Predictions of networks of some people at their best epochs, by the networks' keys."""

    def __init__(self, cache: Path, people: str):
        self._folder = Path(cache) / FOLDER / people

    def keep(self, keys: Sequence[str], predictions: np.ndarray) -> None:
        """predictions (K, o, N) by row of the table, readable by their owner alone."""
        digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()
        private_folder(self._folder)
        with whole_file(self._folder / f"{digest[:24]}.npz", OWNER_ONLY) as handle:
            np.savez(
                handle,
                keys=np.frombuffer("\n".join(keys).encode(), np.uint8),
                predictions=np.asarray(predictions, np.float32),
            )

    def read(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Key → (o, N) float32 of those that this machine has; files that are damaged are none."""
        wanted, found = set(keys), {}
        for path in sorted(self._folder.glob("*.npz")):
            try:
                with np.load(path, allow_pickle=False) as stored:
                    names = stored["keys"].tobytes().decode().split("\n")
                    here = [i for i, name in enumerate(names) if name in wanted]
                    if here:
                        predictions = stored["predictions"]
                        found.update({names[i]: predictions[i] for i in here})
            except Exception:  # whatever a foreign file makes of NumPy's reader
                continue
        return found
