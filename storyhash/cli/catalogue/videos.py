"""`storyhash videos`: adds, lists, shows and deletes videos of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.errors import StoryHashError, UnknownVideoError, UsageError, VideoError
from common.printable import printable
from common.settings import load_settings
from common.uris import public_uri
from searcher.deletion.receipt import erasure_receipt
from searcher.deletion.steps import delete_in_folder
from searcher.storage.selection import Selection
from searcher.video_index import VideoIndex
from storyhash.cli.catalogue.open_catalogue import opened_catalogue
from storyhash.cli.shared.completion import video_ids
from storyhash.cli.shared.console import check_interrupt, err, notice, out, print_fields, print_json
from storyhash.cli.shared.listing import print_done, print_done_ids, print_more
from storyhash.cli.shared.options import (
    CursorOption,
    DataOption,
    JsonOption,
    LimitOption,
    ServerOption,
    announce_data_folder,
)
from storyhash.cli.shared.progress import progress
from storyhash.open_state import compact_state, forget_videos, open_state
from storyhash.wiring import open_catalogue, open_second_catalogue

if TYPE_CHECKING:
    from storyhash.client.catalogue import RemoteCatalogue

app = typer.Typer(
    help="Add, list, show and delete indexed videos; prove deletions.", no_args_is_help=True
)

_STATES = ("ready", "pending", "failed")

VideoIdArgument = Annotated[str, typer.Argument(metavar="VIDEO_ID", autocompletion=video_ids)]


class _Local:
    """The videos of a data folder, as JSON values; `RemoteCatalogue` gives those of a service."""

    def __init__(self, index: VideoIndex) -> None:
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

    def erasure(self, video_id: str) -> dict[str, Any]:
        settings = load_settings(data_dir=self._index.folder)
        with open_state(settings) as state, open_second_catalogue(settings) as second:
            receipt = erasure_receipt(
                self._index, video_id, state, settings.service.backup_dir, second
            )
        return receipt.to_json()

    def delete(self, video_ids: Sequence[str]) -> dict[str, UsageError]:
        """Delete videos. Returns the errors, by video_id."""
        settings = load_settings(data_dir=self._index.folder)
        with open_second_catalogue(settings) as second:
            forget = partial(forget_videos, settings)
            deleted = delete_in_folder(self._index, second, forget, video_ids)
        return {one: _unknown(one) for one in video_ids if one not in deleted}


@app.command("list")
def list_videos(
    data: DataOption = None,
    server: ServerOption = None,
    bank: Annotated[str, typer.Option("--bank", help="Only videos of this bank.")] = "",
    state: Annotated[
        str,
        typer.Option("--state", help="Only videos in this state: ready, pending or failed."),
    ] = "",
    prefix: Annotated[
        str, typer.Option("--prefix", help="Only videos whose id begins with this text.")
    ] = "",
    text: Annotated[
        str, typer.Option("--text", help="Only videos whose id or title contains this text.")
    ] = "",
    limit: LimitOption = 100,
    cursor: CursorOption = "",
    json: JsonOption = False,
) -> None:
    """Print the catalogue ordered by video id, one page at a time."""
    if state and state not in _STATES:
        raise UsageError(f"--state: expected one of {', '.join(_STATES)}, got {state!r}")
    with opened_catalogue(_Local, data, server, writer=False) as catalogue:
        page = catalogue.videos(limit, cursor, Selection(bank, state, prefix, text=text))
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
    print_more(page)


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


@app.command("add")
def add_videos(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO", help="Video files or http(s) URIs.")
    ],
    server: Annotated[
        str, typer.Option("--server", help="Address of a running `storyhash serve`.")
    ],
    bank: Annotated[str | None, typer.Option("--bank", help="Bank (default: default).")] = None,
    json: JsonOption = False,
) -> None:
    """Upload videos to a service.

    The service indexes them and keeps their files. For an http(s) URI it downloads the video and does not
    keep the file. To index files
    without a service, use `storyhash index`. If the service requires keys, this needs one with the role
    writer. A video is searchable when its state is ready: see `storyhash videos show ID --server URL`.

    Exit code 1 when a video cannot be read; the others are added.
    """
    from storyhash.cli.shared.remote_catalogue import remote_catalogue

    added, failed = [], False
    with remote_catalogue(server) as catalogue, progress() as bar:
        task = bar.task("adding", len(videos), list(map(public_uri, videos)))
        try:
            for uri in videos:
                check_interrupt()
                try:
                    added.append(catalogue.add(uri, bank=bank))
                except VideoError as error:
                    failed = True
                    err.print(f"{public_uri(uri)}: {error}", style="red", markup=False)
                task.advance(name=public_uri(uri))
        finally:
            # Also when the service stops answering: what is added stays there.
            if json:
                print_json({"items": added, "next_cursor": None})
            else:
                for video in added:
                    out.print(f"{video['state']:8} {video['video_id']}", markup=False)
    if failed:
        raise typer.Exit(StoryHashError.exit_code)


@app.command("delete")
def delete_videos(
    ids: Annotated[list[str], typer.Argument(metavar="VIDEO_ID", autocompletion=video_ids)],
    data: DataOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Delete videos from the index and the catalogue.

    They are also deleted from the mirror and every snapshot, with their matches. With `--server` they
    are deleted from every generation and from the log too, so that messages still in Kafka cannot bring
    them back.

    Exit code 2 when a video is not indexed; the others are deleted.
    """
    ids = list(dict.fromkeys(ids))
    with opened_catalogue(_Local, data, server, writer=True) as catalogue:
        if isinstance(catalogue, _Local):
            errors = catalogue.delete(ids)
        else:
            errors = _delete_in_service(catalogue, ids)
    for error in errors.values():
        err.print("error:", str(error), style="red", markup=False)
    print_done_ids("deleted", [one for one in ids if one not in errors], as_json=json)
    if errors:
        raise typer.Exit(UnknownVideoError.exit_code)


