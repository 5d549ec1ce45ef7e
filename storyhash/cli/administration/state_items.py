"""What the commands print that create, list and remove what a service keeps in its state."""

from __future__ import annotations

from storyhash.cli.shared.console import err, out, print_json
from storyhash.cli.shared.listing import Item


def print_created(item: Item, secret_field: str, message: str, *, as_json: bool) -> None:
    """Print the secret of a new item, or all of it as JSON."""
    if as_json:
        print_json(item)
        return
    out.print(item[secret_field], markup=False)
    err.print(message, markup=False)


def banks_text(item: Item) -> str:
    """The banks an item is limited to."""
    return "all banks" if item["banks"] is None else "banks " + ", ".join(item["banks"])
