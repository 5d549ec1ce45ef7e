"""What documents name exists: the targets of links, settings, and files of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md")]
# The changelog also names what is gone.
OF_TODAY = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
FOLDERS = (
    *("common", "ingest", "embedder", "searcher", "evaluation", "storyhash"),
    *("scripts", "tests", "deploy"),
)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NAMED = re.compile(r'<a id="([^"]+)">')
_SETTING = re.compile(r"STORYHASH_[A-Z0-9_]*[A-Z0-9]")
_FILE = re.compile(r"`((?:\w+/)*\w+\.py)`")


def broken(text: str, path: Path) -> Iterator[str]:
    """The links of a document at `path` that lead nowhere."""
    for target, anchor in _LINK.findall(_BLOCK.sub("", text)):
        found = (path.parent / target).resolve() if target else path
        if not found.exists():
            yield target
        elif anchor and found.suffix == ".md" and anchor not in anchors(found):
            yield f"{target}#{anchor}"


@cache
def anchors(path: Path) -> frozenset[str]:
    """What a link to a document can name: its headings as GitHub writes them, and `<a id=...>`."""
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    slugs = [
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in _HEADING.findall(text)
    ]
    return frozenset([*slugs, *_NAMED.findall(text)])


def unknown_settings(text: str) -> set[str]:
    """The settings of a document that do not exist. A document may name only the beginning."""
    reference = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    # CONTRIBUTING.md also names variables of the tests.
    known = {*_SETTING.findall(reference), "STORYHASH_REQUIRE"}
    return {
        name
        for name in _SETTING.findall(text)
        if not name.startswith("STORYHASH_TEST_")
        and not any(one == name or one.startswith(f"{name}_") for one in known)
    }


def unknown_files(text: str) -> set[str]:
    """The files of Python that a document names and that are not there."""
    known = {
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
    }
    return {
        name for name in _FILE.findall(text) if not any(one.endswith(f"/{name}") for one in known)
    }


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    assert list(broken(path.read_text(encoding="utf-8"), path)) == []


@pytest.mark.parametrize("path", OF_TODAY, ids=lambda path: path.name)
def test_settings_and_files_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert (unknown_settings(text), unknown_files(text)) == (set(), set())


def test_what_is_wrong_would_be_seen() -> None:
    text = "[one](gone.md), [two](#gone), [three](docs/usage.md#gone), [four](docs/usage.md#usage)"
    assert list(broken(text, ROOT / "README.md")) == ["gone.md", "#gone", "docs/usage.md#gone"]
    text = "`STORYHASH_HTTP__PORT`, `STORYHASH_HTTP__PORTS`, `STORYHASH_HTTP__*`"
    assert unknown_settings(text) == {"STORYHASH_HTTP__PORTS"}
    assert unknown_files("`searcher/local_index.py`, `sam2/session.py`, `gone.py`") == {"gone.py"}
