"""`storyhash dead-letters`: lists, shows and replays messages that could not be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from common.errors import UsageError
from common.messaging.dead_letters import DeadLetter, find_letters, read_dead_letters, replay
from common.messaging.topics import TopicNames, takes_replays
from common.messaging.transport import Transport
from common.settings import load_settings
from storyhash.cli.shared.console import err, print_fields
from storyhash.cli.shared.listing import Item, print_done_ids, print_page
from storyhash.cli.shared.options import CursorOption, JsonOption

app = typer.Typer(
    help="List and replay messages that could not be processed.", no_args_is_help=True
)

ReasonOption = Annotated[str, typer.Option("--reason", help="Only dead letters with this reason.")]
StageOption = Annotated[
    str, typer.Option("--stage", help="Only dead letters of this stage: embed or search.")
]


@app.command("list")
def list_letters(
    reason: ReasonOption = "",
    stage: StageOption = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also dead letters that were replayed.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 1000,
    cursor: CursorOption = "",
    json: JsonOption = False,
) -> None:
    """Print the dead letters that were not replayed, oldest first."""
    with _transport() as (transport, topic):
        letters = read_dead_letters(transport, topic)
    # The cursor is searched in all letters, because its letter may have been replayed in the meantime.
    ids = [letter.letter_id for letter in letters]
    if cursor and cursor not in ids:
        raise UsageError(
            f"--cursor: there is no dead letter {cursor!r}; `storyhash dead-letters list` "
            "shows them"
        )
    remaining = letters[ids.index(cursor) + 1 :] if cursor else letters
    selected = [
        letter for letter in _chosen(remaining, reason, stage) if everything or not letter.replayed
    ]
    page = selected[:limit]
    following = page[-1].letter_id if limit < len(selected) else None
    rows = {"items": [_row(letter) for letter in page], "next_cursor": following}
    print_page(rows, _line, as_json=json)


@app.command("show")
def show_letter(
    letter_id: Annotated[str, typer.Argument(metavar="ID")], json: JsonOption = False
) -> None:
    """Print one dead letter with its headers."""
    with _transport() as (transport, topic):
        (letter,) = find_letters(read_dead_letters(transport, topic), [letter_id])
    headers = [[name, value.decode("utf-8", "replace")] for name, value in letter.headers]
    fields = {
        **_row(letter),
        "key": letter.key.decode("utf-8", "replace"),
        "value_bytes": letter.value_bytes,
        "value_kept": letter.value_kept,
        "headers": headers,
    }
    print_fields(fields, as_json=json)


@app.command("replay")
def replay_letters(
    letter_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="IDs of dead letters, or use --all."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every dead letter that was not replayed.")
    ] = False,
    reason: ReasonOption = "",
    stage: StageOption = "",
    json: JsonOption = False,
) -> None:
    """Send dead letters again, after the cause was fixed.

    Each goes back to the topic it came from. A message that
    still fails becomes a dead letter again. A deleted video stays deleted. Messages that did not come
    from a StoryHash topic are not sent.

    Exit code 2 when such a message was skipped; the others are replayed.
    """
    if bool(letter_ids) == everything:
        raise UsageError("name dead letters, or use --all (with --reason or --stage to select)")
    foreign: list[str] = []
    with _transport() as (transport, topic):
        letters = read_dead_letters(transport, topic)
        allowed = partial(takes_replays, prefix=topic.removesuffix(".dead-letters"))
        if letter_ids:
            chosen = find_letters(letters, letter_ids)
        else:
            chosen = [
                letter
                for letter in _chosen(letters, reason, stage)
                if letter.value_kept and not letter.replayed
            ]
            # A message from a foreign topic must not prevent the replay of the others.
            foreign = [letter.letter_id for letter in chosen if not allowed(letter.source[0])]
            chosen = [letter for letter in chosen if allowed(letter.source[0])]
        publisher = transport.publisher()
        try:
            replayed = replay(transport, publisher, topic, chosen, allowed)
            ids = [letter.letter_id for letter in replayed]
        finally:
            publisher.close()
    for letter_id in foreign:
        err.print(
            f"{letter_id}: not replayed: it did not come from a StoryHash topic", markup=False
        )
    print_done_ids("replayed", ids, as_json=json)
    if foreign:
        raise typer.Exit(UsageError.exit_code)


@contextmanager
def _transport() -> Iterator[tuple[Transport, str]]:
    from common.kafka.transport import KafkaTransport

    settings = load_settings()
    transport = KafkaTransport(settings.kafka, settings.video)
    try:
        yield transport, TopicNames.of(settings.kafka).dead_letters
    finally:
        transport.close()


def _chosen(letters: list[DeadLetter], reason: str, stage: str) -> list[DeadLetter]:
    return [
        letter
        for letter in letters
        if (not reason or letter.reason == reason) and (not stage or letter.stage == stage)
    ]


def _line(row: Item) -> str:
    return (
        f"{row['id']}  {row['stage']}  {row['reason']}  {row['traceback_hash']}  {row['message']}"
        + ("  (replayed)" if row["state"] == "replayed" else "")
    )


def _row(letter: DeadLetter) -> dict[str, Any]:
    source, partition, offset = letter.source
    return {
        "id": letter.letter_id,
        "stage": letter.stage,
        "reason": letter.reason,
        "message": letter.explanation,
        "traceback_hash": letter.traceback_hash,
        "topic": source,
        "partition": partition,
        "offset": offset,
        "failed_at": datetime.fromtimestamp(letter.failed_at, UTC).isoformat(
            timespec="milliseconds"
        ),
        "state": "replayed" if letter.replayed else "open",
    }
