"""Opens clips in child processes that can be killed and have bounded memory."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from common.errors import DecoderCrashedError
from common.runtime_tuning import usable_cores
from common.sandbox.codec import Buffer, Codec, pack, unpack
from common.sandbox.limits import ChildLimits
from common.sandbox.pool import ChildPool
from common.sandbox.process import Beat, Child
from common.settings import IngestSettings, VideoSettings
from common.types import Array, FrameBatch, Segment, Tracks
from embedder.clip_opening import (
    ClipBounds,
    ClipRequest,
    OpenedClip,
    SampledFrames,
    clip_bounds,
    open_clip,
)
from embedder.tracking.association import MAX_TRACKS

# Memory of clips that are opened in advance; one more clip may exceed it.
AHEAD_MIB = 256
_MIB = 1024 * 1024
# Maximum bytes of an opened clip without its pictures.
_SPARE_BYTES = _MIB
_STEPS = ("clip decode", "track")


@dataclass(frozen=True, slots=True)
class _Job:
    clip: bytes
    start_seconds: float
    recipe: ClipRequest


class SubprocessOpener:
    """A `ClipOpener` with a few child processes, which start with the first clips. Thread-safe."""

    def __init__(
        self, video: VideoSettings, ingest: IngestSettings, count: int | None = None
    ) -> None:
        """count: number of children; default: one per two cores, because decoders and networks need
        cores too."""
        self._bounds = clip_bounds(video, ingest)
        self._count = count or max(1, usable_cores() // 2)
        limits = ChildLimits.for_video(video)
        both = ClipRequest(1.0, 1.0)
        codec = Codec(
            _encode, partial(_decode, self._bounds), both.most_bytes(self._bounds) + _SPARE_BYTES
        )
        work = partial(_work, self._bounds)
        self._children = ChildPool(Child(work, limits, codec) for _ in range(self._count))
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="open")
        # The children end with the stage.
        self._finalizer = weakref.finalize(self, _end, self._children, self._threads)

    def close(self) -> None:
        """Kill the children."""
        self._finalizer()

    def open(self, segments: Sequence[Segment], recipe: ClipRequest) -> Iterator[OpenedClip]:
        """See `Opener.open`."""
        jobs = [_Job(segment.clip, segment.ref.start_seconds, recipe) for segment in segments]
        if len(jobs) == 1:
            yield self._opened(jobs[0])
            return
        bytes_per_clip = max(1, recipe.most_bytes(self._bounds))
        ahead = max(1, min(self._count, AHEAD_MIB * _MIB // bytes_per_clip))
        futures: deque[Future[OpenedClip]] = deque()
        try:
            for job in jobs:
                if len(futures) > ahead:
                    yield futures.popleft().result()
                futures.append(self._threads.submit(self._opened, job))
            while futures:
                yield futures.popleft().result()
        finally:
            for future in futures:
                future.cancel()

    def _opened(self, job: _Job) -> OpenedClip:
        with self._children.borrow() as child:
            results = list(child.run(job))
            if len(results) != 1 or not _fits(results[0], job.recipe):
                child.close()
                raise DecoderCrashedError("the decoder sent other results than were requested")
        return results[0]


def _work(bounds: ClipBounds, job: _Job, beat: Beat) -> Iterator[OpenedClip]:
    yield open_clip(job.clip, job.start_seconds, job.recipe, bounds, beat)


def _end(children: ChildPool[Child[_Job, OpenedClip]], threads: ThreadPoolExecutor) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    children.close()


def _fits(opened: OpenedClip, recipe: ClipRequest) -> bool:
    """Whether exactly the requested parts are there."""
    follow = recipe.moving is not None and recipe.follow
    return (
        (opened.sampled is not None) == (recipe.pictures is not None)
        and (opened.tracks is not None) == follow
        and (opened.moving is not None) == (recipe.moving is not None and not follow)
    )


def _encode(opened: OpenedClip) -> Sequence[Buffer]:
    arrays: list[Array] = []
    parts: list[str] = []
    quality = 0.0
    if opened.sampled is not None:
        parts.append("sampled")
        sampled = opened.sampled
        arrays += [sampled.frames, sampled.informative, sampled.pts_seconds]
    if opened.tracks is not None:
        parts.append("tracks")
        tracks = opened.tracks
        quality = tracks.quality
        arrays += [tracks.centroids, tracks.areas, tracks.visible, tracks.pts_seconds]
    if opened.moving is not None:
        parts.append("moving")
        arrays += [opened.moving.frames, opened.moving.pts_seconds]
    header = {"parts": parts, "quality": quality, "seconds": opened.seconds}
    return pack(header, *arrays)


def _decode(bounds: ClipBounds, data: memoryview) -> OpenedClip:
    """Everything is checked: shapes by the types, sizes and numbers here."""
    header, arrays = unpack(data)
    remaining = iter(arrays)
    parts = header["parts"]
    sampled = tracks = moving = None
    if "sampled" in parts:
        sampled = SampledFrames(next(remaining), next(remaining), _times(next(remaining)))
        _check_frames(sampled.frames, bounds)
    if "tracks" in parts:
        tracks = Tracks(
            centroids=_finite(next(remaining)),
            areas=_finite(next(remaining)),
            visible=next(remaining),
            pts_seconds=_times(next(remaining)),
            quality=float(header["quality"]),
        )
        moments, objects = tracks.visible.shape
        if moments > bounds.max_frames or objects > MAX_TRACKS:
            raise ValueError("too many tracks")
    if "moving" in parts:
        moving = FrameBatch(next(remaining), _times(next(remaining)))
        _check_frames(moving.frames, bounds)
    if next(remaining, None) is not None:
        raise ValueError("arrays left over")
    seconds = {step: float(header["seconds"].get(step, 0.0)) for step in _STEPS}
    if not all(0 <= spent < float("inf") for spent in seconds.values()):
        raise ValueError("no time that passed")
    return OpenedClip(sampled, tracks, moving, seconds)


def _check_frames(frames: Array, bounds: ClipBounds) -> None:
    count, height, width = frames.shape[:3]
    if not 0 < count <= bounds.max_frames or not 0 < height * width <= bounds.max_pixels:
        raise ValueError(f"pictures of {frames.shape}")


def _finite(numbers: Array) -> Array:
    if not np.isfinite(numbers).all():
        raise ValueError("no numbers")
    return numbers


def _times(pts_seconds: Array) -> Array:
    if not (np.diff(_finite(pts_seconds)) > 0).all():
        raise ValueError("times out of order")
    return pts_seconds
