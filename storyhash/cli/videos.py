"""`storyhash videos`: the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from common.errors import UsageError
from common.settings import load_settings
from searcher.index import LocalIndex
from searcher.videos import Video
from storyhash.cli.console import err, out, print_json
from storyhash.cli.options import DataOption, JsonOption
from storyhash.wiring import open_catalogue

app = typer.Typer(help="List, show and delete indexed videos.", no_args_is_help=True)

VideoIdArgument = Annotated[str, typer.Argument(metavar="VIDEO_ID")]


@app.command("list")
def list_videos(
    data: DataOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most rows to print.")] = 100,
    cursor: Annotated[str, typer.Option(help="Go on where the last page ended.")] = "",
    json: JsonOption = False,
) -> None:
    """Print the catalogue in the order of its ids, a page at a time."""
    with open_catalogue(load_settings(data_dir=data), writer=False) as index:
        videos, following = index.videos.page(after=cursor, limit=limit)
    if json:
        print_json({"items": [video.to_json() for video in videos], "next_cursor": following})
        return
    for video in videos:
        out.print(
            f"{video.state:8} {video.duration_seconds:8.1f} s {video.segments:6} segments  "
            f"{video.video_id}" + (f"  ({video.error_message})" if video.error_message else ""),
            markup=False,
        )
    if following is not None:
        err.print(f"more: storyhash videos list --cursor {following!r}", markup=False)


@app.command("show")
def show_video(
    video_id: VideoIdArgument, data: DataOption = None, json: JsonOption = False
) -> None:
    """Print everything known of one video."""
    with open_catalogue(load_settings(data_dir=data), writer=False) as index:
        shown = _found(index, video_id).to_json()
    if json:
        print_json(shown)
        return
    for name, value in shown.items():
        out.print(f"{name}: {value}", markup=False)


@app.command("delete")
def delete_videos(
    video_ids: Annotated[list[str], typer.Argument(metavar="VIDEO_ID...")],
    data: DataOption = None,
    json: JsonOption = False,
) -> None:
    """Delete videos: from the catalogue, the mirror, the index and every snapshot."""
    with open_catalogue(load_settings(data_dir=data), writer=True) as index:
        for video_id in video_ids:
            _found(index, video_id)
        for video_id in video_ids:
            index.delete_video(video_id)
    if json:
        print_json({"deleted": video_ids})
        return
    out.print(f"{len(video_ids)} deleted")


def _found(index: LocalIndex, video_id: str) -> Video:
    video = index.videos.get(video_id)
    if video is None:
        raise UsageError(f"no video {video_id!r} is indexed; `storyhash videos list` shows them")
    return video
