"""`storyhash videos`: lists, shows and deletes videos of the catalogue."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from common.errors import UnknownVideoError, UsageError
from common.settings import load_settings
from searcher.local_index import LocalIndex
from searcher.storage.video_store import Selection
from storyhash.cli.completion import video_ids
from storyhash.cli.console import err, out, print_fields, print_json
from storyhash.cli.open_catalogue import opened_catalogue
from storyhash.cli.options import CursorOption, DataOption, JsonOption, LimitOption, ServerOption
from storyhash.open_state import forget_videos

app = typer.Typer(help="List, show and delete indexed videos.", no_args_is_help=True)

VideoIdArgument = Annotated[str, typer.Argument(metavar="VIDEO_ID", autocompletion=video_ids)]


class _Local:
    """The videos of a data folder, as JSON values; `RemoteCatalogue` gives those of a service."""

    def __init__(self, index: LocalIndex) -> None:
        self._index = index

    def videos(self, limit: int, cursor: str, only: Selection) -> dict[str, Any]:
        store = self._index.videos
        videos, following = store.page(after=cursor, limit=limit, only=only)
        items = [video.to_json() for video in videos]
        return {"items": items, "next_cursor": following, "total": store.total(only)}

    def video(self, video_id: str) -> dict[str, Any]:
        video = self._index.videos.get(video_id)
        if video is None:
            raise _unknown(video_id)
        return video.to_json()

    def delete(self, video_id: str) -> None:
        if not self._index.delete_video(video_id):
            raise _unknown(video_id)


@app.command("list")
def list_videos(
    data: DataOption = None,
    server: ServerOption = None,
    bank: Annotated[str, typer.Option("--bank", help="Only videos of this bank.")] = "",
    state: Annotated[
        str,
        typer.Option(
            "--state", help="Only videos in this state: ready, pending, failed, disabled."
        ),
    ] = "",
    prefix: Annotated[
        str, typer.Option("--prefix", help="Only videos whose id begins with this text.")
    ] = "",
    limit: LimitOption = 100,
    cursor: CursorOption = "",
    json: JsonOption = False,
) -> None:
    """Print the catalogue ordered by video id, one page at a time."""
    with opened_catalogue(_Local, data, server, writer=False) as catalogue:
        page = catalogue.videos(limit, cursor, Selection(bank, state, prefix))
    if json:
        print_json(page)
        return
    for video in page["items"]:
        reason = f"  ({video['error']['message']})" if video.get("error") else ""
        out.print(
            f"{video['state']:8} {video['bank']:12} {video['duration_seconds']:8.1f} s "
            f"{video['segments']:6} segments  "
            f"{video['video_id']}{reason}",
            markup=False,
        )
    if "total" in page:
        err.print(f"{len(page['items'])} of {page['total']} videos")
    if page["next_cursor"] is not None:
        err.print(f"more: storyhash videos list --cursor {page['next_cursor']!r}", markup=False)


@app.command("show")
def show_video(
    video_id: VideoIdArgument,
    data: DataOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Print all data of one video."""
    with opened_catalogue(_Local, data, server, writer=False) as catalogue:
        fields = catalogue.video(video_id)
    print_fields(fields, as_json=json)


@app.command("delete")
def delete_videos(
    ids: Annotated[list[str], typer.Argument(metavar="VIDEO_ID...", autocompletion=video_ids)],
    data: DataOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Delete videos from the index and the catalogue.

    The mirror and every snapshot forget them too, and their matches are deleted. With `--server`, they
    are deleted also from every generation and from the log, so that messages still in Kafka cannot bring
    them back.

    Exit code 2 when a video is not indexed; the others are deleted.
    """
    deleted = []
    with opened_catalogue(_Local, data, server, writer=True) as catalogue:
        for video_id in ids:
            try:
                catalogue.delete(video_id)
            except UsageError as error:
                if error.code != UnknownVideoError.code:
                    raise
                err.print("error:", str(error), style="red", markup=False)
            else:
                deleted.append(video_id)
    if server is None:
        # A service does so itself.
        forget_videos(load_settings(data_dir=data), deleted)
    if json:
        print_json({"deleted": deleted})
    else:
        out.print(f"{len(deleted)} deleted")
    if len(deleted) < len(ids):
        raise typer.Exit(UnknownVideoError.exit_code)


def _unknown(video_id: str) -> UnknownVideoError:
    return UnknownVideoError(
        f"no video {video_id!r} is indexed; `storyhash videos list` shows them"
    )
