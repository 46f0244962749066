"""Artifacts in a local folder: written whole, and none without a run."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from pipeline.process import abandoned, part_name


@contextmanager
def intended(location: str, run_ids: Sequence[str]) -> Iterator[None]:
    """While the block writes these runs' artifacts and then records them, a note among the runs'
    folders says so; where the process dies, `remove_orphans` finds it."""
    if not is_local_uri(location):
        yield
        return
    root = Path(local_file_uri_to_path(location))
    root.mkdir(parents=True, exist_ok=True)
    note = root / part_name()
    note.write_text("\n".join(run_ids))
    try:
        yield
    except Exception:
        for run_id in run_ids:
            shutil.rmtree(root / run_id, ignore_errors=True)
        raise
    finally:
        note.unlink(missing_ok=True)


def remove_orphans(location: str, is_unknown: Callable[[str], bool]) -> int:
    """Remove the folders of runs that dead processes intended and the store does not know."""
    removed = 0
    notes = abandoned(local_file_uri_to_path(location)) if is_local_uri(location) else []
    for note in notes:
        for run_id in note.read_text().split():
            if (folder := note.parent / run_id).is_dir() and is_unknown(run_id):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        note.unlink(missing_ok=True)
    return removed


def read_from(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name; those in the making are none."""
    if not folder.is_dir():
        return {}
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".part-")
    }
