"""Who runs a study: the process that holds its locks."""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
from dataclasses import asdict, dataclass

from pipeline.errors import InputError

STALE_SECONDS = 120.0
"""A holder that was not heard of for so long is dead."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, since when, and when it was last heard of (seconds since 1970)."""

    user: str
    host: str
    process: int
    since: float
    heard: float

    @classmethod
    def this(cls) -> Holder:
        """This process."""
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a container's user without a name
            user = "unknown"
        now = time.time()
        return cls(user, socket.gethostname(), os.getpid(), now, now)

    @classmethod
    def read(cls, text: object) -> Holder | None:
        """None of what is not a holder's text."""
        try:
            return cls(**json.loads(str(text)))
        except (TypeError, ValueError):
            return None

    def text(self) -> str:
        """As JSON, heard of now."""
        return json.dumps(asdict(self) | {"heard": time.time()})

    def is_this(self) -> bool:
        """Whether it is this process."""
        return (self.host, self.process) == (socket.gethostname(), os.getpid())

    def is_dead(self) -> bool:
        """Not heard of for long, or a process of this host that runs no more."""
        if time.time() - self.heard > STALE_SECONDS:
            return True
        if self.host != socket.gethostname() or os.name != "posix":
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False

    def __str__(self) -> str:
        since = time.strftime("%H:%M", time.localtime(self.since))
        return f"{self.user} on {self.host} (process {self.process}, since {since})"


def refusal(where: str, holder: Holder | None) -> InputError:
    """The error of a second process: it names the one that runs the study."""
    who = "another one" if holder is None else str(holder)
    return InputError(
        f"one process at a time must run a study, but {who} is running this study {where}; wait "
        "for it, or stop it"
    )
