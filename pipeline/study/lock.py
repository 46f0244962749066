"""One process at a time trains a study: locks in the working folder, in Optuna's storage and on the
study's run, each naming its holder. The lock of a dead process is taken over.

In the storage the lock is an Optuna study `<name> <id> owner <n>` without trials, which is there
while a process holds it. Whoever takes over makes the study of the next n. Optuna makes no two
studies of one name, so of several processes that try at the same moment one alone succeeds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from filelock import Timeout

from pipeline.study.trials import open_storage, refused_storage
from pipeline.tracking import Holder, file_lock, refusal

HEARTBEAT_SECONDS = 20.0
NAMELESS_SECONDS = 1.0
"""Time in which a process that has made its lock writes its name into it."""

_OWNER = "owner"
Beat = Callable[[str], None]


@contextmanager
def alone(study_id: str, folder: Path) -> Iterator[None]:
    """Keep a second process in this working directory from training the same networks."""
    path = folder / f"{study_id}.lock"
    note = folder / f"{study_id}.holder"
    try:
        with file_lock(path, 0.0):
            note.write_text(Holder.this().text(), "utf-8")
            try:
                yield
            finally:
                with suppress(OSError):
                    note.unlink()
    except Timeout:
        with suppress(OSError):
            raise refusal("here", Holder.read(note.read_text("utf-8"))) from None
        raise refusal("here", None) from None


class StorageLock:
    """The study in Optuna's storage is this process's while the block runs.

    A thread writes every HEARTBEAT_SECONDS, into the storage and by calling each of `beats`, that
    the process is alive. `check` raises InputError where another process has taken over, as from
    one that slept for minutes.
    """

    def __init__(self, name: str, storage: str):
        self._name, self._address = f"{name} {_OWNER}", storage
        self.holder = Holder.this()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._number = 0
        self._released = threading.Event()
        self._thread: threading.Thread | None = None
        self.beats: list[Beat] = []

    def _numbers(self) -> list[int]:
        """Of every lock of this study in the storage."""
        names = optuna.get_all_study_names(self._storage)
        numbers = [n.removeprefix(f"{self._name} ") for n in names if n.startswith(self._name)]
        return [int(number) for number in numbers if number.isdigit()]

    def _holder_of(self, number: int) -> Holder | None:
        """None where the lock does not name its holder yet, or is gone."""
        with suppress(KeyError):
            study = optuna.load_study(study_name=f"{self._name} {number}", storage=self._storage)
            return Holder.read(study.user_attrs.get(_OWNER))
        return None

    def __enter__(self) -> StorageLock:
        try:
            self._storage = open_storage(self._address)
            numbers = self._numbers()
        except Exception as error:  # SQLAlchemy, drivers and URLs each raise their own
            raise refused_storage(self._address, error) from error
        newest = max(numbers, default=0)
        holder = self._holder_of(newest) if newest else None
        if newest and holder is None:  # made this moment, or by a process that died just then
            time.sleep(NAMELESS_SECONDS)
            holder = self._holder_of(newest)
        if holder is not None and not holder.is_dead():
            raise refusal("with this storage", holder)
        self._number = newest + 1
        try:
            study = optuna.create_study(
                study_name=f"{self._name} {self._number}", storage=self._storage
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise refusal("with this storage", self._holder_of(self._number)) from None
        study.set_user_attr(_OWNER, self.holder.text())
        for earlier in numbers:
            self._delete(earlier)
        self._thread = threading.Thread(target=self._beat, args=(study,), daemon=True)
        self._thread.start()
        return self

    def _beat(self, study: optuna.Study) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            text = self.holder.text()
            for beat in (lambda text: study.set_user_attr(_OWNER, text), *self.beats):
                with suppress(Exception):  # a server that is away for a while
                    beat(text)

    def check(self) -> None:
        """InputError where another process has taken over the lock."""
        newest = max(self._numbers(), default=0)
        if newest != self._number:
            raise refusal("with this storage", self._holder_of(newest) if newest else None)

    def _delete(self, number: int) -> None:
        with suppress(Exception):  # gone already, or the storage is away
            optuna.delete_study(study_name=f"{self._name} {number}", storage=self._storage)

    def __exit__(self, *error: object) -> None:
        self._released.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._delete(self._number)
