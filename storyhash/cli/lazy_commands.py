"""Imports the module of a command only when the command is used.

Importing all modules takes seconds. `storyhash --help`, `--version` and shell completion import none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup


@dataclass(frozen=True)
class Command:
    """Where a command is, and its line in `storyhash --help`: the beginning of its own help.

    target: `package.module:attribute` in `storyhash.cli`; the attribute is a function or a Typer app.
    """

    target: str
    summary: str

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]


COMMANDS = {
    "demo": Command(
        "installation.demo:demo", "Show how StoryHash finds copies of synthetic videos."
    ),
    "index": Command("catalogue.index:index", "Index videos."),
    "match": Command("catalogue.match:match", "Match videos against the index."),
    "duplicates": Command(
        "catalogue.duplicates:duplicates",
        "Find videos in the catalogue that are copies of one another.",
    ),
    "videos": Command(
        "catalogue.videos:app", "Add, list, show and delete indexed videos; prove deletions."
    ),
    "serve": Command(
        "services.serve:serve", "Run the whole service in one process, without Kafka."
    ),
    "ingest": Command("services.streaming:ingest", "Send videos to Kafka as segments."),
    "embed": Command(
        "services.streaming:embed", "Run an embedder over Kafka: it turns segments into vectors."
    ),
    "search": Command(
        "services.streaming:search",
        "Run the searcher over Kafka: it keeps the index and answers queries.",
    ),
    "generations": Command(
        "services.generations:app", "Manage the index generations of a running searcher."
    ),
    "staged": Command(
        "catalogue.staged:app", "List and drop videos that lack some of their segments."
    ),
    "snapshot": Command(
        "catalogue.snapshot:app", "Make, verify and restore backups; export and import a catalogue."
    ),
    "keys": Command(
        "administration.keys:app", "Create, list, limit and revoke the API keys of a service."
    ),
    "audit": Command("administration.audit:app", "Show the audit log of a service."),
    "webhooks": Command("administration.webhooks:app", "Create, list and remove webhooks."),
    "topics": Command("services.topics:app", "Create and check the Kafka topics."),
    "dead-letters": Command(
        "services.dead_letters:app", "List and replay messages that could not be processed."
    ),
    "features": Command(
        "catalogue.features:app",
        "Run the steps of the StoryHash paper one by one, from videos to an index.",
    ),
    "evaluate": Command(
        "evaluate.commands:app", "Measure on your own videos how well copies are found."
    ),
    "models": Command(
        "installation.models:app", "List, download and verify models; list the profiles."
    ),
    "config": Command(
        "installation.config:config", "Print every setting in force as a STORYHASH_ variable."
    ),
    "doctor": Command(
        "installation.doctor:doctor", "Check packages, codecs, models, disk space and the index."
    ),
}


class LazyGroup(TyperGroup):
    """The root command. It imports its commands on demand."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast(Any, _Commands())

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.summary) for name, one in COMMANDS.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            _Completion(name, help=one.summary)
            for name, one in COMMANDS.items()
            if name.startswith(incomplete)
        ]


@dataclass(frozen=True)
class _Completion:
    """One offered word, with the attributes that Click expects."""

    value: str
    help: str
    type: str = "plain"


class _Commands(Mapping[str, Any]):
    """The commands by name, in the order of `COMMANDS`, imported on access."""

    def __getitem__(self, name: str) -> Any:
        return _imported(name)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _imported(name: str) -> Any:
    module, attribute = COMMANDS[name].target.split(":")
    target = getattr(import_module(f"storyhash.cli.{module}"), attribute)
    parent = typer.Typer(rich_markup_mode=None, add_completion=False)
    parent.callback()(_nothing)
    if isinstance(target, typer.Typer):
        parent.add_typer(target, name=name)
    else:
        parent.command(name)(target)
    group: Any = typer.main.get_command(parent)
    return group.commands[name]


def _nothing() -> None:
    """An empty callback: with it, Typer makes a group although there is only one command."""
