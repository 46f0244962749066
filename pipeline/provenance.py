"""With which code and which libraries a study was run."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENGINE_VERSION = 2
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
