"""Imports the module of a command only when the command is used.

Importing all modules takes seconds, and `storyhash --version` and shell completion must be fast.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

# Command to `module:attribute` in this package; the attribute is a function or a Typer app.
COMMANDS = {
    "demo": "demo:demo",
    "index": "index:index",
    "match": "match:match",
    "duplicates": "duplicates:duplicates",
    "videos": "videos:app",
    "serve": "serve:serve",
    "ingest": "services:ingest",
    "embed": "services:embed",
    "search": "services:search",
    "generations": "generations:app",
    "staged": "staged:app",
    "snapshot": "snapshot:app",
    "keys": "keys:app",
    "audit": "audit:app",
    "webhooks": "webhooks:app",
    "topics": "topics:app",
    "dead-letters": "dead_letters:app",
    "features": "features:app",
    "evaluate": "evaluate:app",
    "models": "models:app",
    "config": "config:config",
    "doctor": "doctor:doctor",
}


class LazyGroup(TyperGroup):
    """The root command. It imports its commands on demand."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands()

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """As in any group, but without the help of each command, which would import all modules."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [_Completion(name) for name in COMMANDS if name.startswith(incomplete)]


@dataclass(frozen=True)
class _Completion:
    """One offered word, with the attributes that Click expects."""

    value: str
    type: str = "plain"
    help: str | None = None


class _Commands(MutableMapping[str, Any]):
    """The commands by name, in the order of `COMMANDS`, imported on access."""

    def __init__(self) -> None:
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _imported(name, *COMMANDS[name].split(":"))
        return self._imported[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._imported[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("a command cannot be removed")

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _imported(name: str, module: str, attribute: str) -> Any:
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
