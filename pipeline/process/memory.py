"""How much memory this process can have, and a sentence before work starts that needs more.

The least of: what the system could give without swapping, what is left below the limit of each
control group that the process is in (a container's or a batch system's; Linux, versions 1 and 2),
and what is left of the process's own address space (`ulimit -v`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.errors import InputError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

UNLIMITED = 2**60
"""A limit from here on is none: version 1 of control groups writes one near 2**63."""


def available_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still have, or None where the system does not say.

    root: where /proc and /sys are.
    """
    bounds = [*_of_the_machine(root), *_of_control_groups(root), *_of_the_address_space(root)]
    return max(0, min(bounds)) if bounds else None


def require_memory(needed: int, purpose: str, advice: str, root: Path = Path("/")) -> None:
    """InputError, with both numbers, where `purpose` needs more bytes than this process can have.

    The sentence is: «purpose» must fit into memory, but needs X GB and there are Y GB; «advice».
    """
    available = available_bytes(root)
    if available is not None and needed > available:
        raise InputError(
            f"{purpose} must fit into memory, but needs {gigabytes(needed)} and there are "
            f"{gigabytes(available)}; {advice}"
        )


def gigabytes(number: float) -> str:
    """`3.6 GB`, `0.02 GB`: of 10⁹ bytes, two digits."""
    return f"{float(f'{number / 1e9:.2g}'):,g} GB"


def _of_the_machine(root: Path) -> Iterator[int]:
    values = _numbers(root / "proc/meminfo")
    if "MemAvailable" in values:
        yield values["MemAvailable"] * 1024
    elif root == Path("/"):
        with suppress(AttributeError, ValueError, OSError):  # not Linux, and unknown
            yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_control_groups(root: Path) -> Iterator[int]:
    """Below each limit on the way from the process's group to the top, files in cache being free.

    Where a container hides the way, its own group is the top that is seen.
    """
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
            elif "memory" in controllers.split(","):
                top = root / "sys/fs/cgroup/memory"
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
            else:
                continue
            group = top / path.lstrip("/")
            for folder in (group, *group.parents):
                yield from _below_the_limit(folder, *names)
                if folder == top:
                    break


def _below_the_limit(folder: Path, limit: str, usage: str, prefix: str) -> Iterator[int]:
    with suppress(OSError, ValueError):
        bound = int((folder / limit).read_text())  # `max` is no number: no limit
        if bound < UNLIMITED:
            used = int((folder / usage).read_text())
            cached = _numbers(folder / "memory.stat").get(f"{prefix}inactive_file", 0)
            yield bound - max(0, used - cached)


def _of_the_address_space(root: Path) -> Iterator[int]:
    if resource is not None and root == Path("/"):
        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY and soft < UNLIMITED:
            yield soft - _numbers(root / "proc/self/status").get("VmSize", 0) * 1024


def _numbers(path: Path) -> dict[str, int]:
    """Lines `name: number kB` or `name number` of a file; none where it cannot be read."""
    values = {}
    with suppress(OSError):
        for line in path.read_text().splitlines():
            words = line.replace(":", " ").split()
            if len(words) > 1 and words[1].isdigit():
                values[words[0]] = int(words[1])
    return values
