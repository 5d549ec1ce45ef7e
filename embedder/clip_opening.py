"""Opens a segment's clip: frames for the visual backend, and tracks or frames for the tracker.

Clips come from untrusted files, so services decode them, and compute optical flow, in child processes
(`embedder.clip_processes`). This module is the work on one clip in either place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.settings import IngestSettings, VideoSettings
from common.types import (
    BoolArray,
    Float64Array,
    FrameBatch,
    Segment,
    Tracks,
    UInt8Array,
    check_array,
)
from common.video import decode_clip
from embedder.frame_sampling import sample_indices
from embedder.tracking.motion import MotionTracker
from embedder.visual.frame_quality import informative

DECODE_STEP, TRACK_STEP = "clip decode", "track"
# A frame may lie on either end of a segment, and times are rounded.
_SPARE_FRAMES = 8
_CHANNELS = 3


@dataclass(frozen=True, slots=True)
class ClipBounds:
    """Bounds of a clip: number of frames, and pixels per frame."""

    max_frames: int
    max_pixels: int


def clip_bounds(video: VideoSettings, ingest: IngestSettings) -> ClipBounds:
    """The bounds for clips of a producer with these settings: the longest segment is one segment plus the
    remainder that joined it."""
    seconds = ingest.segment_seconds + ingest.min_tail_seconds
    frames = math.ceil(seconds * video.frames_per_second) + _SPARE_FRAMES
    return ClipBounds(frames, video.max_clip_pixels)


@dataclass(frozen=True, slots=True)
class SampledFrames:
    """The frames of one segment that the visual backend describes.

    frames: uint8 (T, H, W, 3). informative: bool (T,). pts_seconds: float64 (T,), video time.
    """

    frames: UInt8Array
    informative: BoolArray
    pts_seconds: Float64Array

    def __post_init__(self) -> None:
        sizes = check_array("frames", self.frames, np.uint8, ("T", "H", "W", 3))
        check_array("informative", self.informative, np.bool_, (sizes["T"],))
        check_array("pts_seconds", self.pts_seconds, np.float64, (sizes["T"],))


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """The frame rates wanted from a clip, in frames per second; None for no frames.

    pictures: for the visual backend. moving: for the tracker. follow: whether optical flow is computed
    where the clip is opened; otherwise the frames are returned.
    """

    pictures: float | None
    moving: float | None = None
    follow: bool = False

    def most_bytes(self, bounds: ClipBounds) -> int:
        """Bytes of the largest clip opened."""
        copies = (self.pictures is not None) + (self.moving is not None and not self.follow)
        return copies * bounds.max_frames * bounds.max_pixels * _CHANNELS


@dataclass(frozen=True, slots=True)
class OpenedClip:
    """The result for a `ClipRequest`. seconds: by step of the clock."""

    sampled: SampledFrames | None
    tracks: Tracks | None
    moving: FrameBatch | None
    seconds: dict[str, float]


class ClipOpener(Protocol):
    """Opens the clips of segments."""

    def open(self, segments: Sequence[Segment], request: ClipRequest) -> Iterator[OpenedClip]:
        """One result per segment, in order; some may be opened ahead. Raises VideoError for an invalid
        clip."""
        ...


class InProcessOpener:
    """Opens clips in this process, for trusted clips."""

    def __init__(self) -> None:
        self._bounds = clip_bounds(VideoSettings(), IngestSettings())

    def open(self, segments: Sequence[Segment], request: ClipRequest) -> Iterator[OpenedClip]:
        """See `ClipOpener.open`."""
        for segment in segments:
            yield open_clip(segment.clip, segment.ref.start_seconds, request, self._bounds)


def open_clip(
    clip: bytes,
    start_seconds: float,
    request: ClipRequest,
    bounds: ClipBounds,
    beat: Callable[[], None] = lambda: None,
) -> OpenedClip:
    """Decode a clip once for everything that is requested. Raises VideoError."""
    seconds: dict[str, float] = {}
    with _timed(DECODE_STEP, seconds):
        batch = decode_clip(
            clip,
            start_seconds=start_seconds,
            max_frames=bounds.max_frames,
            max_pixels=bounds.max_pixels,
            beat=beat,
        )
    sampled = tracks = moving = None
    if request.pictures is not None:
        chosen = sample_indices(batch.pts_seconds, request.pictures)
        frames = np.ascontiguousarray(batch.frames[chosen])
        sampled = SampledFrames(frames, informative(frames), batch.pts_seconds[chosen])
    beat()
    if request.moving is not None:
        chosen = sample_indices(batch.pts_seconds, request.moving)
        if len(chosen) < len(batch.pts_seconds):
            batch = FrameBatch(batch.frames[chosen], batch.pts_seconds[chosen])
        if request.follow:
            with _timed(TRACK_STEP, seconds):
                tracks = MotionTracker().track(batch)
        else:
            moving = batch
    return OpenedClip(sampled, tracks, moving, seconds)


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - started
