"""Determines the effect of a batch of the log: which videos become complete, fail, wait or are
deleted."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.messaging.events import Deletion, SegmentFailed, VideoEnd
from common.messaging.handler import Item
from common.messaging.wire import log_key, video_key
from common.metrics import Metrics
from common.types import Embedding, SegmentRef
from searcher.log.event_rows import SEGMENTS_MISSING, keys_of
from searcher.metrics import STAGE
from searcher.storage.staged_videos import PartialVideo
from searcher.storage.video import Video
from searcher.video_index import VideoIndex

# Copies of one file agree in length to a hundredth of a second; two different recordings rarely do.
_SAME_LENGTH_SECONDS = 0.01
_log = logging.getLogger("storyhash.search")


@dataclass(slots=True)
class BatchOutcome:
    """The effect of a batch on the index.

    whole, failed: videos that become complete or fail. mixed: videos whose segments do not fit their end
    event. staged: incomplete videos with the ids of their new segments. late: embeddings that a complete
    video lacked, with their time. missing: segments that a complete video lacks. deleted: video id to
    version. forgotten: video id and log key of obsolete messages. trace_ids: by video id. shared:
    warnings about ids that two producers use, by video id.
    """

    whole: list[PartialVideo] = field(default_factory=list)
    failed: list[PartialVideo] = field(default_factory=list)
    mixed: list[PartialVideo] = field(default_factory=list)
    staged: list[tuple[PartialVideo, list[str]]] = field(default_factory=list)
    late: list[tuple[Embedding, float]] = field(default_factory=list)
    missing: list[SegmentRef] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    forgotten: list[tuple[str, bytes]] = field(default_factory=list)
    trace_ids: dict[str, str] = field(default_factory=dict)
    # Versions with at least one message that this index's log position has not covered before.
    new: set[tuple[str, int]] = field(default_factory=set)
    shared: dict[str, str] = field(default_factory=dict)


class BatchSorter:
    """Sorts one batch while the index cannot change. It does not change the index."""

    def __init__(self, index: VideoIndex, metrics: Metrics) -> None:
        self._index = index
        self._metrics = metrics

    def sort(self, items: Sequence[Item]) -> BatchOutcome:
        """Find out which videos become complete, fail, wait or are deleted."""
        step = BatchOutcome()
        groups: dict[tuple[str, int], PartialVideo] = {}
        for item in items:
            event, produced_at = item.envelope.event, item.envelope.produced_at
            if isinstance(event, Deletion):
                newest = max(event.version, step.deleted.get(event.video_id, 0))
                step.deleted[event.video_id] = newest
            elif isinstance(event, (Embedding, SegmentFailed)):
                _of(groups, event.ref.video_id, event.ref.version).add(event, produced_at)
            elif isinstance(event, VideoEnd):
                _of(groups, event.video_id, event.version).end = event, produced_at
                step.trace_ids[event.video_id] = item.envelope.trace_id
        step.new = _new_versions(items, self._index.staging.new_from())
        settled = self._index.staging.settled(
            {video_id for video_id, _ in groups} | step.deleted.keys()
        )
        self._delete(step, settled)
        # Newest version first, so that an older one in the same batch is recognised as obsolete.
        for (video_id, version), gathered in sorted(groups.items(), reverse=True):
            floor, deleted = settled[video_id]
            if version < floor or version <= deleted:
                self._tell_stale(step, gathered, floor, deleted)
                self._forget(step, gathered)
            elif version == floor:
                self._add_late(step, gathered)
            elif self._gather(step, gathered):
                settled[video_id] = version, deleted
        return step

    def _delete(self, step: BatchOutcome, settled: dict[str, tuple[int, int]]) -> None:
        for video_id, version in list(step.deleted.items()):
            floor, deleted = settled[video_id]
            row = self._index.videos.get(video_id)
            if row is not None and row.version > version:
                # It was ingested again after this deletion, so the deletion does not concern it.
                del step.deleted[video_id]
                continue
            settled[video_id] = max(floor, version), max(deleted, version)
            step.forgotten += [
                (video_id, key) for key in self._index.staging.keys(video_id, version)
            ]
            if row is not None and row.version:
                step.forgotten += keys_of(self._index, row)
            elif deleted >= version:
                del step.deleted[video_id]

    def _gather(self, step: BatchOutcome, gathered: PartialVideo) -> bool:
        """Add the parts to those staged before. Returns True if the version becomes complete."""
        fresh = list(gathered.parts)
        all_there = self._index.staging.complete(gathered)
        video_id, version = gathered.video_id, gathered.version
        if gathered.failed:
            step.failed.append(gathered)
            self._forget(step, gathered, but_end=True)
            staged = set(self._index.staging.keys(video_id, version, version))
            step.forgotten += [(video_id, key) for key in staged - {video_key(video_id, version)}]
            return False
        if all_there:
            step.forgotten += [(video_id, log_key(part)) for part in gathered.sort_out()]
        if not all_there or not gathered.whole:
            step.staged.append((gathered, fresh))
            if all_there:
                step.mixed.append(gathered)
            return False
        older = self._index.staging.keys(video_id, gathered.version - 1)
        step.forgotten += [(video_id, key) for key in older]
        row = self._index.videos.get(video_id)
        if row is not None and row.version:
            step.forgotten += keys_of(self._index, row)
            self._tell_shared(step, gathered, row)
        step.whole.append(gathered)
        return True

    def _add_late(self, step: BatchOutcome, gathered: PartialVideo) -> None:
        """Sort segments of a version that is complete already: missing ones are added, others are
        duplicates."""
        missing = self._index.staging.missing(gathered.video_id)
        unknown = self._unknown(gathered, missing)
        for segment_id, (part, produced_at) in gathered.parts.items():
            if segment_id not in missing and segment_id not in unknown:
                self._metrics.segments_total.labels(STAGE, "duplicate").inc()
            elif isinstance(part, Embedding):
                step.late.append((part, produced_at))
            elif segment_id in unknown:
                step.missing.append(part.ref)

    def _unknown(self, gathered: PartialVideo, missing: set[str]) -> set[str]:
        """Segments of an incomplete-but-indexed video that are neither in the mirror nor recorded as
        missing. If the catalogue was lost, the record of missing segments is lost too; the log delivers
        it again."""
        row = self._index.videos.get(gathered.video_id)
        strange = gathered.parts.keys() - missing
        if row is None or row.error_code != SEGMENTS_MISSING or not strange:
            return set()
        return strange - {ref.segment_id for ref in self._index.segments_of(gathered.video_id)}

    def _tell_stale(
        self, step: BatchOutcome, gathered: PartialVideo, floor: int, deleted: int
    ) -> None:
        """Warn that a version comes too late, unless the log is only being read again."""
        video_id, version = gathered.video_id, gathered.version
        if gathered.end is None or (video_id, version) not in step.new:
            return
        self._metrics.videos_total.labels(STAGE, "stale").inc()
        why = "the video was deleted" if deleted >= version else f"version {floor} is newer"
        _log.warning(
            "version %d of %r, from %s, is dropped: %s; `storyhash ingest --again` sends "
            "it as a newer version",
            version,
            video_id,
            gathered.end[0].origin or "an older producer",
            why,
        )

    def _tell_shared(self, step: BatchOutcome, gathered: PartialVideo, row: Video) -> None:
        """Warn if another producer's video with the same id has another length."""
        end = None if gathered.end is None else gathered.end[0]
        if end is None or not end.origin or not row.root or row.root == end.origin:
            return
        if abs(row.duration_seconds - end.duration_seconds) < _SAME_LENGTH_SECONDS:
            return
        self._metrics.videos_total.labels(STAGE, "shared_id").inc()
        step.shared[gathered.video_id] = (
            f"replaced another video with the same id, from {row.uri} of producer "
            f"{row.root}; ids are paths below the ingested folder: give each producer "
            "another folder name"
        )
        _log.warning(
            "%r of producer %s %s", gathered.video_id, end.origin, step.shared[gathered.video_id]
        )

    def _forget(self, step: BatchOutcome, gathered: PartialVideo, *, but_end: bool = False) -> None:
        """Mark the messages of an obsolete version for deletion from the log. but_end: keep its end
        event."""
        keys = [log_key(part) for part, _ in gathered.parts.values()]
        if gathered.end is not None and not but_end:
            keys.append(video_key(gathered.video_id, gathered.version))
        step.forgotten += [(gathered.video_id, key) for key in keys]
        self._metrics.segments_total.labels(STAGE, "stale").inc(len(gathered.parts))


def _of(groups: dict[tuple[str, int], PartialVideo], video_id: str, version: int) -> PartialVideo:
    return groups.setdefault((video_id, version), PartialVideo(video_id, version))


def _new_versions(items: Sequence[Item], new_from: Mapping[int, int]) -> set[tuple[str, int]]:
    """The versions of videos with at least one message at or after `new_from`, an offset per
    partition."""
    found = set()
    for item in items:
        event, received = item.envelope.event, item.received
        if received.offset < new_from.get(received.partition, 0):
            continue
        if isinstance(event, (Embedding, SegmentFailed)):
            found.add((event.ref.video_id, event.ref.version))
        elif isinstance(event, VideoEnd):
            found.add((event.video_id, event.version))
    return found
