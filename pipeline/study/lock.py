"""One process at a time trains a study."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from pipeline.errors import InputError


@contextmanager
def alone(study_id: str, folder: Path) -> Iterator[None]:
    """Keep a second process in this working directory from training the same networks."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{study_id}.lock").open("w") as lock:
        try:
            if fcntl is not None:  # the lock goes with the process, however that ends
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                "one process at a time must run a study, but another one is running this study "
                "here; wait for it, or stop it"
            ) from None
        yield
