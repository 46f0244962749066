"""Networks' runs on their way to a store that may be away for a while."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.tracking.availability import DELIVERY_SECONDS, server_trouble, short_timeouts
from pipeline.tracking.records import Dataset, NewRun, StoredRun
from pipeline.tracking.spool import DELIVERY, Spool
from pipeline.tracking.store import RunStore

WAIT_SECONDS, AGAIN_SECONDS = 300.0, 5.0
"""At the end of a study: how long a store that is away is waited for, and how often it is tried."""


def attempts() -> Iterator[int]:
    """0, 1, 2 … for WAIT_SECONDS, with a pause of AGAIN_SECONDS before each but the first two."""
    until = time.monotonic() + WAIT_SECONDS
    yield 0
    for attempt in itertools.count(1):
        yield attempt
        if time.monotonic() > until:
            return
        time.sleep(AGAIN_SECONDS)


class Delivery:
    """Runs go to a server by way of a spool in `folder`, to a file of this machine directly.

    runs_in_store() are the runs of the study that the store has already, whatever their status.
    """

    def __init__(
        self,
        store: RunStore,
        experiment_id: str,
        dataset: Dataset | None,
        runs_in_store: Callable[[], Sequence[StoredRun]],
        folder: Path | None,
    ) -> None:
        self._store, self._experiment_id, self._dataset = store, experiment_id, dataset
        self._runs_in_store = runs_in_store
        self._spool = Spool(folder) if folder is not None and store.may_be_away else None
        self.trouble: str | None = None
        self._was_away = False

    @property
    def waiting(self) -> int:
        """Runs that the store does not have yet."""
        return self._spool.networks() if self._spool else 0

    def add(self, runs: Sequence[NewRun]) -> list[str]:
        """Run ids, "" of each that waits until the store is back."""
        if self._spool is None:
            return self._store.add(self._experiment_id, runs, self._dataset)
        runs = self._spool.put(runs)
        arrived = self.deliver()
        return [arrived.get(run.tags[DELIVERY], "") for run in runs]

    def deliver(self) -> dict[str, str]:
        """Send what waits, in order, until the store is away; tag → run id of what arrived.

        Errors that are not the store's being away are raised, and nothing that waits is lost.
        """
        arrived: dict[str, str] = {}
        paths = self._spool.waiting() if self._spool else []
        if not paths or self._spool is None:
            return arrived
        try:
            with short_timeouts(DELIVERY_SECONDS):
                delivered = {} if len(paths) == 1 and self.trouble is None else self._delivered()
                for path in paths:
                    runs = self._spool.read(path)
                    missing = [run for run in runs if run.tags[DELIVERY] not in delivered]
                    ids = self._store.add(self._experiment_id, missing, self._dataset)
                    tags = (run.tags[DELIVERY] for run in missing)
                    arrived |= delivered | dict(zip(tags, ids, strict=True))
                    self._spool.remove(path)
        except Exception as error:
            self.trouble = server_trouble(error)
            self._was_away = True
            if self.trouble is None:
                raise
        else:
            self.trouble = None
        return arrived

    def take_up(self) -> None:
        """Send what an earlier start left waiting."""
        self.trouble = self.trouble or "was away in an earlier start"
        self.deliver()

    def _delivered(self) -> dict[str, str]:
        """Tag → run id of what arrived whole before; what arrived in part is deleted."""
        delivered = {}
        for run in self._runs_in_store():
            if tag := run.tags.get(DELIVERY):
                if run.status == "RUNNING":
                    self._store.delete_with_files(run)
                else:
                    delivered[tag] = run.run_id
        return delivered

    def finish(self, on_wait: Callable[[str], None]) -> None:
        """Wait for the store until everything has arrived, calling on_wait(trouble) once.

        Raises InputError where it stays away: what waits stays on the disk for the next start.
        """
        for attempt in attempts():
            if self._spool is None or not self._spool.waiting():
                break
            self.deliver()
            if self.trouble is not None and attempt == 0:
                on_wait(self.trouble)
        if self._spool is not None and self._spool.waiting():
            raise InputError(
                f"the tracking server must answer, but {self._store.shown} {self.trouble}; "
                f"{self.waiting} networks wait in {self._spool.folder}, and the same command "
                "delivers them"
            )
        if self._was_away:  # deletes runs that a slow server began for a request given up
            self._delivered()
