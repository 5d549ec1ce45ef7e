"""Deletions, new descriptions and dropped versions: published to the log of a generation, then applied to
its index at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from common.errors import UsageError
from common.log_context import current_log_context
from common.messaging.events import Deletion, VideoEnd, segments_digest
from common.messaging.handler import Item
from common.messaging.topics import TopicNames
from common.messaging.transport import ReceivedMessage, Transport
from common.messaging.wire import Envelope, latest_version, new_trace, to_message
from common.tracing import traceparent
from common.types import Embedding
from searcher.log.consumer import IndexHandler
from searcher.log.drop_staged import dropped_end
from searcher.storage.video import Video
from searcher.video_index import VideoIndex
from storyhash.services.described import described

_log = logging.getLogger("storyhash.search")


class LogEditor:
    """Changes one index and its log together. Thread-safe."""

    def __init__(
        self, transport: Transport, topics: TopicNames, index: VideoIndex, handler: IndexHandler
    ) -> None:
        self._transport = transport
        self._topics = topics
        self._index = index
        self._handler = handler

    def delete_video(self, video_id: str) -> bool:
        """Delete it in the log, then here; False if it was unknown, but then segments in flight are
        dropped too. It also frees an id that is blocked by a version from the future. Raises
        BrokerError."""
        index = self._index
        moment = self._transport.moment(self._topics.clock)
        with index.changing:
            staged = index.staging.newest(video_id)
            settled, _ = index.staging.settled([video_id])[video_id]
            known = index.videos.get(video_id) is not None or staged > 0
            newest = max(settled, staged)
            if newest > latest_version(moment):
                # Of before such versions were refused: nothing could take its place until then.
                _log.warning("%r: removed version %d, which is later than now", video_id, newest)
                self._handler.free(video_id)
                known, newest = True, 0
            # What came since the moment was asked for goes too.
            self.delete({video_id: max(moment, newest)})
        return known

    def delete(self, versions: Mapping[str, int]) -> None:
        """Delete versions of videos up to the given ones, in the log, then here; skips what is already
        deleted. Raises BrokerError; some of the work may then be done."""
        with self._index.changing:
            settled = self._index.staging.settled(versions)
            self._tell_and_take(
                [
                    Deletion(video_id, version)
                    for video_id, version in versions.items()
                    if version > settled[video_id][1]
                ]
            )

    def describe_video(self, video_id: str, changes: Mapping[str, Any]) -> Video | None:
        """Give a video another bank, title or metadata, in the log, then here: a new version with the
        same vectors. Returns its row; None if it is unknown.

        Raises UsageError for invalid text and for a video that is not complete, BrokerError.
        """
        index = self._index
        version = self._transport.moment(self._topics.clock)
        with index.changing:
            row = index.videos.get(video_id)
            if row is None:
                return None
            changed = described(row, changes)
            if changed is None:
                return row
            embeddings = index.embeddings_of([row])[video_id]
            self._check_complete(row, len(embeddings), version)
            moved: list[Embedding | VideoEnd] = [
                replace(one, ref=replace(one.ref, bank=changed.bank, version=version))
                for one in embeddings
            ]
            digest = segments_digest(one.ref.segment_id for one in embeddings)
            moved.append(
                VideoEnd(
                    *(changed.entry, version, "complete", row.duration_seconds, len(embeddings)),
                    segments_digest=digest,
                    origin=row.root,
                )
            )
            self._tell_and_take(moved)
            return index.videos.get(video_id)

    def _check_complete(self, row: Video, embeddings: int, version: int) -> None:
        """Raises UsageError for a video whose segments are not all here, or of which another version is
        on its way: a new version would take the place of it."""
        staging, name = self._index.staging, row.video_id
        if staging.newest(name) > row.version:
            raise UsageError(
                f"{name!r}: a newer version is being indexed; change it when it is searchable"
            )
        lacking = len(staging.missing(name))
        if lacking:
            raise UsageError(
                f"{name!r} lacks {lacking} segments; replay their dead letters first (`storyhash "
                "dead-letters replay`), or send the video again"
            )
        if row.state != "ready" or embeddings != row.segments or row.version >= version:
            raise UsageError(
                f"{name!r} is not complete; send it again with `storyhash ingest`, with the description "
                "that it should have"
            )

    def drop_staged(self, video_id: str, version: int | None) -> list[int]:
        """Drop incomplete versions of a video, in the log, then here; returns them. Raises BrokerError;
        some of the work may then be done."""
        with self._index.changing:
            waiting = self._index.staging.staged_versions(video_id)
            given_up = [one for one in waiting if version in (None, one)]
            self._tell_and_take([dropped_end(video_id, one) for one in given_up])
        return given_up

    def _tell_and_take(self, events: Sequence[Embedding | Deletion | VideoEnd]) -> None:
        """Publish events to the log, then take them in at once; `index.changing` is held."""
        if not events:
            return
        here = ReceivedMessage(self._topics.embeddings, -1, -1, b"", b"")
        # The trace of a change by HTTP is its request.
        trace_id = current_log_context().get("request_id") or new_trace()
        items = [
            Item(Envelope(event, trace_id=trace_id, traceparent=traceparent()), here)
            for event in events
        ]
        publisher = self._transport.publisher()
        try:
            for item in items:
                publisher.publish(to_message(self._topics.embeddings, item.envelope))
            publisher.flush()
            # The consumer reads these events again from the log, which changes nothing.
            self._handler.take(items)
        finally:
            publisher.close()
