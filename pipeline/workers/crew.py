"""What every crew can do, and the crew of this process alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pipeline.provenance import processor

Job = TypeVar("Job")
Result = TypeVar("Result")
Tell = Callable[[float], None]
"""Takes how much of a job is done, in any unit."""

Do = Callable[[Any, Job, Tell], Result]
"""(what all jobs share, one job, tell) → its result."""


@dataclass(frozen=True)
class Done(Generic[Job, Result]):
    """A job that has ended.

    result     None where the job was given up
    given_up   why, or None
    processor  of the machine that did it (`pipeline.provenance.processor`)
    """

    job: Job
    result: Result | None
    given_up: str | None = None
    processor: str = ""


class Crew(Protocol):
    """Workers that do jobs.

    size     how many there are just now; at least 1
    cores    of one worker, None where that is for the process to find out
    """

    @property
    def size(self) -> int: ...

    @property
    def cores(self) -> int | None: ...

    def each(
        self, do: Do, shared: object, jobs: Iterable[Job], on_progress: Tell | None = None
    ) -> Iterator[Done]:
        """Every job as it ends, in any order.

        Jobs are taken from the iterable as workers get free. do is a function of a module; shared
        reaches each worker once. on_progress is told the sum over all jobs that are being done.
        """
        ...

    def rest(self) -> None:
        """There is no more work for now: workers that were started here end."""
        ...


class Here:
    """One after another, in this process."""

    size = 1
    cores = None

    def each(
        self, do: Do, shared: object, jobs: Iterable[Job], on_progress: Tell | None = None
    ) -> Iterator[Done]:
        """As `Crew.each`, in the order of the jobs."""
        for job in jobs:
            yield Done(job, do(shared, job, on_progress or _nobody), processor=processor())

    def rest(self) -> None:
        """This process is still needed."""


def _nobody(done: float) -> None:
    """Told by a job when nobody listens."""
