"""Writes a video when its last segment is embedded, in this order.

1. Under the lock of the index, so that no deletion comes in between: if it is still wanted, its vectors
   and then its thumbnails, or its error.
2. The second index, if all segments were embedded for it. This only saves work, so it comes after the
   first one, and its errors are only logged.
3. The caller reports the outcome, and then removes the video from the record of work in progress: what
   follows from the outcome, such as matching, may crash the process too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from common.errors import StoryHashError, VideoError
from common.metrics import Metrics
from embedder.stage import EmbedderStage
from ingest.decoder_pool import VideoDone, VideoFailed
from searcher.metrics import STAGE as SEARCH
from searcher.metrics import observe_searchable
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.index_report import VideoOutcome
from storyhash.pipeline.second_writer import SecondWriter
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.pipeline.videos_in_progress import State, VideoInProgress
from storyhash.video_errors import as_video_error


class VideoCommit:
    """Writes what became of a video."""

    def __init__(
        self,
        index: VideoIndex,
        stage: EmbedderStage,
        metrics: Metrics,
        thumbnails: Thumbnails,
        second: SecondWriter | None,
    ) -> None:
        self._index = index
        self._stage = stage
        self._metrics = metrics
        self._thumbnails = thumbnails
        self._second = second

    def end(
        self,
        video: VideoInProgress,
        event: VideoDone | VideoFailed | None,
        wanted: Callable[[WorkItem], bool],
    ) -> VideoOutcome:
        """Steps 1 and 2. event: the last one of its decoder; None if it was not decoded."""
        if isinstance(event, VideoFailed):
            video.fail(event.error)
        with self._index.changing:
            if video.state is State.DROPPED or not wanted(video.item):
                outcome = VideoOutcome(video.item, dropped=True)
            elif isinstance(event, VideoDone) and video.state is State.DECODING:
                outcome = self._try_to_store(event, video)
            else:
                outcome = self._fail(video)
            self._thumbnails.drop(video.item.entry.video_id, video.item.version)
        return self._with_second(outcome, video)

    def _try_to_store(self, done: VideoDone, video: VideoInProgress) -> VideoOutcome:
        """Store a video. After an unexpected error, only this video fails."""
        try:
            return self._store(done, video)
        except (StoryHashError, MemoryError):
            raise
        except Exception as error:
            video.fail(as_video_error(error))
            return self._fail(video)

    def _store(self, done: VideoDone, video: VideoInProgress) -> VideoOutcome:
        """Make a video searchable."""
        item = video.item
        with self._stage.clock.measure("index"), self._metrics.time_stage(SEARCH):
            # Before: after a crash in between there are none rather than those of another file.
            self._index.thumbnails.delete([item.entry.video_id])
            self._index.replace_video(item.row(done.duration_seconds), video.embeddings)
            self._thumbnails.finish(item.entry.video_id, item.version)
        self._stage.clock.add(done.stage_seconds)
        self._metrics.videos_total.labels(SEARCH, "done").inc()
        observe_searchable(self._metrics, video.produced_at)
        return VideoOutcome(
            item,
            segments=len(video.embeddings),
            duration_seconds=done.duration_seconds,
            damaged=done.damaged,
            notes=done.notes,
        )

    def _fail(self, video: VideoInProgress) -> VideoOutcome:
        """Record the error of a video in the index."""
        error = video.error or VideoError("the video ended before its last segment")
        self._index.mark_failed(video.item.row(), error)
        self._metrics.videos_total.labels(SEARCH, "failed").inc()
        return VideoOutcome(video.item, error)

    def _with_second(self, outcome: VideoOutcome, video: VideoInProgress) -> VideoOutcome:
        """The outcome after the video was written into the second index too, if it has all of it."""
        is_whole = len(video.second) == outcome.segments
        if self._second is None or not video.for_both or not outcome.is_searchable or not is_whole:
            return outcome
        item = video.item
        second = self._second.write(item.entry.video_id, item.version, video.second)
        if second is None:
            return outcome
        second = replace(second, damaged=outcome.damaged, notes=outcome.notes)
        return replace(outcome, second=second)
