"""Files that are there whole or not at all, whenever the process or the machine stops."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pipeline.process.stopping import unfinished

OWNER_ONLY = 0o600
"""Mode of files that have a row a person."""

LONGEST_NAME_BYTES = 200

ABANDONED_SECONDS = 24 * 3600.0
"""Age at which a file in the making belongs to nobody, whatever host it was made on."""

CACHE_DAYS, CACHE_BYTES = 90, 20 * 2**30
"""Age and size of a cache, above which its oldest files are removed."""

_PART = re.compile(r"\.part-([0-9a-f]{8})-(\d+)-\w+(?:-(?:journal|wal|shm))?")
"""What `_prefix` begins, and what SQLite puts beside a database of such a name."""


def _prefix() -> str:
    """`.part-<host>-<process>-`: the name of an unfinished file says which process writes it."""
    return f".part-{zlib.crc32(socket.gethostname().encode()):08x}-{os.getpid()}-"


def _sync_folder(folder: Path) -> None:
    """Make renames in the folder outlast a power cut, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def part_name() -> str:
    """A new name for a file or folder that this process writes."""
    return f"{_prefix()}{uuid.uuid4().hex}"


def name_within(text: str) -> str:
    """The text as the name of one visible file or folder: without separators, not too long."""
    name = re.sub(r"[^\w.+ -]", "_", text).strip(" .") or "_"
    while len(name.encode()) > LONGEST_NAME_BYTES:
        name = name[:-1].rstrip(" .")
    return name


def private_folder(path: str | Path) -> Path:
    """The folder, made where there is none, that its owner alone may enter."""
    path = Path(path)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(OSError):  # another's, or a file system without permissions
        path.chmod(0o700)
    return path


@contextmanager
def whole_file(path: str | Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends well.

    It is made beside under another name, brought to the disk, and renamed; its folder is made where
    there is none. Where the block fails nothing stays. mode: its permissions, less the umask.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _renamed(path, mode) as handle:
        yield handle
    _sync_folder(path.parent)


@contextmanager
def _renamed(path: Path, mode: int) -> Iterator[BinaryIO]:
    """As `whole_file`, where the folder is there; its entry is not brought to the disk."""
    unfinished_path = path.parent / part_name()
    exclusively = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with unfinished(lambda: unfinished_path.unlink(missing_ok=True)):
        with open(os.open(unfinished_path, exclusively, mode), "wb") as handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(unfinished_path, path)


def write_whole(path: str | Path, content: bytes, mode: int = 0o666) -> None:
    """The content as the file `path`, as `whole_file` does."""
    with whole_file(path, mode) as handle:
        handle.write(content)


def write_all_whole(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """`write_whole` for files by their path in the folder; each folder is synced once."""
    parents = dict.fromkeys((Path(folder) / name).parent for name in files)
    for parent in parents:
        parent.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with _renamed(Path(folder) / name, 0o666) as handle:
            handle.write(content)
    for parent in parents:
        _sync_folder(parent)


@contextmanager
def files_beside(folder: str | Path, names: Sequence[str]) -> Iterator[Path]:
    """A folder for files in the making; when the block ends well those called `names` are moved
    into `folder` in their order. It is removed however the block ends."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    unfinished_path = Path(tempfile.mkdtemp(prefix=_prefix(), dir=folder))
    try:
        with unfinished(lambda: shutil.rmtree(unfinished_path, ignore_errors=True)):
            yield unfinished_path
            for name in names:
                with (unfinished_path / name).open("rb") as handle:
                    os.fsync(handle.fileno())
                os.replace(unfinished_path / name, folder / name)
        _sync_folder(folder)
    finally:
        shutil.rmtree(unfinished_path, ignore_errors=True)


def abandoned(folder: str | Path, below: bool = False) -> list[Path]:
    """What processes that are gone were making in the folder, or also below it.

    That is what a process of this host left behind that has ended, and all that is a day old.
    """
    paths = []
    for path in list(Path(folder).glob("**/.part-*" if below else ".part-*")):
        made_by = _PART.fullmatch(path.name)
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > ABANDONED_SECONDS
            if old or (made_by and _is_gone(made_by[1], int(made_by[2]))):
                paths.append(path)
    return paths


def sweep(folder: str | Path, below: bool = False) -> int:
    """Remove what is abandoned in the folder, or also below it; returns how many files and
    folders."""
    paths = abandoned(folder, below)
    for path in paths:
        with suppress(OSError):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return len(paths)


def sweep_cache(folder: str | Path, patterns: Sequence[str]) -> int:
    """Remove what is abandoned in a cache and, of the files that match, those that nobody used for
    CACHE_DAYS, and the oldest while all of them are larger than CACHE_BYTES; returns how many.

    Only what can be computed again may match.
    """
    removed = sweep(folder)
    files = []
    for path in (path for pattern in patterns for path in Path(folder).glob(pattern)):
        with suppress(OSError):  # another process removes too
            stat = path.stat()
            files.append((max(stat.st_mtime, stat.st_atime), stat.st_size, path))
    total = sum(size for _, size, _ in files)
    for used, size, path in sorted(files):
        if time.time() - used > CACHE_DAYS * 24 * 3600 or total > CACHE_BYTES:
            with suppress(OSError):  # one that cannot be removed still counts
                path.unlink()
                removed, total = removed + 1, total - size
    return removed


def _is_gone(host: str, process: int) -> bool:
    if _prefix().split("-")[1] != host or os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
