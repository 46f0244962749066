"""Who trains a study's networks: the crew, begun as soon as the study names it.

Nothing heavy is imported here: while workers of this machine start, and import what they train
with, the process that starts them imports what it needs itself, and reads the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from rich.console import Console

from pipeline.command_line import import_tensorflow
from pipeline.errors import InputError
from pipeline.workers import Crew, open_crew


def study_crew(scheduler: str, console: Console) -> AbstractContextManager[Crew]:
    """The crew that a study's `scheduler:` names; what becomes of workers is told on the console.

    Raises InputError where it cannot be used here.
    """
    say = partial(console.print, markup=False, highlight=False)
    return open_crew(scheduler, say, first=get_ready)


def get_ready() -> None:
    """Import what trains a population, TensorFlow among it: of a process that is about to."""
    import_tensorflow()
    from pipeline.study import work
    from pipeline.training import train_population

    assert callable(work.train_elsewhere) and callable(train_population)


def by_workers(
    crew: Crew, function: Callable, shared: object, jobs: Sequence
) -> Iterator[tuple[Any, Any]]:
    """(job, its result) of jobs that must all be done. InputError where one is given up."""
    for done in crew.each(function, shared, jobs):
        if done.given_up:
            raise InputError(
                f"workers must be able to compute the relationship matrix, but {done.given_up}; "
                "give them more memory"
            )
        yield done.job, done.result
