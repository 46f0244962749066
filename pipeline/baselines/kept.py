"""Baselines' predictions on this machine, so that a study that goes on does not fit them again.

They have a value a person, so they stay in the local cache and are nowhere else.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np

from pipeline.baselines.contenders import Baseline
from pipeline.process import OWNER_ONLY, write_whole

TEXTS = ("name", "inputs", "chosen", "failure")


class KeptBaselines:
    """A key → a study's baselines, in a folder. The key is a digest of all that decides them."""

    def __init__(self, cache: Path):
        self._folder = Path(cache) / "baselines"

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def keep(self, key: str, baselines: list[Baseline]) -> None:
        """Written whole or not at all, for its owner alone to read."""
        about = [{**{t: getattr(b, t) for t in TEXTS}, "seconds": b.seconds} for b in baselines]
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
        for i, baseline in enumerate(baselines):
            arrays |= {f"validation_{i}": baseline.validation, f"test_{i}": baseline.test}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]  # names are of arrays
        write_whole(self._path(key), buffer.getvalue(), OWNER_ONLY)

    def read(self, key: str) -> list[Baseline] | None:
        """None where this machine does not have them, or not whole."""
        try:
            with np.load(self._path(key), allow_pickle=False) as stored:
                return [
                    Baseline(
                        **about, validation=stored[f"validation_{i}"], test=stored[f"test_{i}"]
                    )
                    for i, about in enumerate(json.loads(stored["about"].tobytes()))
                ]
        except Exception:  # whatever a foreign file makes of NumPy's reader
            return None
