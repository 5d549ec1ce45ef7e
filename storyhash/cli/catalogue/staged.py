"""`storyhash staged`: videos over Kafka that wait for their last segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import UnknownVideoError, UsageError
from searcher.log.drop_staged import drop_staged
from searcher.video_index import VideoIndex
from storyhash.cli.catalogue.open_catalogue import opened_catalogue
from storyhash.cli.shared.console import err
from storyhash.cli.shared.listing import Item, print_done_ids, print_items
from storyhash.cli.shared.options import DataOption, JsonOption, ServerOption

if TYPE_CHECKING:
    from storyhash.client.catalogue import RemoteCatalogue

app = typer.Typer(
    help="List and drop videos that lack some of their segments.", no_args_is_help=True
)
_PAGE = 1000

IdleOption = Annotated[
    float,
    typer.Option(
        "--older-than",
        min=0,
        metavar="HOURS",
        help="Only videos that received no segment for this many hours.",
    ),
]


class _Local:
    """The staged videos of a data folder that no searcher has open, as JSON values; `RemoteCatalogue`
    gives those of a searcher."""

    def __init__(self, index: VideoIndex) -> None:
        self._index = index

    def staged(self, limit: int, cursor: str) -> dict[str, Any]:
        videos, following = self._index.staging.staged(after=cursor, limit=limit)
        return {"items": [video.to_json() for video in videos], "next_cursor": following}

    def drop_staged(self, video_id: str, version: int) -> None:
        drop_staged(self._index, video_id, version)


@app.command("list")
def list_staged(
    data: DataOption = None,
    server: ServerOption = None,
    older_than: IdleOption = 0.0,
    json: JsonOption = False,
) -> None:
    """Print every incomplete video and what it waits for."""
    with opened_catalogue(_Local, data, server, writer=False) as staged:
        videos = list(_all(staged, older_than))
    print_items(videos, _line, as_json=json)


@app.command("drop")
def drop(
    video_ids: Annotated[list[str] | None, typer.Argument(metavar="VIDEO_ID")] = None,
    data: DataOption = None,
    server: ServerOption = None,
    older_than: IdleOption = 0.0,
    every: Annotated[
        bool,
        typer.Option("--all", help="Every incomplete video, or those that --older-than selects."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Stop waiting for the missing segments of videos.

    The segments that were received are deleted, and the videos are marked as failed.
    An older complete version stays searchable. `storyhash ingest --again` sends a video again.

    Exit code 2 when a given video is not incomplete; the others are dropped.
    """
    names = set(video_ids or ())
    if bool(names) == every:
        raise UsageError("name the videos to drop, or use --all (and --older-than HOURS)")
    dropped = []
    with opened_catalogue(_Local, data, server, writer=True) as staged:
        for video in list(_all(staged, older_than)):
            if every or video["video_id"] in names:
                staged.drop_staged(video["video_id"], video["version"])
                dropped.append(video["video_id"])
    unknown = sorted(names - {*dropped})
    for name in unknown:
        err.print(
            f"error: {name!r} is not an incomplete video; `storyhash staged list` shows them",
            style="red",
            markup=False,
        )
    print_done_ids("dropped", dropped, as_json=json)
    if unknown:
        raise typer.Exit(UnknownVideoError.exit_code)


def _line(video: Item) -> str:
    return (
        f"{video['video_id']!r}  version {video['version']}  {video['segments']} segments  "
        f"idle for {video['idle_seconds'] / 3600:.1f} h  {video['reason']}"
    )


def _all(staged: _Local | RemoteCatalogue, older_than_hours: float) -> Iterator[dict[str, Any]]:
    cursor: str | None = ""
    while cursor is not None:
        page = staged.staged(_PAGE, cursor)
        cursor = page["next_cursor"]
        for video in page["items"]:
            if video["idle_seconds"] >= 3600 * older_than_hours:
                yield video
