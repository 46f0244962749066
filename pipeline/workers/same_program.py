"""Whether what runs elsewhere is what runs here: asked of a scheduler and of workers before work.

Everything is asked so that any Python with any Dask can answer, one without Lariat too: work sent
to it would end in whatever error comes first.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.process import causes, first_line
from pipeline.provenance import program, versions

if TYPE_CHECKING:
    from distributed import Client

DASK = "distributed"
OTHER_CODE = "has other code of Lariat"
NO_LARIAT = "has no Lariat: "

PROGRAM = """
import importlib.metadata, platform
try:
    from pipeline.provenance import program, versions
    answer = {"program": program(), "versions": versions(), "error": ""}
except Exception as error:
    answer = {"program": "", "versions": {"python": platform.python_version()}, "error":
              (str(error).splitlines() or [type(error).__name__])[0]}
answer["versions"]["distributed"] = importlib.metadata.version("distributed")
"""
"""What an answer is computed with elsewhere. It travels as text: a function of Lariat could not be
read without Lariat."""

_EXPRESSION = f"(lambda names: exec({PROGRAM!r}, names) or names['answer'])({{}})"


def ask_scheduler(address: str, seconds: float) -> None:
    """Whether a scheduler of this Dask and Python listens at an address.

    OSError where nothing does, or where it does not answer within about so many seconds; InputError
    where something else answers.
    """
    try:
        with ThreadPoolExecutor(1) as thread:  # a notebook's own loop is in this one
            answer = thread.submit(lambda: asyncio.run(_versions_at(address, seconds))).result()
        theirs = {
            "python": ".".join(answer["host"]["python"].split(".")[:3]),
            DASK: answer["packages"][DASK],
        }
    except TimeoutError:
        raise OSError(
            f"something listens there, but does not speak as a Dask scheduler within {seconds:.0f} "
            "seconds; check host and port"
        ) from None
    except OSError as error:
        raise OSError(first_line(list(causes(error))[-1])) from error
    except Exception as error:  # whatever its bytes are taken for, or what certificates lack
        hint = (
            "certificates of Dask's configuration (distributed.comm.tls)"
            if address.startswith("tls:")
            else "host and port"
        )
        raise InputError(
            f"`scheduler: {address}` must be the address of a Dask scheduler, but what was tried "
            f"there ended in {type(error).__name__}: {first_line(error)}; check {hint}"
        ) from error
    ours = {"python": platform.python_version(), DASK: importlib.metadata.version(DASK)}
    refuse(f"the Dask scheduler {address}", differences(theirs, ours))


async def _versions_at(address: str, seconds: float) -> dict[str, Any]:
    """What a scheduler says of itself, in the words that Dask has had for years."""
    from distributed import Security
    from distributed.comm import connect
    from distributed.core import send_recv

    async def asked() -> dict[str, Any]:
        given = Security().get_connection_args("client")
        comm = await connect(address, timeout=seconds, **given)
        try:
            return await send_recv(comm, op="versions", reply=True)
        finally:
            comm.abort()

    # The library bounds the connection only, not what follows it.
    return await asyncio.wait_for(asked(), 1.5 * seconds)


def check_programs(client: Client, workers: Iterable[str], of_scheduler: bool) -> None:
    """InputError unless these workers, and the scheduler, have the program of this process.

    A worker that goes away in the meantime is nobody's fault.
    """
    if of_scheduler:
        _check("the Dask scheduler", client.run_on_scheduler(eval, _EXPRESSION))
    answers = client.run(eval, _EXPRESSION, workers=list(workers), on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, Mapping):
            _check(f"the worker {worker}", answer)
        elif not isinstance(answer, OSError):
            refuse(f"the worker {worker}", f"ends in {first_line(answer)} when it is asked")


def _check(who: str, answer: Mapping[str, Any]) -> None:
    ours = versions() | {DASK: importlib.metadata.version(DASK)}
    if answer["error"]:
        python = differences(answer["versions"], {"python": ours["python"]})
        refuse(who, " and ".join(filter(None, [python, NO_LARIAT + answer["error"]])))
    if answer["program"] != program() or answer["versions"] != ours:
        refuse(who, differences(answer["versions"], ours) or OTHER_CODE)


def differences(theirs: Mapping[str, str], ours: Mapping[str, str]) -> str:
    """`has x 1 in place of 2`, or nothing."""
    other = [
        f"{name} {theirs.get(name, 'none')} in place of {version}"
        for name, version in ours.items()
        if theirs.get(name) != version
    ]
    return f"has {', '.join(other)}" if other else ""


def refuse(who: str, what: str) -> None:
    """InputError where there is anything that differs."""
    if what:
        raise InputError(
            "scheduler and workers must have the program of the process that starts the study, but "
            f"{who} {what}; install the same there (requirements.txt and requirements-cluster.txt "
            "of one Lariat): what was finished is kept, and the same command goes on from here"
        )
