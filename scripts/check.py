"""Every check that a change must pass, in one command; CI runs the same.

`python scripts/check.py` runs all; words after it go to pytest, such as `-k penalties`.
"""

import subprocess
import sys
from pathlib import Path

CHECKS = (
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports", "--no-cache"),
)


def main(words: list[str]) -> int:
    """0 where every check passes; the first that fails ends it, with its exit status."""
    if words == ["--help"]:
        print(__doc__)
        return 0
    project, tools = Path(__file__).resolve().parents[1], Path(sys.executable).parent
    for name, *options in CHECKS:
        print("·", name, *options, flush=True)
        if status := subprocess.run([tools / name, *options], cwd=project, check=False).returncode:
            return status
    print("· pytest", *words, flush=True)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words], cwd=project, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
