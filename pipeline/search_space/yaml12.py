"""Study files as text, by name or path, parsed to plain values. No key has a meaning here.

The YAML read is the 1.2 core: `1e-3` is a number, `no` and `on` are words, dates are text, and a
key that stands twice in one mapping is an error.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import ClassVar

import yaml

from pipeline.errors import InputError

_CORE_SCALARS = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")),
    (
        "float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
    ("null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("merge", re.compile(r"^<<$"), ["<"]),
)


class _CoreLoader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's scalars and without repeated keys."""

    yaml_implicit_resolvers: ClassVar[dict] = {}  # type: ignore[misc]  # as PyYAML itself has it

    def construct_mapping(self, node, deep=False):
        earlier_keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in earlier_keys and key != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key}` stands twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                earlier_keys.add(key)
        return super().construct_mapping(node, deep)


def _construct_float(loader: _CoreLoader, node: yaml.ScalarNode) -> float:
    text = loader.construct_scalar(node).lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


for _tag, _pattern, _first in _CORE_SCALARS:
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_CoreLoader.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(loader.construct_scalar(node)),  # type: ignore[arg-type]
)
_CoreLoader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for the nearest known word, or nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f"; did you mean `{near[0]}`?" if near else ""


def shown(path: Path) -> str:
    """The path as a person in the working directory would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def find_study(study: str, directory: Path) -> Path:
    """The file of a study: by its name in `directory`, else in `search_spaces` of the working
    folder, or by a path to a .yaml file.

    Raises InputError naming the known studies if there is no such file.
    """
    folders = (directory, Path("search_spaces"))
    is_path = study.endswith((".yaml", ".yml")) or "/" in study or os.sep in study
    places = [Path(study).expanduser()] if is_path else [f / f"{study}.yaml" for f in folders]
    for place in places:
        if place.is_file():
            return place
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    near = did_you_mean(Path(study).stem, known)
    named = f"one of {', '.join(known)}, or " if known else ""
    raise InputError(
        f"`study` must be {named}a path to a .yaml file that exists, but got {study!r}{near or '.'}"
    )


def read_study(path: Path) -> tuple[str, dict]:
    """A study file's question (its leading comment block) and its keys.

    Raises InputError for a file that cannot be read, is not YAML, or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown(path)}: must be UTF-8 text, but got other bytes.") from error
    try:
        content = yaml.load(text, Loader=_CoreLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{shown(path)}: must be valid YAML, but {_problem(error)}.") from error
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        raise InputError(
            f"{shown(path)}: must be a mapping of keys such as `target:` and `space:`, "
            f"but got {kind}."
        )
    return _question(text), content


def parse_value(text: str) -> object:
    """One value as it would be read in a study file; text that is no YAML stays text."""
    try:
        return yaml.load(text, Loader=_CoreLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _question(text: str) -> str:
    """The first unbroken block of comment lines, before any key."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            lines.append(line.lstrip("#").strip())
        elif lines or line.strip():
            break
    return "\n".join(lines).strip()


def _problem(error: Exception) -> str:
    """What is wrong with a YAML text, in one line."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return f"line {mark.line + 1}: {problem}" if mark else problem
