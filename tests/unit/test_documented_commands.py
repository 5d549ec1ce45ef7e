"""Every command of StoryHash that a document or a runbook names exists, with its options."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from storyhash.cli import app

ROOT = Path(__file__).parents[2]
# reference.md is made from the commands themselves.
DOCUMENTS = [
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
    if path.name not in ("reference.md", "CHANGELOG.md")
]
DOCUMENTS.append(ROOT / "deploy" / "prometheus" / "rules.yml")
_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_LINE = re.compile(r"^ {4,}([^`]+?)$", re.MULTILINE)
_COMMAND = re.compile(r"(?:^|-- |[\s/])storyhash ([a-z][a-z-]*(?: .*)?)$")


def commands(text: str) -> Iterator[list[str]]:
    """The words after `storyhash` of each command in a text; `list|show` gives both."""
    for span in (*_CODE.findall(text), *_LINE.findall(text)):
        line = re.sub(r"\s*\n\s*", " ", span.strip())
        # `storyhash` is also the namespace and an argument of kubectl.
        if "kubectl" in line:
            line = line.partition(" -- ")[2]
        # Comments, what follows in a pipe, and the second column of a list of commands.
        line = re.split(r" #| [|&>]|  | \.\.\.", line)[0]
        if found := _COMMAND.search(line):
            words = [word.split("|") for word in found[1].split()]
            yield from map(list, itertools.product(*words))


def problem(words: list[str]) -> str:
    """What is wrong with a command, else empty."""
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while rest and hasattr(command, "commands"):
        name = rest.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
    options = {
        name
        for one in command.params
        for name in (*getattr(one, "opts", ()), *getattr(one, "secondary_opts", ()))
    }
    named = {word.strip("[],.").partition("=")[0] for word in rest if "--" in word}
    unknown = {name for name in named if name.startswith("--")} - options
    return f"no option {', '.join(sorted(unknown))}" if unknown else ""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_documents_exist(path: Path) -> None:
    found = list(commands(path.read_text(encoding="utf-8")))
    wrong = {" ".join(words): said for words in found if (said := problem(words))}
    assert wrong == {}
    if path.name in ("backup.md", "runbooks.md", "rules.yml"):
        assert len(found) >= 5


@pytest.mark.parametrize(
    "text",
    ["`storyhash vidoes list`", "`storyhash videos list --stat failed`", "    storyhash keys add"],
)
def test_a_command_that_does_not_exist_would_be_seen(text: str) -> None:
    assert [problem(words) for words in commands(text)] != [""]
