"""How far a study is: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

LINE_EVERY_SECONDS = 10.0


class StudyProgress:
    """Networks done of all, the best mean validation score so far, and the time left."""

    def __init__(
        self,
        console: Console,
        total: int,
        done: int,
        objective: str,
        best_mean: float | None = None,
    ):
        self._console, self._total, self._done = console, total, float(done)
        self._objective, self._best, self._shown = objective, _words(best_mean), float(done)
        self._started, self._start, self._last_line = time.monotonic(), float(done), 0.0
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("training"),
                BarColumn(),
                MofNCompleteColumn(),
                TaskProgressColumn(),
                TextColumn(f"best mean {objective} {{task.fields[best]}}"),
                TextColumn("time left"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, best=self._best)

    def __enter__(self) -> StudyProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def training(self, networks_worth: float) -> None:
        """So much of the networks not yet recorded is trained: their number × share of epochs."""
        self._show(self._done + networks_worth)

    def recorded(self, networks: int, best_mean: float | None) -> None:
        """So many more networks are done, and this is the best mean over seeds."""
        self._done += networks
        self._best = _words(best_mean)
        self._show(self._done, always=self._done >= self._total)

    def _show(self, done: float, always: bool = False) -> None:
        # Recording counts networks that training has already counted: never go backwards.
        done = self._shown = max(done, self._shown)
        if self._bar is not None:
            self._bar.update(self._task, completed=done, best=self._best)
            return
        now = time.monotonic()
        if not always and now - self._last_line < LINE_EVERY_SECONDS:
            return
        self._last_line = now
        gained = done - self._start
        time_left = "–"
        if gained > 0:
            seconds = (now - self._started) / gained * max(self._total - done, 0.0)
            time_left = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        self._console.print(
            f"networks {int(done)} of {self._total} · best mean {self._objective} {self._best} · "
            f"time left {time_left}",
            markup=False,
            highlight=False,
        )


def _words(best_mean: float | None) -> str:
    return "–" if best_mean is None else f"{best_mean:.3f}"


class BlockProgress:
    """How many of something are done, where that takes more than a moment: nothing shows before."""

    def __init__(self, console: Console, work: str, things: str):
        self._console, self._work, self._things = console, work, things
        self._started = self._last_line = time.monotonic()
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> BlockProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def done(self, done: int, total: int) -> None:
        """So many of all are done; called often, from any thread."""
        now = time.monotonic()
        if self._console.is_terminal:
            if self._bar is None and now - self._started > 0.5:
                self._bar = Progress(
                    TextColumn(self._work),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TextColumn(self._things),
                    TimeRemainingColumn(elapsed_when_finished=True),
                    console=self._console,
                )
                self._task = self._bar.add_task("", total=total)
                self._bar.start()
            if self._bar is not None:
                self._bar.update(self._task, completed=done)
        elif now - self._last_line > LINE_EVERY_SECONDS:
            self._last_line = now
            self._console.print(
                f"{self._work}: {done} of {total} {self._things}", markup=False, highlight=False
            )
