"""Decodes several videos at once, each in a child process that can be killed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from common.closeable import Closeable
from common.errors import CancelledError, VideoError
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment
from ingest.decoder_codec import DecodedSegment, Produced
from ingest.decoder_process import DecoderProcess, open_decoders

# Maximum number of waiting events per decoder.
_AHEAD = 2
_TICK_SECONDS = 0.2
# Time for a decoder to end after its run was abandoned; then it is killed.
_LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SegmentReady:
    entry: CatalogEntry
    segment: Segment


@dataclass(frozen=True, slots=True)
class VideoDone:
    """All segments of the video were returned. damaged: what could not be decoded. notes: what was
    skipped on purpose."""

    entry: CatalogEntry
    duration_seconds: float
    segments: int
    damaged: str | None
    stage_seconds: dict[str, float]
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class VideoFailed:
    """The video cannot be used; the caller must drop the segments that were already returned."""

    entry: CatalogEntry
    error: VideoError


VideoEvent: TypeAlias = SegmentReady | VideoDone | VideoFailed
_Job: TypeAlias = tuple[CatalogEntry, int]
# Message of a decoder's thread: an event, its end, or an error of the list of jobs.
_Told: TypeAlias = VideoEvent | BaseException | None


class DecoderPool(Closeable):
    """Children that decode; closing it kills them."""

    def __init__(self, video: VideoSettings, ingest: IngestSettings) -> None:
        self._decoders = open_decoders(video, ingest)
        # Of the current run: no further job begins, and begun jobs are abandoned.
        self._ending, self._abandoned = threading.Event(), threading.Event()

    def run(
        self,
        work: Iterable[_Job | None],
        stopping: threading.Event | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> Generator[VideoEvent, None, None]:
        """Decode every (entry, version); events come in order for each video, mixed between them.

        `work` is called, by one thread at a time, when a decoder is free; None means that there is no
        work yet, and it is called again after a moment. `on_idle` is called, in the caller's thread, when
        no event came for a moment. Ends early if `stopping` is set, and then kills the children at once.
        Raises the errors of `work`.
        """
        jobs = iter(work)
        guard = threading.Lock()
        events: queue.Queue[_Told] = queue.Queue(len(self._decoders) * _AHEAD)
        threads = [
            threading.Thread(target=self._drive, args=(jobs, guard, events), daemon=True)
            for _ in self._decoders.children
        ]
        for thread in threads:
            thread.start()
        stopping = stopping or threading.Event()
        try:
            ended = 0
            while ended < len(threads):
                try:
                    event = events.get(timeout=_TICK_SECONDS)
                except queue.Empty:
                    if stopping.is_set():
                        break
                    on_idle()
                    continue
                if event is None:
                    ended += 1
                elif isinstance(event, BaseException):
                    raise event
                else:
                    yield event
        finally:
            self._ending.set()
            patience = time.monotonic() + _LAST_WORDS_SECONDS
            while any(thread.is_alive() for thread in threads):
                _drain(events)
                # The results of decoders that still work are not needed. One that has sent its last
                # result may end by itself, and is used again.
                if stopping.is_set() or time.monotonic() > patience:
                    self._abandoned.set()
                for thread in threads:
                    thread.join(0.01)
            if stopping.is_set():
                self.close()
            self._ending.clear()
            self._abandoned.clear()

    def close(self) -> None:
        """Kill the children."""
        self._decoders.close()

    def _drive(
        self, jobs: Iterator[_Job | None], guard: threading.Lock, events: queue.Queue[_Told]
    ) -> None:
        """The thread of one child: takes jobs and passes on results until no job is left."""
        try:
            with self._decoders.borrow() as decoder:
                for job in self._taken(jobs, guard):
                    self._decode(decoder, job, events)
        except BaseException as error:
            events.put(error)
        else:
            events.put(None)

    def _taken(self, jobs: Iterator[_Job | None], guard: threading.Lock) -> Iterator[_Job]:
        """The jobs that fall to one child."""
        while not self._ending.is_set():
            try:
                with guard:
                    job = next(jobs)
            except StopIteration:
                return
            if job is None:
                self._ending.wait(_TICK_SECONDS)
            else:
                yield job

    def _decode(self, decoder: DecoderProcess, job: _Job, events: queue.Queue[_Told]) -> None:
        entry, version = job
        try:
            with closing(decoder.run(entry.uri, self._check)) as results:
                for result in results:
                    if self._ending.is_set():
                        break
                    events.put(_event(entry, version, result))
        except VideoError as error:
            events.put(VideoFailed(entry, error))

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise CancelledError("cancelled: the run has ended")


def _event(entry: CatalogEntry, version: int, result: Produced) -> VideoEvent:
    if isinstance(result, DecodedSegment):
        return SegmentReady(entry, result.of(entry, version))
    return VideoDone(
        entry,
        result.duration_seconds,
        result.segments,
        result.damaged,
        result.stage_seconds,
        result.notes,
    )


def _drain(events: queue.Queue[_Told]) -> None:
    try:
        while True:
            events.get_nowait()
    except queue.Empty:
        return
