"""Indexes a catalogue in one process: decoders, embedder and index are joined by bounded queues."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from common.errors import SetAsideError, StoryHashError, VideoError
from common.metrics import Metrics
from common.runtime_tuning import usable_cores
from common.settings import ThumbnailSettings
from common.types import CatalogEntry, Embedding
from common.work_in_progress import WorkInProgress
from embedder.metrics import observe_encoders
from embedder.stage import EmbedderStage
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoEvent, VideoFailed
from ingest.metrics import STAGE as INGEST
from ingest.metrics import observe_decoded
from searcher.local_index import LocalIndex
from searcher.metrics import STAGE as SEARCH
from searcher.metrics import observe_searchable, watch_vectors
from storyhash.pipeline.batching import EMBED, MeteredStage, SegmentBatcher, Stage
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.index_report import IndexReport, VideoOutcome
from storyhash.pipeline.paired_stage import EmbeddedSegment, PairedStage, SingleStage
from storyhash.pipeline.second_writer import SecondWriter
from storyhash.pipeline.thumbnails import Thumbnails
from storyhash.video_errors import SHARED, as_video_error

# Batches per thread that wait for the embedder or are in it: enough to keep it busy, few enough to bound
# memory.
_AHEAD = 4

_SET_ASIDE = (
    "StoryHash crashed twice while it processed this video alone; to try again, post it "
    "again, or delete it (storyhash videos delete) and index it again"
)
OnVideo = Callable[[VideoOutcome], None]
_Waiting = tuple[VideoEvent, "Future[EmbeddedSegment] | None"]
_Batcher = SegmentBatcher[EmbeddedSegment]


@dataclass(slots=True)
class _PendingVideo:
    """A video whose segments are still arriving. for_both: whether it is embedded for the second index
    too. second: the embeddings for it. produced_at: time of each segment, in Unix seconds. dropped:
    whether it lacks a segment that came while it was not wanted."""

    item: WorkItem
    for_both: bool = False
    dropped: bool = False
    embeddings: list[Embedding] = field(default_factory=list)
    second: list[Embedding] = field(default_factory=list)
    produced_at: list[float] = field(default_factory=list)
    error: VideoError | None = None


class Indexer:
    """Decodes, embeds and indexes several videos at once.

    A video becomes searchable as a unit, after its last segment was embedded. If a run stops early,
    complete videos stay indexed and the others are processed again in the next run.
    """

    def __init__(
        self,
        index: LocalIndex,
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
        self._index = index
        self._stage = stage
        self._pool = pool
        self._metrics = metrics
        self._in_hand = in_hand or WorkInProgress()
        self._thumbnails = thumbnails or Thumbnails(index.thumbnails, ThumbnailSettings())
        self._second = second
        self._threads = max(1, usable_cores() // 2)
        self._under_way: dict[str, _PendingVideo] = {}
        self._set_aside: deque[WorkItem] = deque()
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
        """
        stopping = stopping or threading.Event()
        self._under_way.clear()
        self._set_aside.clear()
        unsettled: deque[_Waiting] = deque()
        # If the run ends, even with an error, the process has not crashed: these videos are not suspects.
        with (
            self._noted(),
            ThreadPoolExecutor(self._threads, thread_name_prefix="embed") as executor,
        ):
            batchers = self._batchers(executor)
            at_once = max(batcher.size for batcher in batchers.values())

            def settle(limit: int) -> None:
                self._settle_set_aside(on_video, wanted)
                while unsettled and (len(unsettled) > limit or _is_done(unsettled[0])):
                    self._settle(*unsettled.popleft(), batchers, on_video, wanted)

            def idle() -> None:
                on_turn()
                settle(0)

            events = self._pool.run(self._jobs(work), stopping, idle)
            try:
                for event in events:
                    on_turn()
                    unsettled.append((event, self._submit(event, batchers, wanted)))
                    settle(self._threads * _AHEAD * at_once)
                    if stopping.is_set():
                        break
            finally:
                events.close()
            if stopping.is_set():
                self._set_aside.clear()
                executor.shutdown(cancel_futures=True)
            else:
                settle(0)

    def _batchers(self, executor: ThreadPoolExecutor) -> dict[bool, _Batcher]:
        """By whether they embed for the second index too."""

        def batcher(stage: Stage[EmbeddedSegment]) -> _Batcher:
            return SegmentBatcher(MeteredStage(stage, self._metrics), executor)

        batchers = {False: batcher(SingleStage(self._stage))}
        if self._second is not None:
            batchers[True] = batcher(PairedStage(self._stage, self._second.stage))
        return batchers

    def _jobs(self, work: Iterable[WorkItem | None]) -> Iterator[tuple[CatalogEntry, int] | None]:
        for item in work:
            if item is None:
                yield None
                continue
            name = _name(item)
            if self._in_hand.is_set_aside(name):
                self._set_aside.append(item)
                continue
            suspect = self._in_hand.is_suspect(name)
            while suspect and self._under_way:
                yield None
            # If it was the second profile that crashed the process, the first one gets it all the same.
            for_both = self._second is not None and not suspect
            self._under_way[item.entry.video_id] = _PendingVideo(item, for_both)
            self._in_hand.take(name)
            self._thumbnails.begin(item.entry.video_id, item.version)
            yield item.entry, item.version
            while suspect and item.entry.video_id in self._under_way:
                yield None

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._in_hand.release()
            self._thumbnails.drop_all()

    def _settle_set_aside(self, on_video: OnVideo, wanted: Callable[[WorkItem], bool]) -> None:
        """Fail videos that crashed the process twice, without opening them again."""
        while self._set_aside:
            video = _PendingVideo(self._set_aside.popleft(), error=SetAsideError(_SET_ASIDE))
            self._end(None, video, on_video, wanted)

    def _submit(
        self,
        event: VideoEvent,
        batchers: Mapping[bool, _Batcher],
        wanted: Callable[[WorkItem], bool],
    ) -> Future[EmbeddedSegment] | None:
        """Submit a segment for embedding. Returns None if the event has no segment, or its video failed
        or is not wanted any more."""
        if isinstance(event, (SegmentReady, VideoDone)):
            observe_decoded(self._metrics, event)
        if not isinstance(event, SegmentReady):
            outcome = "failed" if isinstance(event, VideoFailed) else "done"
            self._metrics.videos_total.labels(INGEST, outcome).inc()
            return None
        video = self._under_way[event.entry.video_id]
        video.dropped = video.dropped or not wanted(video.item)
        if video.error is not None or video.dropped:
            return None
        video.produced_at.append(time.time())
        return batchers[video.for_both].submit(event.segment)

    def _settle(
        self,
        event: VideoEvent,
        future: Future[EmbeddedSegment] | None,
        batchers: Mapping[bool, _Batcher],
        on_video: OnVideo,
        wanted: Callable[[WorkItem], bool],
    ) -> None:
        """Process the result of one event. Events are processed in the order in which the decoders sent
        them."""
        if isinstance(event, SegmentReady):
            if future is not None:
                video = self._under_way[event.entry.video_id]
                self._collect(video, batchers[video.for_both], future)
            return
        video = self._under_way[event.entry.video_id]
        if isinstance(event, VideoFailed):
            video.error = event.error
        self._end(event if isinstance(event, VideoDone) else None, video, on_video, wanted)

    def _end(
        self,
        done: VideoDone | None,
        video: _PendingVideo,
        on_video: OnVideo,
        wanted: Callable[[WorkItem], bool],
    ) -> None:
        """Make a `done` video searchable, or record its error."""
        with self._index.changing:
            if video.dropped or not wanted(video.item):
                outcome = VideoOutcome(video.item, dropped=True)
            elif done is not None and video.error is None:
                outcome = self._try_to_store(done, video)
            else:
                outcome = self._fail(video)
            self._thumbnails.drop(video.item.entry.video_id, video.item.version)
        on_video(self._with_second(outcome, video))
        # Only after `on_video`, because the work that it starts, such as matching, may also crash the
        # process.
        video_id = video.item.entry.video_id
        if self._under_way.get(video_id, video) is video:
            self._under_way.pop(video_id, None)
            # A dropped video was not processed completely, so its crashes still count.
            settle = self._in_hand.release if outcome.dropped else self._in_hand.done
            settle(_name(video.item))

    def _with_second(self, outcome: VideoOutcome, video: _PendingVideo) -> VideoOutcome:
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

    def _collect(
        self, video: _PendingVideo, batcher: _Batcher, future: Future[EmbeddedSegment]
    ) -> None:
        outcome = "done"
        try:
            embedded = batcher.result(future)
            video.embeddings.append(self._thumbnails.take(embedded.embedding))
            if embedded.second is not None:
                video.second.append(embedded.second)
        except SHARED:
            raise
        except Exception as error:
            outcome, video.error = "failed", as_video_error(error)
        self._metrics.segments_total.labels(EMBED, outcome).inc()

    def _try_to_store(self, done: VideoDone, video: _PendingVideo) -> VideoOutcome:
        """Store a video. After an unexpected error, only this video fails."""
        try:
            return self._store(done, video)
        except (StoryHashError, MemoryError):
            raise
        except Exception as error:
            video.error = as_video_error(error)
            return self._fail(video)

    def _store(self, done: VideoDone, video: _PendingVideo) -> VideoOutcome:
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

    def _fail(self, video: _PendingVideo) -> VideoOutcome:
        """Record the error of a video in the index."""
        error = video.error or VideoError("the video ended before its last segment")
        self._index.mark_failed(video.item.row(), error)
        self._metrics.videos_total.labels(SEARCH, "failed").inc()
        return VideoOutcome(video.item, error)


def _name(item: WorkItem) -> str:
    """The name of a video in the record of work in progress. A changed file has a new name."""
    return f"{item.entry.video_id} {item.fingerprint}"


def video_of(name: str) -> str:
    """The id of a video by its name in the record of work in progress."""
    return name.rpartition(" ")[0]


def _is_done(unsettled: _Waiting) -> bool:
    future = unsettled[1]
    return future is None or future.done()
