"""Recovers one store of an index from another: catalogue, mirror, snapshots and shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.settings import SearcherSettings
from common.slices import slices
from common.types import Embedding
from searcher.index.shard import Shard
from searcher.index.snapshot import load_newest, newest_sequence
from searcher.lost_vectors import all_lost, some_lost
from searcher.mirror.base import Mirror
from searcher.storage.saved_shard import NO_SNAPSHOT
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore

# One question for many videos costs the mirror little more than one for each.
_VIDEOS_AT_ONCE = 100
# Changes that are looked for in the mirror at each start.
_LAST_CHANGES = 10


@dataclass(frozen=True, slots=True)
class RecoveredShard:
    """A shard that equals the catalogue. snapshot: the one it was read from, if any. sequence: of the
    snapshot if it equals the shard, else NO_SNAPSHOT. said: messages for the user."""

    shard: Shard
    snapshot: Path | None
    sequence: int
    said: list[str]


def recover_catalogue(videos: VideoStore, mirror: Mirror) -> list[str]:
    """If only the catalogue is lost, rebuild it from the mirror. If all of the mirror is lost, or a part
    of it, the videos that it lacks must be indexed again. What it has of deleted videos is deleted.

    Returns messages for the user.
    """
    points = mirror.count()
    if points and not videos.owns_mirror:
        whole = [Video(**row) for row, count in mirror.videos() if count == row["segments"]]
        # In one step: a part of it would pass for all of it at the next start.
        videos.commit_all(whole)
        return [f"the catalogue was rebuilt from the mirror: {len(whole)} videos"]
    segments = videos.segments()
    if segments and not points:
        videos.lose_vectors()
        return [all_lost("the mirror")]
    if points == segments and _has_last_changes(videos, mirror):
        return []
    lost = _bring_in_step(videos, mirror)
    return [some_lost("the mirror", lost)] if lost else []


def _has_last_changes(videos: VideoStore, mirror: Mirror) -> bool:
    """Whether the mirror has the videos that were indexed last, and not those that were deleted last. A
    mirror that was restored from an older snapshot lacks these changes, even if it has as many points."""
    newest, deleted = videos.newest(_LAST_CHANGES), videos.newest_deleted(_LAST_CHANGES)
    if not newest + deleted:
        return True
    held = Counter(
        (one.ref.video_id, one.ref.version)
        for batch in mirror.scan([*newest, *deleted])
        for one in batch
    )
    rows = [row for row in map(videos.get, newest) if row is not None]
    return held == Counter({(row.video_id, row.version): row.segments for row in rows})


def _bring_in_step(videos: VideoStore, mirror: Mirror) -> list[Video]:
    """Delete from the mirror what it has of deleted videos, and mark as pending the videos of which it
    lacks segments. Returns those that were not pending before."""
    held = {str(row["video_id"]): (row["version"], count) for row, count in mirror.videos()}
    rows = {row.video_id: row for row in videos.all()}
    deleted = [name for name in held if name not in rows and videos.was_deleted(name)]
    for video_id in deleted:
        mirror.delete_video(video_id)
    if deleted:
        mirror.flush()
    # These are indexed again anyway: a video that is pending, and one whose newer version was being
    # written when a process was killed that followed a log.
    again = {name for name, row in rows.items() if row.state == "pending"}
    if videos.come_from_log:
        again |= {
            name
            for name, (version, _) in held.items()
            if name in rows and version > rows[name].version
        }
    differ = [
        row
        for name, row in rows.items()
        if row.version and name not in again and held.get(name) != (row.version, row.segments)
    ]
    lost = []
    for some in slices(differ, _VIDEOS_AT_ONCE):
        stored = mirrored(some, mirror)
        lost += [row for row in some if len(stored[row.video_id]) < row.segments]
    videos.begin(*lost)
    return lost


def recovered_shard(
    snapshots: Path, settings: SearcherSettings, model_id: str, videos: VideoStore, mirror: Mirror
) -> RecoveredShard:
    """The newest valid snapshot, updated to the catalogue, or a shard rebuilt from the mirror."""
    newest = newest_sequence(snapshots)
    if videos.sequence < newest:
        # The catalogue was lost. What is saved from now on is newer than what was saved before.
        videos.continue_after(newest)
    loaded = load_newest(snapshots, settings, model_id)
    if loaded is None or loaded.info.sequence < 0:
        said = (
            [] if loaded is None else [f"{why}; rebuilt from the mirror" for why in loaded.refused]
        )
        return RecoveredShard(rebuilt_shard(settings, videos, mirror), None, NO_SNAPSHOT, said)
    said = [
        f"{why}; the older snapshot {loaded.info.sequence} is used and updated"
        for why in loaded.refused
    ]
    shard = loaded.shard
    if loaded.info.sequence == videos.sequence and not loaded.refused:
        return RecoveredShard(shard, loaded.path, loaded.info.sequence, said)
    versions, indexed, counts = videos.versions(), shard.versions(), shard.counts()
    shard.remove_videos([gone for gone in indexed if gone not in versions])
    behind = [
        video
        for video in videos.all()
        if indexed.get(video.video_id) != video.version
        or counts.get(video.video_id, 0) != _searchable(video)
    ]
    for some in slices(behind, _VIDEOS_AT_ONCE):
        level(shard, some, mirror)
    return RecoveredShard(shard, loaded.path, NO_SNAPSHOT, said)


def rebuilt_shard(settings: SearcherSettings, videos: VideoStore, mirror: Mirror) -> Shard:
    """A shard rebuilt from the mirror."""
    shard = Shard(settings)
    rows = {video.video_id: video for video in videos.all()}

    def is_current(one: Embedding) -> bool:
        row = rows.get(one.ref.video_id)
        return row is not None and row.version == one.ref.version

    for batch in mirror.scan():
        # A mirror holds a segment once.
        shard.add([one for one in batch if is_current(one)], replacing=False)
    # Part of a version is none: what is left of it is done again from its source.
    shard.remove_videos(
        video_id
        for video_id, count in shard.counts().items()
        if count != _searchable(rows[video_id])
    )
    return shard


def level(shard: Shard, videos: Sequence[Video], mirror: Mirror) -> bool:
    """Update the shard from the mirror for these videos; False if the mirror lacks a part of one, for
    which the shard is unchanged."""
    stored = mirrored(videos, mirror)
    whole = [
        one for one in videos if stored[one.video_id] and len(stored[one.video_id]) == one.segments
    ]
    shard.replace_videos(
        [point for one in whole for point in stored[one.video_id]], [one.video_id for one in whole]
    )
    return len(whole) == len(videos)


def is_level(shard: Shard, video_id: str, video: Video | None, mirror: Mirror) -> bool:
    """Whether the shard and the mirror agree on the complete version of a video; video: its row, or
    None."""
    stored = [] if video is None else mirrored([video], mirror)[video_id]
    wanted = {one.ref: one for one in stored if one.informative}
    found = shard.vectors_of(video_id)
    if wanted.keys() != set(found.refs) or len(wanted) != len(found.refs):
        return False
    if not wanted:
        return True
    same = [wanted[ref] for ref in found.refs]
    if [len(one.frames) for one in same] != [len(frames) for frames in found.frames]:
        return False
    # All segments at once: to compare each takes ten times as long, and queries wait meanwhile.
    vectors, frames = np.stack([one.vector for one in same]), [one.frames for one in same]
    return np.allclose(vectors, found.vectors, atol=1e-6) and np.array_equal(
        np.concatenate(frames), np.concatenate(found.frames)
    )


def mirrored(videos: Sequence[Video], mirror: Mirror) -> dict[str, list[Embedding]]:
    """The embeddings in the mirror of the complete version of each of these videos."""
    stored: dict[str, list[Embedding]] = {one.video_id: [] for one in videos}
    versions = {one.video_id: one.version for one in videos}
    for batch in mirror.scan(list(stored)):
        for point in batch:
            if point.ref.version == versions[point.ref.video_id]:
                stored[point.ref.video_id].append(point)
    return stored


def _searchable(video: Video) -> int:
    return video.segments - video.uninformative_segments
