"""What the commands print that create, list and remove what a service keeps in its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from storyhash.cli.shared.console import err, out, print_json

Item = Mapping[str, Any]


def print_created(item: Item, secret_field: str, message: str, *, as_json: bool) -> None:
    """Print the secret of a new item, or all of it as JSON."""
    if as_json:
        print_json(item)
        return
    out.print(item[secret_field], markup=False)
    err.print(message, markup=False)


def print_page(page: Item, line: Callable[[Item], str], command: str, *, as_json: bool) -> None:
    """Print `items`, one line each, and how `command` shows those after `next_cursor`."""
    if as_json:
        print_json(page)
        return
    for item in page["items"]:
        out.print(line(item), markup=False)
    if page["next_cursor"] is not None:
        err.print(f"more: storyhash {command} --cursor {page['next_cursor']!r}", markup=False)


def print_removed(word: str, item_id: str, *, as_json: bool) -> None:
    """word: what was done, for example "revoked"."""
    if as_json:
        print_json({word: item_id})
        return
    out.print(f"{word} {item_id}", markup=False)


def banks_text(item: Item) -> str:
    """The banks an item is limited to."""
    return "all banks" if item["banks"] is None else "banks " + ", ".join(item["banks"])
