"""`storyhash keys`: manages the API keys of a service."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from common.errors import UsageError
from common.settings import load_settings
from common.state.keys import MAX_RATE, NewKey
from common.state.quotas import MAX_QUOTA, Quota
from common.state.roles import Role
from storyhash.cli.administration.durations import seconds_of
from storyhash.cli.administration.state_items import banks_text, print_created
from storyhash.cli.shared.console import notice
from storyhash.cli.shared.listing import Item, print_done, print_item, print_page
from storyhash.cli.shared.options import (
    CursorOption,
    DataOption,
    JsonOption,
    LimitOption,
    announce_data_folder,
)
from storyhash.open_state import note_change, open_existing_state, open_state

app = typer.Typer(
    help="Create, list, limit and revoke the API keys of a service.\n\n"
    "They are in its data folder, or in the database that STORYHASH_STATE__URL names. A running service "
    "need not be restarted.",
    no_args_is_help=True,
)
RateOption = Annotated[
    int | None,
    typer.Option(
        "--rate",
        min=0,
        max=MAX_RATE,
        help="Requests per minute; 0 means no limit (default: STORYHASH_HTTP__REQUESTS_PER_MINUTE).",
    ),
]


def _quota(name: str, what: str) -> Any:
    """An option with a limit per day."""
    text = f"{what} per day, UTC; 0 means no limit (default: no limit)."
    return typer.Option(name, min=0, max=MAX_QUOTA, help=text)


QueriesOption = Annotated[int | None, _quota("--queries-per-day", "Matches, jobs and searches")]
UploadOption = Annotated[int | None, _quota("--upload-bytes-per-day", "Bytes of uploaded videos")]
VideoOption = Annotated[int | None, _quota("--video-seconds-per-day", "Seconds of video to decode")]


@app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the key is for.")],
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            help="reader: match, search and list. reviewer: also judge matches. writer: also add, change "
            "and delete videos. admin: also keys, webhooks, generations, backups and the audit log.",
        ),
    ],
    bank: Annotated[
        list[str] | None,
        typer.Option(
            "--bank",
            help="Only videos of this bank can be seen and changed (default: all banks). Repeatable.",
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="Lifetime such as 12h, 30d or 8w (default: unlimited).")
    ] = "",
    rate: RateOption = None,
    queries: QueriesOption = None,
    upload: UploadOption = None,
    video: VideoOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Create a key and print it. It is stored only as a hash, so it cannot be shown again."""
    seconds = seconds_of(expires, "--expires") if expires else None
    new = NewKey(name, role, bank or None, seconds, rate, Quota(queries, upload, video))
    settings = load_settings(data_dir=data)
    announce_data_folder(settings)
    with open_state(settings) as state:
        key, token = state.keys.create(new)
        note_change(state, "keys.create", key.id, 201)
    message = f"key {key.id} ({key.role}) created; it is not shown again"
    print_created({**key.to_json(), "key": token}, "key", message, as_json=json)


@app.command("list")
def list_keys(
    data: DataOption = None,
    limit: LimitOption = 100,
    cursor: CursorOption = "",
    json: JsonOption = False,
) -> None:
    """Print all keys, without their secret part.

    Revoked and expired keys are listed too.
    """
    with open_existing_state(load_settings(data_dir=data)) as state:
        keys, following = state.keys.page(cursor, limit)
    page = {"items": [key.to_json() for key in keys], "next_cursor": following}
    print_page(page, _line, as_json=json)


@app.command("limit")
def limit_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key; `list` shows it.")],
    rate: RateOption = None,
    queries: QueriesOption = None,
    upload: UploadOption = None,
    video: VideoOption = None,
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Change the limits of a key; those that are not given stay. Running services obey within 5
    seconds."""
    given = {
        "requests_per_minute": rate,
        "queries_per_day": queries,
        "upload_bytes_per_day": upload,
        "video_seconds_per_day": video,
    }
    limits = {name: value for name, value in given.items() if value is not None}
    if not limits:
        raise UsageError(
            "give --rate, --queries-per-day, --upload-bytes-per-day or --video-seconds-per-day"
        )
    with open_existing_state(load_settings(data_dir=data)) as state:
        key = state.keys.limit(key_id, limits)
        if key is None:
            raise _unknown_key(key_id)
        note_change(state, "keys.update", key_id, 200)
    print_item(key.to_json(), _line, as_json=json)


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the key; `list` shows it.")],
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Revoke a key. Running services refuse it within 5 seconds."""
    with open_existing_state(load_settings(data_dir=data)) as state:
        if not state.keys.revoke(key_id):
            raise _unknown_key(key_id)
        note_change(state, "keys.revoke", key_id, 204)
        any_valid = any(key.revoked_at is None for key in state.keys.page(limit=10_000)[0])
    print_done("revoked", key_id, as_json=json)
    if not any_valid:
        notice(
            "no key is left; services still require one: create one with `storyhash keys create`"
        )


def _unknown_key(key_id: str) -> UsageError:
    return UsageError(f"there is no key {key_id!r}; `storyhash keys list` shows them")


def _line(key: Item) -> str:
    ends = [
        f"{word} {key[name]}"
        for word, name in (
            ("revoked", "revoked_at"),
            ("expires", "expires_at"),
            ("last used", "last_used_at"),
        )
        if key[name]
    ]
    used = key["used_today"] or {}
    limits = [
        f"{used.get(name, 0)} of {key[f'{name}_per_day']} {words} today"
        for name, words in (
            ("queries", "queries"),
            ("upload_bytes", "uploaded bytes"),
            ("video_seconds", "seconds of video"),
        )
        if key[f"{name}_per_day"]
    ]
    return "  ".join([key["id"], f"{key['role']:8}", key["name"], banks_text(key), *limits, *ends])
