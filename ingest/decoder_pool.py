"""Several videos decoded at once, each in a child process that can be killed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from common.errors import VideoError
from common.runtime_tuning import usable_cores
from common.sandbox.process import Beat, Child, ChildLimits
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment, SegmentRef
from common.uris import is_remote
from ingest.clip_packer import produce
from ingest.decoder_codec import DecodedSegment, Produced, in_order, piece_codec
from ingest.fetcher import DownloadFolder, Fetcher

# Events a decoder may have ready that nobody has taken yet.
_AHEAD = 2
_TICK_SECONDS = 0.2
# How long a decoder whose run nobody follows may take to end by itself, before it is killed.
_LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SegmentReady:
    entry: CatalogEntry
    segment: Segment


@dataclass(frozen=True, slots=True)
class VideoDone:
    """All segments of the video are out. `damaged` says what could not be decoded, `notes` what was
    passed over on purpose."""

    entry: CatalogEntry
    duration_seconds: float
    segments: int
    damaged: str | None
    stage_seconds: dict[str, float]
    notes: str | None = None


@dataclass(frozen=True, slots=True)
class VideoFailed:
    """The video cannot be used; segments of it that are out already must be dropped."""

    entry: CatalogEntry
    error: VideoError


VideoEvent: TypeAlias = SegmentReady | VideoDone | VideoFailed
_Job: TypeAlias = tuple[CatalogEntry, int]
# What a decoder's thread tells: an event, that it has ended, or what went wrong with the list of jobs.
_Told: TypeAlias = VideoEvent | BaseException | None


class DecoderPool:
    """Children that decode; closing it kills them."""

    def __init__(self, video: VideoSettings, ingest: IngestSettings) -> None:
        self._count = ingest.workers or usable_cores()
        limits = ChildLimits.for_video(video)
        work = partial(_work, video, ingest)
        self._downloads = DownloadFolder(ingest)
        codec = piece_codec(video)
        self._children = [
            _Decoder(
                Child(work, limits, codec), Fetcher(ingest, self._downloads, video.start_seconds)
            )
            for _ in range(self._count)
        ]
        self._stopping = threading.Event()

    @property
    def pids(self) -> list[int | None]:
        """The process of each child; None before its first video."""
        return [child.pid for child in self._children]

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        work: Iterable[_Job | None],
        stopping: threading.Event | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> Generator[VideoEvent, None, None]:
        """Decode every (entry, version); events come in order for each video, mixed between them.

        `work` is asked, by one thread at a time, whenever a decoder is free; None from it means that
        nothing is there to do yet, and it is asked again in a moment. `on_idle` is called, in the
        caller's thread, whenever no event came for a moment. Ends early once `stopping` is set, and
        kills the children then, however slow their videos are. Raises what `work` does.
        """
        jobs = iter(work)
        guard = threading.Lock()
        events: queue.Queue[_Told] = queue.Queue(self._count * _AHEAD)
        threads = [
            threading.Thread(target=self._drive, args=(child, jobs, guard, events), daemon=True)
            for child in self._children
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
            self._stopping.set()
            patience = time.monotonic() + _LAST_WORDS_SECONDS
            while any(thread.is_alive() for thread in threads):
                _drain(events)
                # Nobody takes what those still at work would give, however slow they are. One that
                # has given its last result is let end, and serves again.
                if stopping.is_set() or time.monotonic() > patience:
                    for child in self._children:
                        child.kill()
                for thread in threads:
                    thread.join(0.01)
            if stopping.is_set():
                self.close()
            self._stopping.clear()

    def close(self) -> None:
        """Kill the children."""
        for child in self._children:
            child.close()
        self._downloads.close()

    def _drive(
        self,
        child: _Decoder,
        jobs: Iterator[_Job | None],
        guard: threading.Lock,
        events: queue.Queue[_Told],
    ) -> None:
        """One child's thread: take a job, pass on its results, until none is left."""
        try:
            for job in self._taken(jobs, guard):
                self._decode(child, job, events)
        except BaseException as error:
            events.put(error)
        else:
            events.put(None)

    def _taken(self, jobs: Iterator[_Job | None], guard: threading.Lock) -> Iterator[_Job]:
        """The jobs that fall to one child."""
        while not self._stopping.is_set():
            try:
                with guard:
                    job = next(jobs)
            except StopIteration:
                return
            if job is None:
                self._stopping.wait(_TICK_SECONDS)
            else:
                yield job

    def _decode(self, child: _Decoder, job: _Job, events: queue.Queue[_Told]) -> None:
        entry, version = job
        try:
            for result in child.run(entry.uri):
                if self._stopping.is_set():
                    break
                events.put(_event(entry, version, result))
        except VideoError as error:
            events.put(VideoFailed(entry, error))


class _Decoder:
    """A child that decodes and has no network, and one that fetches for it and decodes nothing."""

    def __init__(self, child: Child[str, Produced], fetcher: Fetcher) -> None:
        self._child = child
        self._fetcher = fetcher

    @property
    def pid(self) -> int | None:
        """The process that decodes, if there is one."""
        return self._child.pid

    def run(self, uri: str) -> Generator[Produced, None, None]:
        """Decode a file, a folder of pictures or an address."""
        with ExitStack() as stack:
            path = stack.enter_context(self._fetcher.fetched(uri)) if is_remote(uri) else uri
            # Closed here, a run that is left half-way is over before its file is deleted.
            yield from in_order(stack.enter_context(closing(self._child.run(str(path)))))

    def kill(self) -> None:
        self._fetcher.kill()
        self._child.kill()

    def close(self) -> None:
        self._fetcher.close()
        self._child.close()


def _work(
    video: VideoSettings, ingest: IngestSettings, path: str, beat: Beat
) -> Iterator[Produced]:
    """What a child does with one job. Which video it is it need not know."""
    for made in produce(CatalogEntry("video", path), Path(path), 1, video, ingest, beat):
        if isinstance(made, Segment):
            yield DecodedSegment(made.ref.start_seconds, made.ref.end_seconds, made.clip)
        else:
            yield made


def _event(entry: CatalogEntry, version: int, result: Produced) -> VideoEvent:
    if isinstance(result, DecodedSegment):
        ref = SegmentRef(
            entry.video_id, result.start_seconds, result.end_seconds, version, entry.bank
        )
        return SegmentReady(entry, Segment(ref, result.clip))
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
