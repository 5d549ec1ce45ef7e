"""Reads a catalogue from a file into an index.

Videos are imported one group after another. Each is searchable as a whole or not at all, whenever the
process is killed. The same import again continues: what is there already is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import CorruptIndexError, DataFolderError, ModelMismatchError, UsageError
from searcher.index_transaction import Change, CompleteVideo
from searcher.storage.video import Video
from searcher.transfer.parquet import Header, read_header, read_rows, read_videos, row_groups
from searcher.video_index import VideoIndex

# Videos that an error names.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. present: videos that were there already."""

    header: Header
    videos: int
    segments: int
    present: int


def import_catalogue(
    path: Path, index: VideoIndex, *, done: Callable[[int], None] = lambda videos: None
) -> Imported:
    """Import every video of a file. done: called with the number of videos of each group; it may raise to
    give up.

    Nothing is changed if the file is of another model (ModelMismatchError), or if the index has another
    video with an id of the file (UsageError). Raises CorruptIndexError for a damaged file.
    """
    header = read_header(path)
    if header.model_id != index.manifest.model_id:
        raise ModelMismatchError(
            f"{path} has vectors of {header.model_id}, the index has those of "
            f"{index.manifest.model_id}; import it into another folder with --data"
        )
    present = _present(path, index)
    videos = segments = 0

    def missing() -> Iterator[CompleteVideo]:
        for one in read_videos(path):
            if one.video.video_id in present:
                done(1)
            else:
                yield _next_version(one, index)

    for group in row_groups(missing()):
        index.apply(Change(whole=group))
        videos += len(group)
        segments += sum(len(one.embeddings) for one in group)
        _check_searchable(group, index)
        done(len(group))
    index.save_snapshot()
    return Imported(header, videos, segments, len(present))


def _present(path: Path, index: VideoIndex) -> set[str]:
    """The videos of a file that the index has already. Raises UsageError if it has others with their
    ids."""
    present: set[str] = set()
    others: list[str] = []
    seen: set[str] = set()
    for row in read_rows(path):
        if row.video_id in seen:
            raise CorruptIndexError(f"{path} is damaged: it has {row.video_id} twice")
        seen.add(row.video_id)
        held = index.videos.get(row.video_id)
        if held is None or not held.version:
            continue
        if _is_same(held, row):
            present.add(row.video_id)
        else:
            others.append(row.video_id)
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        raise UsageError(
            f"the index has other videos with these ids: {', '.join(others[:_NAMED])}{more}; delete "
            "them first (storyhash videos delete), or import into another folder with --data"
        )
    return present


def _is_same(held: Video, row: Video) -> bool:
    """Whether a video of the index was imported from this row."""
    return held.version >= row.version and all(
        getattr(held, name) == getattr(row, name)
        for name in ("segments", "uninformative_segments", "duration_seconds", "fingerprint", "uri")
    )


def _next_version(one: CompleteVideo, index: VideoIndex) -> CompleteVideo:
    """The video with a version above those that were deleted here."""
    version = max(one.video.version, index.videos.next_version(one.video.video_id))
    if version == one.video.version:
        return one
    return CompleteVideo(
        replace(one.video, version=version),
        [replace(each, ref=replace(each.ref, version=version)) for each in one.embeddings],
    )


def _check_searchable(group: list[CompleteVideo], index: VideoIndex) -> None:
    """Raises DataFolderError if an index that other machines share kept something newer."""
    if index.in_process:
        return
    for one in group:
        if not index.level_with_mirror(one.video.video_id):
            raise DataFolderError(
                f"the collection in Qdrant has a newer {one.video.video_id}, or a note of its deletion; "
                "set STORYHASH_QDRANT__COLLECTION to another name"
            )
