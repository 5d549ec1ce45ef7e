"""The log's events into the index: a video becomes searchable whole, once, and never after its deletion.

Nothing here depends on the order of events, nor on how often each comes: a version counts as whole when
its end has told how many segments it has and so many are there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from common.errors import ModelMismatchError, VideoError, WireError
from common.messaging.dead_letters import reason_of
from common.messaging.events import Deletion, LogModel, SegmentFailed, VideoEnd
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.unreadable import stand_in
from common.messaging.wire import (
    Envelope,
    log_key,
    to_message,
    tombstone,
    video_key,
)
from common.messaging.worker import Item
from common.metrics import Metrics
from common.types import Embedding, SegmentRef
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from searcher.metrics import STAGE, observe_searchable
from searcher.storage.event_rows import (
    SEGMENTS_MISSING,
    failed_row,
    keys_of,
    late_rows,
    settled_row,
)
from searcher.storage.staged_videos import MIXED, PartialVideo
from searcher.storage.video_store import Video

# Of one whose segments are not those that its end counts.
_SEGMENTS_MIXED = "segments_mixed"
# Two recordings are rarely of one length to a hundredth of a second; a copy of one file is.
_SAME_LENGTH_SECONDS = 0.01
_LAST_VERSION = 2**63 - 1
_log = logging.getLogger("storyhash.search")


@dataclass(slots=True)
class _Step:
    """What one batch comes to."""

    whole: list[PartialVideo] = field(default_factory=list)
    failed: list[PartialVideo] = field(default_factory=list)
    mixed: list[PartialVideo] = field(default_factory=list)
    staged: list[tuple[PartialVideo, list[str]]] = field(default_factory=list)
    late: list[tuple[Embedding, float]] = field(default_factory=list)
    missing: list[SegmentRef] = field(default_factory=list)
    deleted: dict[str, int] = field(default_factory=dict)
    forgotten: list[tuple[str, bytes]] = field(default_factory=list)
    trace_ids: dict[str, str] = field(default_factory=dict)
    # Versions of which something came that no index of this log had taken in before.
    new: set[tuple[str, int]] = field(default_factory=set)
    shared: dict[str, str] = field(default_factory=dict)


class IndexHandler:
    """Takes batches of the log into an index."""

    stage = STAGE

    def __init__(
        self,
        index: LocalIndex,
        log_topic: str,
        *,
        batch_messages: int,
        match_new_videos: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._index = index
        self._log_topic = log_topic
        self._batch_messages = batch_messages
        self._match_new_videos = match_new_videos
        self._metrics = metrics

    @property
    def batch_messages(self) -> int:
        return self._batch_messages

    def refused(self, item: Item, error: Exception) -> list[Message]:
        """An embedding that cannot be used is a segment that failed; its video is whole without it."""
        event = item.envelope.event
        if not isinstance(event, Embedding):
            return []
        failed = SegmentFailed(event.ref, reason_of(error))
        return [to_message(self._log_topic, item.envelope.about(failed))]

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        """Likewise, for what cannot even be read. What is told is an event of the log, so an index
        that is rebuilt from the log comes to the same."""
        lost = stand_in(received, error)
        return [] if lost is None else [to_message(self._log_topic, Envelope(lost))]

    def process(self, items: Sequence[Item]) -> list[Message]:
        """As `take`; gives the tombstones of all that the log has not been told yet to forget, also of
        batches before whose tombstones were not published."""
        self.take(items)
        staging = self._index.staging
        return [tombstone(self._log_topic, key, video_id) for video_id, key in staging.forgotten()]

    def take(self, items: Sequence[Item]) -> None:
        """Bring the index up to these events. What they leave behind in the log is forgotten there with
        the next batch that is processed.

        Raises ModelMismatchError for another model's vectors, WireError for an event that has no place
        in the log, StorageError and DependencyError when a store refuses.
        """
        index = self._index
        for item in items:
            _check(item, index.manifest.model_id)
        with index.changing:
            step = self._sort(index, items)
            # First of all: the mirror, which tells what they are, forgets them too. What takes their
            # place in the log, or deletes them there, is in it already.
            index.staging.forget(step.forgotten)
            self._take(index, step)
        self._observe(index, step)

    def _sort(self, index: LocalIndex, items: Sequence[Item]) -> _Step:
        """Which videos become whole, fail, wait or are gone."""
        step = _Step()
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
        step.new = _new_versions(items, index.staging.new_from())
        settled = index.staging.settled({video_id for video_id, _ in groups} | step.deleted.keys())
        self._delete(index, step, settled)
        # The newest version first: an older one that is in the same batch is past already.
        for (video_id, version), gathered in sorted(groups.items(), reverse=True):
            floor, deleted = settled[video_id]
            if version < floor or version <= deleted:
                self._tell_stale(step, gathered, floor, deleted)
                self._forget(step, gathered)
            elif version == floor:
                self._add_late(index, step, gathered)
            elif self._gather(index, step, gathered):
                settled[video_id] = version, deleted
        return step

    def _delete(self, index: LocalIndex, step: _Step, settled: dict[str, tuple[int, int]]) -> None:
        for video_id, version in list(step.deleted.items()):
            floor, deleted = settled[video_id]
            row = index.videos.get(video_id)
            if row is not None and row.version > version:
                # Ingested anew since; the deletion was of what came before.
                del step.deleted[video_id]
                continue
            settled[video_id] = max(floor, version), max(deleted, version)
            step.forgotten += [(video_id, key) for key in index.staging.keys(video_id, version)]
            if row is not None and row.version:
                step.forgotten += keys_of(index, row)
            elif deleted >= version:
                del step.deleted[video_id]

    def _gather(self, index: LocalIndex, step: _Step, gathered: PartialVideo) -> bool:
        """True when this settles the version."""
        fresh = list(gathered.parts)
        all_there = index.staging.complete(gathered)
        video_id, version = gathered.video_id, gathered.version
        if gathered.failed:
            step.failed.append(gathered)
            self._forget(step, gathered, but_end=True)
            staged = set(index.staging.keys(video_id, version, version))
            step.forgotten += [(video_id, key) for key in staged - {video_key(video_id, version)}]
            return False
        if all_there:
            step.forgotten += [(video_id, log_key(part)) for part in gathered.sort_out()]
        if not all_there or not gathered.whole:
            step.staged.append((gathered, fresh))
            if all_there:
                step.mixed.append(gathered)
            return False
        older = index.staging.keys(video_id, gathered.version - 1)
        step.forgotten += [(video_id, key) for key in older]
        row = index.videos.get(video_id)
        if row is not None and row.version:
            step.forgotten += keys_of(index, row)
            self._tell_shared(step, gathered, row)
        step.whole.append(gathered)
        return True

    def _add_late(self, index: LocalIndex, step: _Step, gathered: PartialVideo) -> None:
        """What comes of a version that is whole already: segments it lacked join it."""
        missing = index.staging.missing(gathered.video_id)
        unknown = self._unknown(index, gathered, missing)
        for segment_id, (part, produced_at) in gathered.parts.items():
            if segment_id not in missing and segment_id not in unknown:
                self._metrics.segments_total.labels(self.stage, "duplicate").inc()
            elif isinstance(part, Embedding):
                step.late.append((part, produced_at))
            elif segment_id in unknown:
                step.missing.append(part.ref)

    def _unknown(self, index: LocalIndex, gathered: PartialVideo, missing: set[str]) -> set[str]:
        """Segments of a video that lacks some that are neither there nor known to be missing: which ones
        it lacks is forgotten where its catalogue was lost, and is told by the log again."""
        row = index.videos.get(gathered.video_id)
        strange = gathered.parts.keys() - missing
        if row is None or row.error_code != SEGMENTS_MISSING or not strange:
            return set()
        return strange - {ref.segment_id for ref in index.segments_of(gathered.video_id)}

    def free(self, video_id: str) -> None:
        """Forget what is known of a video, whatever its version: one from the future that came before
        such versions were refused stands in the way of every other. The log is told with the next batch
        that is processed."""
        index = self._index
        row = index.videos.get(video_id)
        keys = [(video_id, key) for key in index.staging.keys(video_id, _LAST_VERSION)]
        if row is not None and row.version:
            keys += keys_of(index, row)
        index.staging.forget(keys)
        index.apply(Change(deleted=[(video_id, 0)]), lambda: index.staging.free(video_id))

    def _tell_stale(self, step: _Step, gathered: PartialVideo, floor: int, deleted: int) -> None:
        """Say that a version comes too late, unless the log is only read again."""
        video_id, version = gathered.video_id, gathered.version
        if gathered.end is None or (video_id, version) not in step.new:
            return
        self._metrics.videos_total.labels(self.stage, "stale").inc()
        why = "the video was deleted" if deleted >= version else f"version {floor} is newer"
        _log.warning(
            "version %d of %r, from %s, is dropped: %s; `storyhash ingest --again` sends "
            "it as a newer version",
            version,
            video_id,
            gathered.end[0].origin or "an older producer",
            why,
        )

    def _tell_shared(self, step: _Step, gathered: PartialVideo, row: Video) -> None:
        """Say when another producer's video of another length has the same id."""
        end = None if gathered.end is None else gathered.end[0]
        if end is None or not end.origin or not row.root or row.root == end.origin:
            return
        if abs(row.duration_seconds - end.duration_seconds) < _SAME_LENGTH_SECONDS:
            return
        self._metrics.videos_total.labels(self.stage, "shared_id").inc()
        step.shared[gathered.video_id] = (
            f"replaced another video with the same id, from {row.uri} of producer "
            f"{row.root}; ids are paths below the ingested folder: give each producer "
            "another folder name"
        )
        _log.warning(
            "%r of producer %s %s",
            gathered.video_id,
            end.origin,
            step.shared[gathered.video_id],
        )

    def _forget(self, step: _Step, gathered: PartialVideo, *, but_end: bool = False) -> None:
        """Make the log forget what came too late."""
        keys = [log_key(part) for part, _ in gathered.parts.values()]
        if gathered.end is not None and not but_end:
            keys.append(video_key(gathered.video_id, gathered.version))
        step.forgotten += [(gathered.video_id, key) for key in keys]
        self._metrics.segments_total.labels(self.stage, "stale").inc(len(gathered.parts))

    def _take(self, index: LocalIndex, step: _Step) -> None:
        """Make the change, and note with it what is staged and settled."""
        # A video that is whole again in a version after its deletion is replaced, not deleted.
        again = {one.video_id for one in step.whole}
        gone = [(name, version) for name, version in step.deleted.items() if name not in again]
        change = Change(
            whole=[
                CompleteVideo(settled_row(one, step.shared.get(one.video_id, "")), one.embeddings)
                for one in step.whole
            ],
            late=late_rows(index, [one for one, _ in step.late], step.missing),
            deleted=gone,
        )

        matched = self._match_new_videos()

        def record() -> None:
            staging = index.staging
            for video_id, version in step.deleted.items():
                staging.settle(video_id, version)
            for one in step.whole:
                staging.settle(one.video_id, one.version, one.missing)
                if matched and (one.video_id, one.version) in step.new:
                    trace_id = step.trace_ids.get(one.video_id, "")
                    staging.want_match(one.video_id, one.version, trace_id)
            for one in step.failed:
                staging.fail(one)
                end = one.end[0] if one.end else None
                if end is not None:
                    error = VideoError(end.error_message)
                    error.code = end.error_code
                    index.mark_failed(failed_row(index, one), error)
            for gathered, fresh in step.staged:
                staging.stage(gathered, fresh)
            for one in step.mixed:
                # It stays staged, so that its keys are known when a newer version takes its place.
                mixed = VideoError(MIXED)
                mixed.code = _SEGMENTS_MIXED
                index.mark_failed(settled_row(one), mixed)
            for ref in step.missing:
                staging.lack(ref)
            for late, _ in step.late:
                staging.found(late.ref.video_id, late.ref.segment_id)

        index.apply(change, record)

    def _observe(self, index: LocalIndex, step: _Step) -> None:
        metrics = self._metrics
        arrived = [
            at for one in step.whole for part, at in one.parts.values() if _is_embedding(part)
        ]
        arrived += [at for _, at in step.late]
        observe_searchable(metrics, arrived)
        missing = sum(len(one.missing) for one in step.whole)
        metrics.segments_total.labels(self.stage, "failed").inc(missing)
        for outcome, count in {
            "done": len(step.whole),
            "failed": len(step.failed) + len(step.mixed),
            "deleted": len(step.deleted),
        }.items():
            metrics.videos_total.labels(self.stage, outcome).inc(count)


def _of(groups: dict[tuple[str, int], PartialVideo], video_id: str, version: int) -> PartialVideo:
    return groups.setdefault((video_id, version), PartialVideo(video_id, version))


def _new_versions(items: Sequence[Item], new_from: Mapping[int, int]) -> set[tuple[str, int]]:
    """The versions of videos of which some item is new."""
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


def _check(item: Item, model_id: str) -> None:
    event = item.envelope.event
    if isinstance(event, (Embedding, LogModel)) and event.model_id != model_id:
        raise ModelMismatchError(
            f"the index has vectors of {model_id}, but this one is of {event.model_id}; "
            "run its embedder with the index's profile, or for another generation "
            "(STORYHASH_KAFKA__GENERATION)"
        )
    if not isinstance(event, (Embedding, LogModel, SegmentFailed, VideoEnd, Deletion)):
        raise WireError(f"{type(event).__name__} does not belong in the log of embeddings")


def _is_embedding(part: Embedding | SegmentFailed) -> bool:
    return isinstance(part, Embedding)
