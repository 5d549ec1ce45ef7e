"""Chooses the id of a video. Two different videos never share an id, and one video never gets two.

In a folder, the id is the path relative to the folder. So the same id at two paths is either two videos
on two drives or one video that was moved. The content decides: the same content is the same video, and
only its path is updated. Different content is another video. The name of its folder is put before its id,
or more of its path if that id exists too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from common.ids import MAX_ID_BYTES
from common.types import CatalogEntry
from common.uris import is_remote, public_uri
from ingest.catalogue import CatalogueItem, RejectedVideo, taken
from ingest.fingerprint import is_gone, same_content, source_fingerprint
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


@dataclass(frozen=True, slots=True)
class NamedVideo:
    """A video and its id. row: the catalogue row with that id. same_content: the row has another path
    but the same content. is_moved: the file at the row's path is gone. is_twin: another path in this run
    has the same video under the same id. taken_by: the path of the video that has the id which the path
    alone would give."""

    entry: CatalogEntry
    root: str
    fingerprint: str
    row: Video | None = None
    same_content: bool = False
    is_moved: bool = False
    is_twin: bool = False
    taken_by: str = ""


def named(
    item: CatalogueItem, videos: VideoStore, in_run: Mapping[str, str]
) -> NamedVideo | RejectedVideo:
    """The id of a video, with its row. in_run: the ids given in this run and the paths of their videos.
    Returns a RejectedVideo if the id was chosen by the user and belongs to another video."""
    fingerprint = source_fingerprint(item.entry.uri)
    candidate = NamedVideo(item.entry, item.root, fingerprint)
    names = [item.entry.video_id, *([] if item.chosen else _longer_names(item))]
    rows = {name: videos.get(name) for name in names[:1]}
    first_row = rows[names[0]]
    if first_row is not None and _is_at(first_row, item) and _is_free(names[0], candidate, in_run):
        return replace(candidate, row=first_row)
    rows |= {name: videos.get(name) for name in names[1:]}
    for name, row in rows.items():
        if row is not None and _is_at(row, item) and _is_free(name, candidate, in_run):
            return _as(candidate, name, row=row, taken_by=_who(names[0], rows, in_run))
    for name, row in rows.items():
        other_name = _try(candidate, item, name, row, in_run)
        if other_name is not None:
            other = "" if name == names[0] else _who(names[0], rows, in_run)
            return replace(other_name, taken_by=other)
    return taken(item.entry, _who(names[0], rows, in_run))


def _try(
    candidate: NamedVideo,
    item: CatalogueItem,
    name: str,
    row: Video | None,
    in_run: Mapping[str, str],
) -> NamedVideo | None:
    """The video under the id `name`; None if another video has this id."""
    uri = candidate.entry.uri
    if not _is_free(name, candidate, in_run):
        other = in_run[name]
        is_twin = same_content(uri, candidate.fingerprint, other, source_fingerprint(other))
        return replace(candidate, is_twin=True) if is_twin else None
    if row is None:
        return _as(candidate, name)
    is_there = is_remote(row.uri) or not is_gone(row.uri)
    if same_content(uri, candidate.fingerprint, row.uri, row.fingerprint):
        return _as(candidate, name, row=row, same_content=True, is_moved=not is_there)
    # With an id chosen by the user, the new video replaces the old one. Otherwise both are kept.
    replaced = item.chosen and (row.root == item.root or not is_there)
    return _as(candidate, name, row=row) if replaced else None


def _is_at(row: Video, item: CatalogueItem) -> bool:
    return public_uri(row.uri) == public_uri(item.entry.uri)


def _is_free(name: str, candidate: NamedVideo, in_run: Mapping[str, str]) -> bool:
    return in_run.get(name, candidate.entry.uri) == candidate.entry.uri


def _who(name: str, rows: Mapping[str, Video | None], in_run: Mapping[str, str]) -> str:
    row = rows.get(name)
    return public_uri(in_run.get(name) or (row.uri if row is not None else ""))


def _as(candidate: NamedVideo, name: str, **changes: Any) -> NamedVideo:
    return replace(candidate, entry=replace(candidate.entry, video_id=name), **changes)


def _longer_names(item: CatalogueItem) -> Iterator[str]:
    """The id with more and more of its folder's path before it: `videos/a.mp4`, `disk2/videos/a.mp4`."""
    root = PurePosixPath(item.root)
    if str(root) == item.entry.uri:
        # The id of a file or picture folder that was given itself is already its own name.
        root = root.parent
    parts = root.parts[1:]
    for start in range(len(parts) - 1, -1, -1):
        name = "/".join((*parts[start:], item.entry.video_id))
        if len(name.encode(errors="replace")) > MAX_ID_BYTES:
            return
        yield name
