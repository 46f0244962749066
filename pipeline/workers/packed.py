"""What all jobs share, as bytes under a fingerprint: each worker gets and unpacks it once."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Packed:
    """fingerprint of the bytes; a pickle without its arrays, and these as (bytes,) uint8."""

    fingerprint: str
    content: bytes
    arrays: list[np.ndarray]

    @classmethod
    def of(cls, shared: object) -> Packed:
        """Arrays are not copied."""
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(shared, protocol=5, buffer_callback=buffers.append)
        arrays = [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
        digest = hashlib.blake2b(content, digest_size=16)
        for array in arrays:
            digest.update(len(array).to_bytes(8, "little"))
            digest.update(array.data)
        return cls(digest.hexdigest(), content, arrays)

    def unpacked(self) -> object:
        """The same again, on the memory of these arrays."""
        return pickle.loads(self.content, buffers=self.arrays)
