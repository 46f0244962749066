"""Runs that wait on disk until a server takes them: written here first, removed when it has them.

Of runs that were trained together there is one file, whole or not at all, readable by its owner
alone. Each run has a tag that the server keeps too, so that what arrived before a connection broke
is recognized and not sent again.
"""

from __future__ import annotations

import json
import time
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from pipeline.process import OWNER_ONLY, private_folder, sweep, whole_file
from pipeline.tracking.records import NewRun

DELIVERY = "delivery"
"""Tag of a run that went through a spool."""

_RUNS = "runs.json"
DAMAGED = ".damaged"


class Spool:
    """A folder of runs that wait, the first put first."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def put(self, runs: Sequence[NewRun]) -> list[NewRun]:
        """Keep these runs; returns them with their tag."""
        runs = [
            run
            if DELIVERY in run.tags
            else replace(run, tags={**run.tags, DELIVERY: uuid.uuid4().hex})
            for run in runs
        ]
        private_folder(self.folder)
        sweep(self.folder)
        described = [{**asdict(replace(run, files={})), "files": list(run.files)} for run in runs]
        path = self.folder / f"{time.time_ns():020d}.zip"
        with whole_file(path, OWNER_ONLY) as handle, zipfile.ZipFile(handle, "w") as archive:
            archive.writestr(_RUNS, json.dumps(described))
            for i, run in enumerate(runs):
                for name, content in run.files.items():
                    archive.writestr(f"{i}/{name}", content)
        return runs

    def waiting(self) -> list[Path]:
        """The files, in the order in which they came."""
        return sorted(self.folder.glob("*.zip"))

    def networks(self) -> int:
        """How many runs wait."""
        return sum(len(self.read(path)) for path in self.waiting())

    def read(self, path: Path) -> list[NewRun]:
        """The runs of a file. One that is damaged is renamed and gives none: its networks are
        trained again."""
        try:
            with zipfile.ZipFile(path) as archive:
                described = json.loads(archive.read(_RUNS))
                return [_run(i, fields, archive) for i, fields in enumerate(described)]
        except Exception:  # whatever damage makes of the readers of zip and JSON
            with suppress(OSError):
                path.rename(path.with_suffix(DAMAGED))
            return []

    def remove(self, path: Path) -> None:
        """Every run of this file has arrived."""
        path.unlink(missing_ok=True)


def _run(i: int, fields: Mapping, archive: zipfile.ZipFile) -> NewRun:
    files = {name: archive.read(f"{i}/{name}") for name in fields["files"]}
    metrics = [(name, value, ms, step) for name, value, ms, step in fields["metrics"]]
    return NewRun(**{**fields, "files": files, "metrics": metrics})
