"""Writes docs/api.md from the docstrings: `python docs/make_api.py`. A test compares the two."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

HEAD = """# Public API

Made from the docstrings by `python docs/make_api.py`. Names are imported from the package,
`from pipeline import SparseMLPClassifier`, or from the room that a heading names. Anything else may
change without a word.

The formula that all of them minimize, its symbols and its sources are those of the
[README](../README.md#what-the-numbers-mean) and of `pipeline/networks/penalties.py`.
"""

PUBLIC = {
    "pipeline": (
        "SparseMLPClassifier",
        "SparseMLPRegressor",
        "lambda_path",
        "stability_path",
        "load_model",
    ),
    "pipeline.study": ("run_study",),
    "pipeline.search_space": ("load_search_space",),
    "pipeline.data": ("read_table", "load_cohort"),
    "pipeline.inspection": ("solutions_of", "configuration_table", "entropy_bits"),
}
"""Room → what it promises to keep."""


def entry(room: str, name: str) -> str:
    """Heading, signature, docstring and file of one name."""
    thing = getattr(__import__(room, fromlist=[name]), name)
    home = inspect.getsourcefile(inspect.unwrap(thing))
    source = Path(home).resolve().relative_to(PROJECT).as_posix()
    parameters = inspect.signature(thing).parameters.values()
    signature = ",\n    ".join(
        str(p).replace(f"{p.annotation!r}", str(p.annotation)) for p in parameters
    )
    # A default within the project, the same wherever its folder is.
    signature = signature.replace(f"{type(PROJECT).__name__}('{PROJECT}/", "Path('")
    text = inspect.cleandoc(thing.__doc__)
    return (
        f"### `{name}`\n\n```python\n{name}(\n    {signature},\n)\n```\n\n"
        f"```text\n{text}\n```\n\nSource: [{source}](../{source})\n"
    )


def page() -> str:
    """All of docs/api.md."""
    parts = [HEAD]
    for room, names in PUBLIC.items():
        parts.append(f"## {room}\n")
        parts += [entry(room, name) for name in names]
    return "\n".join(parts)


if __name__ == "__main__":
    (PROJECT / "docs" / "api.md").write_text(page(), encoding="utf-8")
