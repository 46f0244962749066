"""docs/api.md is what the docstrings say, and docs link to what is there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from study_runs import PROJECT

PAGES = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md"), PROJECT / "benchmarks/README.md"]


def test_the_api_page_is_made_from_the_docstrings() -> None:
    spec = importlib.util.spec_from_file_location("make_api", PROJECT / "docs/make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    written = (PROJECT / "docs/api.md").read_text(encoding="utf-8")
    assert written == make_api.page(), "run `python docs/make_api.py`"


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|models:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{page.name} links to {target}"
