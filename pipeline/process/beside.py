"""Something that is done in a thread while the process does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")


class Beside(Generic[T]):
    """A call in a thread of its own, which no end of the process waits for.

    So what it leaves half done must be harmless; whether it went well says `result`.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._future: Future[T] = Future()
        self._function = function
        threading.Thread(target=self._run, name="beside", daemon=True).start()

    def _run(self) -> None:
        try:
            self._future.set_result(self._function())
        except BaseException as error:  # raised where the result is asked for
            self._future.set_exception(error)

    @property
    def is_done(self) -> bool:
        """Whether `result` needs not wait."""
        return self._future.done()

    def wait(self) -> None:
        """Until it is done, well or not."""
        wait([self._future])

    def result(self) -> T:
        """What the function returned; what it raised is raised."""
        return self._future.result()
