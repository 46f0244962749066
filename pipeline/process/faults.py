"""What went wrong, a disk or the program itself; tracebacks kept in files."""

from __future__ import annotations

import errno
import os
import sqlite3
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from pipeline.process.files import private_folder
from pipeline.process.masking import masked

LOGS = Path(".lariat/log")
KEPT_LOGS = 20
"""Of the newest tracebacks; older ones are removed."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
"""Errors that only a disk has."""

_PLACE = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
"""Errors of a path, which a defect of the program may raise too."""

_SQLITE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOTADB,
}
"""Errors of the database file, not of a statement."""

_DEFECTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


def disk_trouble(error: BaseException) -> str | None:
    """What a disk, a folder or a database file refused, if the error comes from that alone.

    An error of the program's own that happened while another was handled is a defect, unless the
    disk is full or fails, which no program can make up.
    """
    defect = False
    for each in causes(error):
        defect |= isinstance(each, _DEFECTS)
        if isinstance(each, OSError):
            if each.errno in _DISK or (each.errno in _PLACE and each.filename and not defect):
                reason = each.strerror or os.strerror(each.errno)
                return f"{reason}: {each.filename}" if each.filename else reason
        elif isinstance(each, sqlite3.Error):
            code = getattr(each, "sqlite_errorcode", 0) & 0xFF
            if code in _SQLITE and (not defect or code == sqlite3.SQLITE_FULL):
                return f"{each} (a database file)"
    return None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it was raised from or while handling, and so on."""
    visited: set[int] = set()
    while error is not None and id(error) not in visited:
        visited.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or what kind it is where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def keep_traceback(error: BaseException) -> Path:
    """The file, readable by its owner alone, with the error's traceback.

    In LOGS of the working folder, or among the system's temporary files where that refuses.
    """
    text = masked("".join(traceback.format_exception(error)))
    name = time.strftime("%Y-%m-%d_%H-%M-%S") + f"_{os.getpid()}.log"
    try:
        private_folder(LOGS.parent)
        private_folder(LOGS)
        for old in sorted(LOGS.glob("*.log"))[: -KEPT_LOGS + 1]:
            old.unlink(missing_ok=True)
        return _written(LOGS / name, text)
    except OSError:
        pass
    try:
        return _written(Path(tempfile.mkdtemp(prefix="lariat-")) / name, text)
    except OSError:  # every disk is full
        return Path(os.devnull)


def _written(path: Path, text: str) -> Path:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path