@app.command("erasure")
def erasure(
    video_id: VideoIdArgument,
    data: DataOption = None,
    server: ServerOption = None,
    json: JsonOption = False,
) -> None:
    """Print the receipt of a deletion.

    It says what every store still has of the video. The stores are the catalogue, the index, the mirror,
    the snapshots, staged segments, thumbnails, uploads, matches, exceptions, jobs, webhooks, answers that
    are kept for an Idempotency-Key, and backups. If the service of --server requires keys, this needs one
    with the role writer for all banks.

    Exit code 1 when something of the video is found.
    """
    with opened_catalogue(_Local, data, server, writer=True) as catalogue:
        receipt = catalogue.erasure(video_id)
    if json:
        print_json(receipt)
    else:
        width = max(len(place["place"]) for place in receipt["places"])
        for place in receipt["places"]:
            out.print(f"{place['place']:{width}} {place['found']} {place['items']}", markup=False)
        for what, why in receipt["kept"].items():
            out.print(f"{'kept':{width}} {what}: {why}", markup=False)
        out.print("erased" if receipt["erased"] else "not erased yet", markup=False)
        if not receipt["kept"]:
            notice(f"this index has no note of a deletion of '{printable(video_id)}'; check the id")
    if not receipt["erased"]:
        raise typer.Exit(StoryHashError.exit_code)


@app.command("compact")
def compact(data: DataOption = None, json: JsonOption = False) -> None:
    """Rewrite the files of a data folder without the bytes of deleted videos.

    After a deletion the embedded mirror and the databases keep the bytes of the video in their files
    until other data overwrites them. Stop the service first. This needs free space for a second mirror.
    Make a new backup afterwards: older backups have the bytes too.
    """
    settings = load_settings(data_dir=data)
    announce_data_folder(settings)
    with open_catalogue(settings, writer=True) as index:
        index.compact()
        index.save_snapshot(keep=1)
    with open_second_catalogue(settings) as second:
        if second is not None:
            second.compact()
            second.save_snapshot(keep=1)
    compact_state(settings)
    print_done("compacted", str(settings.data_dir), as_json=json)


def _delete_in_service(
    catalogue: RemoteCatalogue, video_ids: Sequence[str]
) -> dict[str, UsageError]:
    """Delete videos. Returns the errors, by video_id."""
    errors: dict[str, UsageError] = {}
    for video_id in video_ids:
        try:
            catalogue.delete(video_id)
        except UsageError as error:
            if error.code != UnknownVideoError.code:
                raise
            errors[video_id] = error
    return errors


def _unknown(video_id: str) -> UnknownVideoError:
    return UnknownVideoError(
        f"no video {video_id!r} is indexed; `storyhash videos list` shows them"
    )
