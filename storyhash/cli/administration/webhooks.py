"""`storyhash webhooks`: says where a service sends its events."""

from __future__ import annotations

from typing import Annotated

import typer

from common.errors import UsageError
from common.settings import load_settings
from common.state.outbox import EVENT_TYPES
from common.state.webhooks import NewWebhook
from searcher.webhooks.sender import check_url
from storyhash.cli.administration.state_items import banks_text, print_created
from storyhash.cli.shared.listing import Item, print_done, print_page
from storyhash.cli.shared.options import (
    DataOption,
    JsonOption,
    LimitOption,
    NumberCursorOption,
    announce_data_folder,
)
from storyhash.open_state import note_change, open_existing_state, open_state

app = typer.Typer(
    help="Create, list and remove webhooks: addresses that a service sends its events to.\n\n"
    "They are in its data folder, or in the database that STORYHASH_STATE__URL names. A running service "
    "need not be restarted.",
    no_args_is_help=True,
)


@app.command("create")
def create_webhook(
    url: Annotated[str, typer.Argument(metavar="URL", help="Address that events are sent to.")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            "--event", help=f"Type of event: {', '.join(EVENT_TYPES)} (default: all). Repeatable."
        ),
    ] = None,
    bank: Annotated[
        list[str] | None,
        typer.Option(
            "--bank",
            help="Only events that concern no other bank (default: all banks). Repeatable.",
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", help="What the webhook is for.")
    ] = "",
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Create a webhook and print its secret. The secret verifies the events; it is not shown again."""
    settings = load_settings(data_dir=data)
    new = NewWebhook(url, event or None, bank or None, description)
    check_url(url, settings.webhooks)
    announce_data_folder(settings)
    with open_state(settings) as state:
        webhook, secret = state.webhooks.create(new)
        note_change(state, "webhooks.create", webhook.id, 201)
    message = f"webhook {webhook.id} created; its secret is not shown again"
    print_created({**webhook.to_json(), "secret": secret}, "secret", message, as_json=json)


@app.command("list")
def list_webhooks(
    data: DataOption = None,
    limit: LimitOption = 100,
    cursor: NumberCursorOption = None,
    json: JsonOption = False,
) -> None:
    """Print the webhooks, newest first, without their secrets."""
    with open_existing_state(load_settings(data_dir=data)) as state:
        webhooks, following, total = state.webhooks.page(cursor, limit)
    items = [webhook.to_json() for webhook in webhooks]
    page = {"items": items, "next_cursor": following, "total": total}
    print_page(page, _line, as_json=json)


@app.command("remove")
def remove_webhook(
    webhook_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of the webhook; `list` shows it.")
    ],
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Remove a webhook. What was not delivered is deleted too."""
    with open_existing_state(load_settings(data_dir=data)) as state:
        if not state.webhooks.delete(webhook_id):
            raise UsageError(
                f"there is no webhook {webhook_id!r}; `storyhash webhooks list` shows them"
            )
        note_change(state, "webhooks.delete", webhook_id, 204)
    print_done("removed", webhook_id, as_json=json)


def _line(webhook: Item) -> str:
    events = "all events" if webhook["events"] is None else ", ".join(webhook["events"])
    words = [webhook["id"], webhook["url"], events, banks_text(webhook), webhook["description"]]
    return "  ".join(filter(None, words))
