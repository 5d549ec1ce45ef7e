"""Embeds the segments that decoders send, in batches, for one profile or for two."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future

from common.metrics import Metrics
from embedder.stage import EmbedderStage
from ingest.decoder_pool import SegmentReady, VideoDone, VideoEvent, VideoFailed
from storyhash.pipeline.batching import EMBED, MeteredStage, SegmentBatcher, Stage
from storyhash.pipeline.paired_stage import EmbeddedSegment, PairedStage, SingleStage
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.pipeline.videos_in_progress import State, VideoInProgress
from storyhash.video_errors import SHARED, as_video_error

# Batches per thread that wait for the embedder or are in it: enough to keep it busy, few enough to bound
# memory.
_AHEAD = 4


class SegmentEmbedding:
    """Takes the events of decoders, and gives those that end a video back in their order, once all
    segments before them are embedded. Use it from one thread."""

    def __init__(
        self,
        stage: EmbedderStage,
        second: EmbedderStage | None,
        thumbnails: Thumbnails,
        metrics: Metrics,
        executor: Executor,
        threads: int,
    ) -> None:
        """second: of the second profile, None if there is none. threads: number of the executor's."""

        def batcher(stage: Stage[EmbeddedSegment]) -> SegmentBatcher[EmbeddedSegment]:
            return SegmentBatcher(MeteredStage(stage, metrics), executor)

        # By whether they embed for the second index too.
        self._batchers = {False: batcher(SingleStage(stage))}
        if second is not None:
            self._batchers[True] = batcher(PairedStage(stage, second))
        self._thumbnails = thumbnails
        self._metrics = metrics
        self._events: deque[tuple[VideoEvent, VideoInProgress, Future[EmbeddedSegment] | None]] = (
            deque()
        )
        self._most = threads * _AHEAD * max(one.size for one in self._batchers.values())

    def put(self, event: VideoEvent, video: VideoInProgress) -> None:
        """Take an event. Its segment is embedded, unless its video failed or was dropped before."""
        future = None
        if isinstance(event, SegmentReady) and video.state is State.DECODING:
            video.produced_at.append(time.time())
            future = self._batchers[video.for_both].submit(event.segment)
        self._events.append((event, video, future))

    def ended(
        self, *, everything: bool = False
    ) -> Iterator[tuple[VideoDone | VideoFailed, VideoInProgress]]:
        """The events that end a video, with the video. It has the embeddings of all its segments, or an
        error. everything: wait for all events; otherwise only while too many wait.

        Raises the errors of the embedder that concern every video.
        """
        most = 0 if everything else self._most
        while self._events and (len(self._events) > most or _is_done(self._events[0][2])):
            event, video, future = self._events.popleft()
            if future is not None:
                self._collect(video, future)
            if not isinstance(event, SegmentReady):
                yield event, video

    def _collect(self, video: VideoInProgress, future: Future[EmbeddedSegment]) -> None:
        """Add the embedding of a segment to its video, or its error."""
        outcome = "done"
        try:
            embedded = self._batchers[video.for_both].result(future)
            video.embeddings.append(self._thumbnails.take(embedded.embedding))
            if embedded.second is not None:
                video.second.append(embedded.second)
        except SHARED:
            raise
        except Exception as error:
            outcome = "failed"
            video.fail(as_video_error(error))
        self._metrics.segments_total.labels(EMBED, outcome).inc()


def _is_done(future: Future[EmbeddedSegment] | None) -> bool:
    return future is None or future.done()
