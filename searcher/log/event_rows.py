"""The catalogue rows for events of the log, and the keys of the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from common.messaging.unreadable import END_UNREADABLE
from common.messaging.wire import failed_key, segment_key, video_key
from common.types import Embedding, SegmentRef
from searcher.index_transaction import CompleteVideo
from searcher.storage.staged_videos import DROPPED, PartialVideo
from searcher.storage.video import Video
from searcher.video_index import VideoIndex

# The error code of a video that is whole but for segments that are dead letters.
SEGMENTS_MISSING = "segments_missing"
# That of one that took the place of another producer's video.
SHARED_ID = "shared_id"


def keys_of(index: VideoIndex, row: Video) -> list[tuple[str, bytes]]:
    """Every key in the log of the version of a row, each with the video's id."""
    # After a crash the mirror may hold points of a newer version, which is still to become whole.
    segments = [
        segment_key(ref) for ref in index.segments_of(row.video_id) if ref.version <= row.version
    ]
    failed = [failed_key(name, row.version) for name in index.staging.missing(row.video_id)]
    keys = [*segments, *failed, video_key(row.video_id, row.version)]
    return [(row.video_id, key) for key in keys]


def settled_row(gathered: PartialVideo, shared: str = "") -> Video:
    """The catalogue row of a settled version; shared: the other producer's video that it replaced."""
    if gathered.end is None:
        raise ValueError(f"{gathered.video_id}: expected the end of version {gathered.version}")
    end = gathered.end[0]
    missing = len(gathered.missing)
    entry = end.entry
    return Video(
        video_id=entry.video_id,
        uri=entry.uri,
        bank=entry.bank,
        title=entry.title,
        version=end.version,
        duration_seconds=end.duration_seconds,
        metadata=entry.metadata,
        root=end.origin,
        error_code=SEGMENTS_MISSING if missing else SHARED_ID if shared else "",
        error_message=_missing(missing, end.segments) if missing else shared,
    )


def failed_row(index: VideoIndex, gathered: PartialVideo) -> Video:
    """The row of a failed version. A substitute end event only has its id."""
    row = settled_row(gathered)
    if gathered.end is None or gathered.end[0].error_code not in (END_UNREADABLE, DROPPED):
        return row
    known = index.videos.get(gathered.video_id)
    return row if known is None else replace(known, error_code="", error_message="")


def _missing(missing: int, segments: int) -> str:
    return f"{missing} of {segments} segments are dead letters: storyhash dead-letters list"


def late_rows(
    index: VideoIndex, late: Iterable[Embedding], newly_missing: Iterable[SegmentRef]
) -> list[CompleteVideo]:
    """The new rows of videos whose missing segments have come."""
    by_video: dict[str, list[Embedding]] = {}
    for one in late:
        by_video.setdefault(one.ref.video_id, []).append(one)
    rows = []
    for video_id, found in by_video.items():
        row = index.videos.get(video_id)
        if row is None:
            continue
        lacked = index.staging.missing(video_id)
        lacked |= {ref.segment_id for ref in newly_missing if ref.video_id == video_id}
        left = len(lacked - {one.ref.segment_id for one in found})
        segments = row.segments + len(found)
        with_them = replace(
            row,
            segments=segments,
            uninformative_segments=row.uninformative_segments
            + sum(not one.informative for one in found),
        )
        # Which ones it lacks may be forgotten; then it may be still more than those that came.
        if lacked:
            message = _missing(left, segments + left) if left else ""
            code = SEGMENTS_MISSING if left else ""
            with_them = replace(with_them, error_code=code, error_message=message)
        rows.append(CompleteVideo(with_them, found))
    return rows
