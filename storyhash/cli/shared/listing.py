"""Prints lists of items: as JSON, or a line each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from storyhash.cli.shared.console import err, out, print_json

Item: TypeAlias = Mapping[str, Any]


def print_item(item: Item, line: Callable[[Item], str], *, as_json: bool) -> None:
    """Print one item."""
    if as_json:
        print_json(item)
    else:
        out.print(line(item), markup=False)


def print_done(word: str, name: str, *, as_json: bool) -> None:
    """Print what was done with one item. word: for example `revoked`."""
    print_item({word: name}, lambda _: f"{word} {name}", as_json=as_json)


def print_done_ids(word: str, ids: Sequence[str], *, as_json: bool) -> None:
    """Print what was done with several items: their ids as JSON, or their number."""
    print_item({word: ids}, lambda _: f"{len(ids)} {word}", as_json=as_json)


def print_items(items: Sequence[Item], line: Callable[[Item], str], *, as_json: bool) -> None:
    """Print a whole list."""
    print_page({"items": items, "next_cursor": None}, line, as_json=as_json)


def print_page(page: Item, line: Callable[[Item], str], *, as_json: bool) -> None:
    """Print `items`, one line each, and how to get those after `next_cursor`."""
    if as_json:
        print_json(page)
        return
    for item in page["items"]:
        out.print(line(item), markup=False)
    print_more(page)


def print_more(page: Item) -> None:
    """Say how the same command shows what comes after a page, if there is more."""
    if page["next_cursor"] is not None:
        cursor = shlex.quote(str(page["next_cursor"]))
        err.print(f"more: the same command with --cursor {cursor}", markup=False)
