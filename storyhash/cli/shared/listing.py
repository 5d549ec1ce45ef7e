"""Prints lists of items: as JSON, or a line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from storyhash.cli.shared.console import err, out, print_json

Item: TypeAlias = Mapping[str, Any]


def print_items(items: Sequence[Item], line: Callable[[Item], str], *, as_json: bool) -> None:
    """Print a whole list."""
    print_page({"items": items, "next_cursor": None}, line, "", as_json=as_json)


def print_page(page: Item, line: Callable[[Item], str], command: str, *, as_json: bool) -> None:
    """Print `items`, one line each, and how `command` shows those after `next_cursor`."""
    if as_json:
        print_json(page)
        return
    for item in page["items"]:
        out.print(line(item), markup=False)
    if page["next_cursor"] is not None:
        err.print(f"more: storyhash {command} --cursor {page['next_cursor']!r}", markup=False)
