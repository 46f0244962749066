"""With which code, which libraries and which processor a study was run."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

ENGINE_VERSION = 5
"""Raised by whoever changes what a network's numbers are: networks of different engine versions are
different networks, and none is taken for the other."""

LIBRARIES = ("numpy", "pandas", "scikit-learn", "tensorflow", "optuna", "mlflow")
PROJECT = Path(__file__).resolve().parents[1]


def versions() -> dict[str, str]:
    """Python's and the libraries' versions, of those that are installed."""
    version_of = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            version_of[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return version_of


def git_commit(folder: Path = PROJECT) -> str | None:
    """The commit that this code is, and whether files differ from it; None outside of git."""

    def git(*arguments: str) -> str:
        completed = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return completed.stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}, with changes that are not committed" if changed else commit


def reproduction_facts() -> dict[str, str]:
    """What a reader needs besides the command and the data, as facts of a study's record."""
    commit = git_commit()
    facts = {"git_commit": commit} if commit else {}
    return facts | {"trained_with": ", ".join(f"{k} {v}" for k, v in versions().items())}


def made_with(facts: Mapping[str, object]) -> str:
    """What trained a network, in a line: from `reproduction_facts`."""
    code = facts.get("git_commit", "no git")
    return f"engine {ENGINE_VERSION}; code {code}; {facts.get('trained_with', '')}"


@cache
def processor() -> str:
    """The kind of this machine's processor: what a network's last digits depend on, besides the
    program. Machines of one kind give the same digits.

    Its name, family and model, its widest vectors, and OPENBLAS_CORETYPE where that is set.
    """
    described = _cpuinfo()
    name = described.get("model name") or platform.processor() or platform.machine()
    numbers = [f"{key} {described[key]}" for key in ("cpu family", "model") if key in described]
    flags = described.get("flags", described.get("Features", "")).split()
    vectors = [flag for flag in ("avx512f", "avx2", "sve", "asimd") if flag in flags][:1]
    coretype = os.environ.get("OPENBLAS_CORETYPE")
    asked = [f"OPENBLAS_CORETYPE {coretype}"] if coretype else []
    return ", ".join([" ".join(name.split()), platform.machine(), *numbers, *vectors, *asked])


def _cpuinfo() -> dict[str, str]:
    """Of Linux: the first processor's lines."""
    lines: dict[str, str] = {}
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, colon, value = line.partition(":")
            if colon:
                lines.setdefault(key.strip(), value.strip())
    return lines


@cache
def program() -> str:
    """Digest of Lariat's code and of the libraries that decide numbers: processes of one program
    give the same results."""
    digest = hashlib.sha256(repr(sorted(versions().items())).encode())
    package = Path(__file__).resolve().parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
