"""Indexes a catalogue in one process: decoders, embedder and index are joined by bounded queues.

`VideosInProgress` begins videos, decoders send their segments, `SegmentEmbedding` embeds them, and
`VideoCommit` writes a video when its last segment is embedded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from common.errors import DependencyError
from common.metrics import Metrics
from common.runtime_tuning import usable_cores
from common.settings import ThumbnailSettings
from common.work_in_progress import WorkInProgress
from embedder.metrics import observe_encoders
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from ingest.metrics import STAGE as INGEST
from ingest.metrics import observe_decoded
from searcher.metrics import watch_vectors
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.index_report import IndexReport, VideoOutcome
from storyhash.pipeline.second_writer import SecondWriter
from storyhash.pipeline.segment_embedding import SegmentEmbedding
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.pipeline.video_commit import VideoCommit
from storyhash.pipeline.videos_in_progress import VideoInProgress, VideosInProgress

OnVideo = Callable[[VideoOutcome], None]


class Indexer:
    """Decodes, embeds and indexes several videos at once.

    A video becomes searchable as a unit, after its last segment was embedded. If a run stops early,
    complete videos stay indexed and the others are processed again in the next run.
    """

    def __init__(
        self,
        index: VideoIndex,
        stage: EmbedderStage,
        pool: DecoderPool,
        metrics: Metrics,
        in_hand: WorkInProgress | None = None,
        thumbnails: Thumbnails | None = None,
        second: SecondWriter | None = None,
    ) -> None:
        """in_hand: where the videos in progress are recorded (default: nowhere). The caller closes it.
        thumbnails: those of the videos in progress (default: none are kept). second: writes into the
        second index; default: there is none."""
        self._stage = stage
        self._second_stage = None if second is None else second.stage
        self._pool = pool
        self._metrics = metrics
        self._thumbnails = thumbnails or Thumbnails(index.thumbnails, ThumbnailSettings())
        self._videos = VideosInProgress(
            in_hand or WorkInProgress(), self._thumbnails, second_profile=second is not None
        )
        self._commit = VideoCommit(index, stage, metrics, self._thumbnails, second)
        self._threads = max(1, usable_cores() // 2)
        observe_encoders(stage, metrics)
        watch_vectors(metrics, lambda: index)

    def index_all(self, work: Sequence[WorkItem], on_video: OnVideo) -> IndexReport:
        """Index every item. `on_video` is called with the outcome of each video."""
        report = IndexReport()
        started = time.monotonic()

        def tell(outcome: VideoOutcome) -> None:
            report.count(outcome)
            on_video(outcome)

        self.run(work, tell)
        report.elapsed_seconds = time.monotonic() - started
        report.stage_seconds = dict(self._stage.clock.seconds)
        return report

    def run(
        self,
        work: Iterable[WorkItem | None],
        on_video: OnVideo,
        *,
        wanted: Callable[[WorkItem], bool] = lambda item: True,
        on_turn: Callable[[], None] = lambda: None,
        stopping: threading.Event | None = None,
    ) -> None:
        """Index the items of `work`, until it ends. It may give None, see `DecoderPool.run`, and must not
        give a video again before `on_video` was called for it.

        wanted: checked while the index cannot change, just before a video becomes searchable. If it
        returns False, the video is dropped and the index is not changed. on_turn: called several times a
        second. stopping: once it is set, videos with segments that are not embedded are left as they
        were.

        Raises the errors that concern every video: DependencyError and similar ones, CorruptIndexError.
        If `on_video` raises a DependencyError, the video is left to the next process.
        """
        stopping = stopping or threading.Event()
        with (
            self._videos.recorded(),
            ThreadPoolExecutor(self._threads, thread_name_prefix="embed") as executor,
        ):
            embedding = self._embedding(executor)

            def end(video: VideoInProgress, event: VideoDone | VideoFailed | None = None) -> None:
                outcome = self._commit.end(video, event, wanted)
                try:
                    on_video(outcome)
                except DependencyError:
                    self._videos.leave(video)
                    raise
                self._videos.end(video, dropped=outcome.dropped)

            def end_videos(*, everything: bool = False) -> None:
                for video in self._videos.set_aside():
                    end(video)
                for event, video in embedding.ended(everything=everything):
                    end(video, event)

            def idle() -> None:
                on_turn()
                end_videos(everything=True)

            with closing(self._pool.run(self._videos.begin(work), stopping, idle)) as events:
                for event in events:
                    on_turn()
                    self._observe(event)
                    video = self._videos[event.entry.video_id]
                    if isinstance(event, SegmentReady) and not wanted(video.item):
                        video.drop()
                    embedding.put(event, video)
                    end_videos()
                    if stopping.is_set():
                        break
            if stopping.is_set():
                self._videos.interrupt()
                executor.shutdown(cancel_futures=True)
            else:
                end_videos(everything=True)

    def _embedding(self, executor: ThreadPoolExecutor) -> SegmentEmbedding:
        return SegmentEmbedding(
            *(self._stage, self._second_stage, self._thumbnails, self._metrics),
            *(executor, self._threads),
        )

    def _observe(self, event: VideoEvent) -> None:
        """Count what a decoder did."""
        if isinstance(event, (SegmentReady, VideoDone)):
            observe_decoded(self._metrics, event)
        if not isinstance(event, SegmentReady):
            outcome = "failed" if isinstance(event, VideoFailed) else "done"
            self._metrics.videos_total.labels(INGEST, outcome).inc()
