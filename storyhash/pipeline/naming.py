"""Under which id a video is indexed: two different videos never share one, and one never gets two.

A video in a folder is named by its path relative to the folder, so the same name on two drives means two
videos, and a library that moved has the same names at other paths. Which of the two it is, the content
says: the same content is the same video, and only its path is noted anew. Other content is another
video; its id then begins with the name of its folder, or with more of its path where that is taken too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from common.ids import MAX_ID_BYTES
from common.types import CatalogEntry
from common.uris import is_remote, public_uri
from ingest.catalogue import CatalogueItem, RejectedVideo, taken
from ingest.fingerprint import same_content, source_fingerprint
from searcher.storage.video_store import Video, VideoStore


@dataclass(frozen=True, slots=True)
class NamedVideo:
    """A video and its id. `held`: the row of that id. `same_content`: the row is of another path and the
    same video. `is_moved`: what the row names is gone. `is_twin`: another path of this run has the same
    video under the same id. `taken_by`: where the video lies that has the id which the path alone would
    give."""

    entry: CatalogEntry
    root: str
    fingerprint: str
    held: Video | None = None
    same_content: bool = False
    is_moved: bool = False
    is_twin: bool = False
    taken_by: str = ""


def named(
    one: CatalogueItem, videos: VideoStore, in_run: Mapping[str, str]
) -> NamedVideo | RejectedVideo:
    """The id of a video, and what is known of it. in_run: the ids given in this run, and where their
    videos lie. Refused when its id was chosen by somebody and is taken."""
    fingerprint = source_fingerprint(one.entry.uri)
    here = NamedVideo(one.entry, one.root, fingerprint)
    names = [one.entry.video_id, *([] if one.chosen else _longer_names(one))]
    rows = {name: videos.get(name) for name in names[:1]}
    held = rows[names[0]]
    if held is not None and _is_at(held, one) and _is_free(names[0], here, in_run):
        return replace(here, held=held)
    rows |= {name: videos.get(name) for name in names[1:]}
    for name, row in rows.items():
        if row is not None and _is_at(row, one) and _is_free(name, here, in_run):
            return _as(here, name, held=row, taken_by=_who(names[0], rows, in_run))
    for name, row in rows.items():
        place = _try(here, one, name, row, in_run)
        if place is not None:
            other = "" if name == names[0] else _who(names[0], rows, in_run)
            return replace(place, taken_by=other)
    return taken(one.entry, _who(names[0], rows, in_run))


def _try(
    here: NamedVideo, one: CatalogueItem, name: str, row: Video | None, in_run: Mapping[str, str]
) -> NamedVideo | None:
    """The video under this name, unless another video has it."""
    uri = here.entry.uri
    if not _is_free(name, here, in_run):
        other = in_run[name]
        is_twin = same_content(uri, here.fingerprint, other, source_fingerprint(other))
        return replace(here, is_twin=True) if is_twin else None
    if row is None:
        return _as(here, name)
    is_there = is_remote(row.uri) or Path(row.uri).exists()
    if same_content(uri, here.fingerprint, row.uri, row.fingerprint):
        return _as(here, name, held=row, same_content=True, is_moved=not is_there)
    # Whoever chose the id means this video from now on; elsewhere both are kept.
    replaced = one.chosen and (row.root == one.root or not is_there)
    return _as(here, name, held=row) if replaced else None


def _is_at(row: Video, one: CatalogueItem) -> bool:
    return public_uri(row.uri) == public_uri(one.entry.uri)


def _is_free(name: str, here: NamedVideo, in_run: Mapping[str, str]) -> bool:
    return in_run.get(name, here.entry.uri) == here.entry.uri


def _who(name: str, rows: Mapping[str, Video | None], in_run: Mapping[str, str]) -> str:
    row = rows.get(name)
    return public_uri(in_run.get(name) or (row.uri if row is not None else ""))


def _as(here: NamedVideo, name: str, **known: Any) -> NamedVideo:
    return replace(here, entry=replace(here.entry, video_id=name), **known)


def _longer_names(one: CatalogueItem) -> Iterator[str]:
    """The id with more and more of its folder's path before it: `videos/a.mp4`, `disk2/videos/a.mp4`."""
    root = PurePosixPath(one.root)
    if str(root) == one.entry.uri:
        # A file or picture folder that was named itself is called by its own name already.
        root = root.parent
    parts = root.parts[1:]
    for start in range(len(parts) - 1, -1, -1):
        name = "/".join((*parts[start:], one.entry.video_id))
        if len(name.encode(errors="replace")) > MAX_ID_BYTES:
            return
        yield name
