"""Where the person stands who started this process: results lie there, paths are relative to it.

`mlflow run URI` starts a project's command in the project's folder, for a git address even in a
temporary copy. The folder of the `mlflow` process itself is the person's.
"""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
_SHELL = re.compile(r"-?(ba|da|z|)sh$")
_MOST_SHELLS = 8


class _Process(NamedTuple):
    number: int
    parent: int
    program: str
    folder: Path


def stand_where_the_person_stands() -> str | None:
    """Under `mlflow run` from elsewhere, change to that folder; a sentence where it is not known.

    Does nothing for a script that was started by hand, or from the project's folder.
    """
    if "MLFLOW_RUN_ID" not in os.environ or not _is_project(Path.cwd()):
        return None
    process = _process(os.getppid())
    for _ in range(_MOST_SHELLS):
        if process is None or not _SHELL.match(process.program):
            break
        process = _process(process.parent)
    if process is None:
        return f"results lie in {Path.cwd()}, and paths are relative to it"
    if not _is_project(process.folder):
        os.chdir(process.folder)
    return None


def _is_project(folder: Path) -> bool:
    return folder.exists() and os.path.samefile(folder, PROJECT)


def _process(number: int) -> _Process | None:
    """By /proc, or where there is none by `ps` and `lsof`; None where neither tells."""
    place = Path(f"/proc/{number}")
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        if place.exists():
            name, rest = (place / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
            folder = Path(os.readlink(place / "cwd"))
            return _Process(number, int(rest.split()[1]), name, folder)
        parent, program = _output("ps", "-o", "ppid=,comm=", "-p", str(number)).split(None, 1)
        opened = _output("lsof", "-a", "-d", "cwd", "-p", str(number), "-Fn").rsplit("\nn", 1)[1]
        return _Process(number, int(parent), Path(program.strip()).name, Path(opened.strip()))
    return None


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout
