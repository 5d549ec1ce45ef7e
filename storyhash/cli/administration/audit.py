"""`storyhash audit`: shows who changed what."""

from __future__ import annotations

import typer

from common.settings import load_settings
from storyhash.cli.shared.listing import Item, print_page
from storyhash.cli.shared.options import DataOption, JsonOption, LimitOption, NumberCursorOption
from storyhash.open_state import open_existing_state

app = typer.Typer(help="Show the audit log of a service.", no_args_is_help=True)


@app.command("list")
def list_changes(
    data: DataOption = None,
    limit: LimitOption = 100,
    cursor: NumberCursorOption = None,
    json: JsonOption = False,
) -> None:
    """Print the changes, newest first.

    These are the changes that were requested through the API, and those of the commands `keys`,
    `webhooks`, `videos delete` and `index --prune`.
    """
    with open_existing_state(load_settings(data_dir=data)) as state:
        items, following = state.audit.page(cursor, limit)
    print_page({"items": items, "next_cursor": following}, _line, as_json=json)


def _line(item: Item) -> str:
    return (
        f"{item['at']}  {item['key_id'] or '-':12}  {item['status']}  {item['action']}  "
        f"{item['object']}  {item['code']}".rstrip()
    )
