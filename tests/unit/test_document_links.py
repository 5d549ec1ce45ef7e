"""Every link in a document to another one leads to a file, and to a heading of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NAMED = re.compile(r'<a id="([^"]+)">')


def broken(text: str, path: Path) -> Iterator[str]:
    """The links of a document at `path` that lead nowhere."""
    for target, anchor in _LINK.findall(_CODE.sub("", text)):
        found = (path.parent / target).resolve() if target else path
        if not found.exists():
            yield target
        elif anchor and found.suffix == ".md" and anchor not in anchors(found):
            yield f"{target}#{anchor}"


@cache
def anchors(path: Path) -> frozenset[str]:
    """What a link to a document can name: its headings as GitHub writes them, and `<a id=...>`."""
    text = _CODE.sub("", path.read_text(encoding="utf-8"))
    slugs = [
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(text)
    ]
    return frozenset([*slugs, *_NAMED.findall(text)])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert list(broken(path.read_text(encoding="utf-8"), path)) == []


def test_a_broken_link_would_be_seen() -> None:
    text = "[one](gone.md), [two](#gone), [three](docs/usage.md#gone), [four](docs/usage.md#usage)"
    assert list(broken(text, ROOT / "README.md")) == ["gone.md", "#gone", "docs/usage.md#gone"]
