"""Applies events of the log to the index: a video becomes searchable when it is complete, once, and never
after its deletion.

The result does not depend on the order of events or on repetitions. A version is complete when its end
event has given the number of segments and that many have arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.errors import ModelMismatchError, VideoError, WireError
from common.messaging.dead_letters import reason_of
from common.messaging.events import Deletion, LogModel, SegmentFailed, VideoEnd
from common.messaging.handler import Item
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.unreadable import stand_in
from common.messaging.wire import Envelope, to_message, tombstone
from common.metrics import Metrics
from common.types import Embedding
from searcher.index_transaction import Change, CompleteVideo
from searcher.log.batch_sorter import BatchOutcome, BatchSorter
from searcher.log.event_rows import failed_row, keys_of, late_rows, settled_row
from searcher.log.thumbnails import without_thumbnails, written_thumbnails
from searcher.metrics import STAGE, observe_searchable
from searcher.storage.staged_videos import MIXED
from searcher.storage.thumbnails import ThumbnailWriter
from searcher.video_index import VideoIndex

# Error code of a video whose segments are not those that its end event counts.
_SEGMENTS_MIXED = "segments_mixed"
_LAST_VERSION = 2**63 - 1


class IndexHandler:
    """Applies batches of the log to an index. See `Handler`."""

    stage = STAGE

    def __init__(
        self,
        index: VideoIndex,
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
        """An embedding that cannot be used counts as a failed segment. Its video becomes complete without
        it."""
        event = item.envelope.event
        if not isinstance(event, Embedding):
            return []
        failed = SegmentFailed(event.ref, reason_of(error))
        return [to_message(self._log_topic, item.envelope.about(failed))]

    def unreadable(self, received: ReceivedMessage, error: WireError) -> list[Message]:
        """As `refused`, for a message that cannot be read. The result is an event in the log, so an index
        that is rebuilt from the log has the same content."""
        lost = stand_in(received, error)
        return [] if lost is None else [to_message(self._log_topic, Envelope(lost))]

    def process(self, items: Sequence[Item]) -> list[Message]:
        """Apply the events as `take` does. Returns the tombstones of all keys that can be deleted from
        the log, also those of earlier batches whose tombstones were not published."""
        self.take(items)
        staging = self._index.staging
        return [tombstone(self._log_topic, key, video_id) for video_id, key in staging.forgotten()]

    def take(self, items: Sequence[Item]) -> None:
        """Apply these events to the index. The keys that become obsolete are deleted from the log with
        the next processed batch.

        Raises ModelMismatchError for vectors of another model, WireError for an event that does not
        belong in the log, StorageError and DependencyError if a store fails.
        """
        index = self._index
        for item in items:
            _check(item, index.manifest.model_id)
        if not index.keeps_thumbnails:
            items = without_thumbnails(items)
        with index.changing:
            step = BatchSorter(index, self._metrics).sort(items)
            # First of all, because the keys are determined with the mirror, which then deletes these
            # points. Their replacements or deletions are in the log already.
            index.staging.forget(step.forgotten)
            with written_thumbnails(index, step) as pictures:
                self._take(index, step, pictures)
        self._observe(step)

    def free(self, video_id: str) -> None:
        """Remove everything about a video, whatever its version. This is for a version from the future
        that was accepted before such versions were refused: it blocks all others. The keys are deleted
        from the log with the next processed batch."""
        index = self._index
        row = index.videos.get(video_id)
        keys = [(video_id, key) for key in index.staging.keys(video_id, _LAST_VERSION)]
        if row is not None and row.version:
            keys += keys_of(index, row)
        index.staging.forget(keys)
        index.apply(Change(deleted=[(video_id, 0)]), lambda: index.staging.free(video_id))

    def _take(
        self, index: VideoIndex, step: BatchOutcome, pictures: Sequence[ThumbnailWriter]
    ) -> None:
        """Apply the outcome, and write the staged and settled state in the same transaction."""
        # If a video is complete again in a version after its deletion, it is replaced, not deleted.
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
                # It stays staged, so that its keys are known when a newer version replaces it.
                mixed = VideoError(MIXED)
                mixed.code = _SEGMENTS_MIXED
                index.mark_failed(settled_row(one), mixed)
            for ref in step.missing:
                staging.lack(ref)
            for late, _ in step.late:
                staging.found(late.ref.video_id, late.ref.segment_id)
            # Last, because a file is not taken back with the transaction.
            for writer in pictures:
                writer.finish()

        index.apply(change, record)

    def _observe(self, step: BatchOutcome) -> None:
        metrics = self._metrics
        arrived = [
            at
            for one in step.whole
            for part, at in one.parts.values()
            if isinstance(part, Embedding)
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
