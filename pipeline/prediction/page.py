"""Sections of text, pictures and tables → one self-contained HTML page, without scripts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDERS = (Path(__file__).parent / "templates", Path(__file__).parents[1] / "report/templates")
"""Of this room, and of the report, whose style is shared."""


@dataclass(frozen=True)
class Picture:
    """A PNG and what it shows; a map keeps its colors on a dark page."""

    png: bytes
    alt: str
    caption: str = ""
    is_map: bool = False

    @property
    def uri(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in this order."""

    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Page:
    """A page on one model."""

    title: str
    kicker: str
    answer: Sequence[str]
    sections: Sequence[Section]
    footer: str
    simulated: bool = False


def html_of(page: Page) -> str:
    """The page; every name in it is escaped."""
    environment = Environment(
        loader=FileSystemLoader(FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("model.html.j2").render(page=page)
