"""Asked to stop: SIGTERM, SIGHUP and Ctrl-C end the process within seconds, at any moment.

The signal raises `Stopped` in the main thread, so that files are closed, unfinished ones removed
and runs ended as on any exception. Where the main thread cannot hear it (a long call of a library,
a server that does not answer) or a library swallows the exception, a thread that the system itself
wakes ends the process after PATIENCE_SECONDS; the same signal once more ends it at once.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import NoReturn

PATIENCE_SECONDS = 5.0
"""For an orderly end."""

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """Raised in the main thread by a signal; `asked_to_stop` has its number."""


class _Watch:
    """One a process: the signal that came, the last line to print, what an abrupt end removes."""

    def __init__(self, line: str) -> None:
        self.line, self.asked, self.work_is_done = line, 0, False
        self.removals: list[Callable[[], object]] = []
        self._is_announced = threading.Lock()
        self._error_output = os.dup(2)  # imports may point 2 elsewhere for a while
        self._signals_out, self._signals_in = os.pipe()
        os.set_blocking(self._signals_in, False)
        signal.set_wakeup_fd(self._signals_in, warn_on_full_buffer=False)
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets SIGHUP
                signal.signal(number, self._raise)
        sys.excepthook, sys.unraisablehook = self._uncaught, self._unraisable
        threading.Thread(target=self._listen, name="signals", daemon=True).start()

    def _raise(self, number: int, frame: object) -> None:
        if self.work_is_done:
            self.end(number)
        if not self.asked:
            self.asked = number
            raise Stopped

    def _uncaught(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """`Stopped` while modules are imported, outside of `guarded`, is no traceback either."""
        if self.asked:
            self.end(self.asked)
        sys.__excepthook__(kind, error, trace)

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised while it collects garbage: then once more, a moment later."""
        if not isinstance(what.exc_value, Stopped):
            sys.__unraisablehook__(what)
            return
        again = threading.Timer(0.05, _raise_in_the_main_thread)
        again.daemon = True
        again.start()

    def _listen(self) -> None:
        first = self._next(None)
        self._next(PATIENCE_SECONDS, first)
        self.end(first)

    def _next(self, seconds: float | None, wanted: int | None = None) -> int:
        """The next of SIGNALS, or `wanted` alone; 0 where none comes in time."""
        while select.select([self._signals_out], [], [], seconds)[0]:
            number = os.read(self._signals_out, 1)[0]
            if number in SIGNALS and wanted in (None, number):
                return number
        return 0

    def announce(self) -> None:
        """The last line, once."""
        if self._is_announced.acquire(blocking=False):
            with suppress(OSError):  # the terminal may be gone
                os.write(self._error_output, f"{self.line}\n".encode())

    def end(self, number: int) -> NoReturn:
        """At once: no more Python, no waiting for threads."""
        for remove in list(self.removals):
            with suppress(Exception):
                remove()
        self.announce()
        os._exit(128 + number)


def _raise_in_the_main_thread() -> None:
    """By no other signal, which would count as the second and end the process at once."""
    main = ctypes.c_ulong(threading.main_thread().ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(Stopped))


_watch: _Watch | None = None


def heed_signals(line: str) -> None:
    """From now on signals stop this process, which then says `line`; once, in the main thread."""
    global _watch  # noqa: PLW0603
    if _watch is None:
        _watch = _Watch(line)


def asked_to_stop() -> int:
    """The number of the signal that asked, or 0."""
    return _watch.asked if _watch else 0


def stop(line: str, status: int) -> NoReturn:
    """The end of a process that was asked to stop, after its files and runs are closed.

    Threads that still train are not waited for.
    """
    if _watch is None:
        print(line, file=sys.stderr)
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _watch.end(status - 128)


def finished() -> None:
    """The work is done: a signal from now on ends the process without an exception."""
    if _watch is not None:
        _watch.work_is_done = True


@contextmanager
def unfinished(remove: Callable[[], object]) -> Iterator[None]:
    """Inside, something is written: `remove` is called where it does not get to its end, be it by
    an exception or by an end of the process without one."""
    removals = _watch.removals if _watch else []
    removals.append(remove)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            remove()
        raise
    finally:
        removals.remove(remove)
