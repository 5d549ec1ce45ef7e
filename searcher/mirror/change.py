"""Writes a change of the index to the mirror."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from searcher.index_transaction import Change
from searcher.mirror.base import Mirror
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore


def write_to_mirror(
    change: Change,
    rows: Mapping[str, Video],
    half_done: Collection[str],
    videos: VideoStore,
    mirror: Mirror,
) -> None:
    """Write the new points, delete those of older versions and of deleted videos, and flush to disk.

    rows: the new row of each video that gets points. half_done: ids of videos for which an interrupted
    change may have left points. videos: the catalogue before the change.
    """
    old = {one.video.video_id: videos.get(one.video.video_id) for one in change.whole}
    for video_id, before in old.items():
        if video_id in half_done:
            mirror.delete_video(video_id, keep_version=before.version if before else None)
    if change.written:
        if not videos.owns_mirror:
            videos.own_mirror()
        mirror.upsert(change.written, rows)
    for one in change.whole:
        before = old[one.video.video_id]
        if before is not None and before.version:
            mirror.delete_video(one.video.video_id, keep_version=one.video.version)
    for video_id, _ in change.deleted:
        mirror.delete_video(video_id)
    if change:
        mirror.flush()
