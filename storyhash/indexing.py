"""Catalogue ingestion in one process: decoders, embedder and index joined by bounded queues."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from common.errors import VideoError
from common.process import usable_cores
from common.types import Embedding
from embedder.stage import EmbedderStage
from ingest.pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from searcher.index import LocalIndex
from storyhash.batching import SegmentBatcher
from storyhash.catalogue import WorkItem

# Segments waiting for or in the embedder, for each of its threads: enough to keep it busy, few
# enough that memory stays flat.
_AHEAD = 4
_SNAPSHOT_SECONDS = 120.0

OnVideo = Callable[[WorkItem, VideoError | None], None]


@dataclass(slots=True)
class IndexReport:
    """What a run did. Seconds are of video; `elapsed_seconds` is of the clock.

    `stage_seconds` adds up what each step took over all processes and threads.
    """

    indexed: int = 0
    segments: int = 0
    video_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    failed: list[tuple[WorkItem, VideoError]] = field(default_factory=list)
    damaged: list[tuple[WorkItem, str]] = field(default_factory=list)
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @property
    def realtime_factor(self) -> float:
        """Seconds of video indexed in one second of the clock."""
        return self.video_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0


class Indexer:
    """Runs videos through decode, embed and index, several at once.

    A video becomes visible whole, when its last segment is embedded; a run stopped at any point
    leaves whole videos behind and does the others again.
    """

    def __init__(self, index: LocalIndex, stage: EmbedderStage, pool: DecoderPool) -> None:
        self._index = index
        self._stage = stage
        self._pool = pool
        self._threads = max(1, usable_cores() // 2)
        self._embeddings: dict[str, list[Embedding]] = {}
        self._broken: dict[str, VideoError] = {}

    def run(self, work: Sequence[WorkItem], on_video: OnVideo) -> IndexReport:
        """Index every item; `on_video` is told of each as it ends, with the error if it failed."""
        report = IndexReport()
        items = {item.entry.video_id: item for item in work}
        started = last_snapshot = time.monotonic()
        waiting: deque[tuple[VideoEvent, Future[Embedding] | None]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="embed") as executor:
            batcher = SegmentBatcher(self._stage, executor)

            def settle(limit: int) -> None:
                while len(waiting) > limit:
                    event, future = waiting.popleft()
                    item = items[event.entry.video_id]
                    if future is None:
                        self._end(event, item, report, on_video)
                    else:
                        self._collect(item.entry.video_id, batcher, future)

            for event in self._pool.run([(item.entry, item.version) for item in work]):
                future = None
                if isinstance(event, SegmentReady):
                    future = batcher.submit(event.segment)
                waiting.append((event, future))
                settle(self._threads * _AHEAD * batcher.size)
                if time.monotonic() - last_snapshot > _SNAPSHOT_SECONDS:
                    self._index.save_snapshot()
                    last_snapshot = time.monotonic()
            settle(0)
        report.elapsed_seconds = time.monotonic() - started
        report.stage_seconds = dict(self._stage.clock.seconds)
        return report

    def _end(
        self, event: VideoEvent, item: WorkItem, report: IndexReport, on_video: OnVideo
    ) -> None:
        """Take in the end of one video; ends come in the order the decoders told them."""
        video_id = item.entry.video_id
        embeddings = self._embeddings.pop(video_id, [])
        error = self._broken.pop(video_id, None)
        if isinstance(event, VideoFailed):
            error = event.error
        if error is not None:
            self._index.mark_failed(item.row(), error)
            report.failed.append((item, error))
        elif isinstance(event, VideoDone):
            self._store(event, item, embeddings, report)
        on_video(item, error)

    def _collect(self, video_id: str, batcher: SegmentBatcher, future: Future[Embedding]) -> None:
        try:
            self._embeddings.setdefault(video_id, []).append(batcher.result(future))
        except VideoError as error:
            self._broken[video_id] = error

    def _store(
        self, done: VideoDone, item: WorkItem, embeddings: Sequence[Embedding], report: IndexReport
    ) -> None:
        with self._stage.clock.measure("index"):
            self._index.replace_video(item.row(done.duration_seconds), embeddings)
        self._stage.clock.add(done.stage_seconds)
        report.indexed += 1
        report.segments += len(embeddings)
        report.video_seconds += done.duration_seconds
        if done.damaged:
            report.damaged.append((item, done.damaged))
