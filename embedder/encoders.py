"""The two parts of an embedding, which can run separately: picture features and motion features."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from common.tracing import step as tracing_step
from common.types import VISUAL_DIMENSION, BoolArray, Float32Array, FrameBatch, Segment, Tracks
from embedder.clip_opening import TRACK_STEP, ClipOpener, ClipRequest, SampledFrames
from embedder.pooling import pool
from embedder.tracking.base import Tracker
from embedder.tracking.motion import MotionTracker
from embedder.visual.base import VisualBackend

# Steps of the clock in which a network is called.
VISUAL_STEP = "visual encode"
# Pictures per segment of 4 s, at 2 per second.
_PICTURES_A_SEGMENT = 8


class StageClock:
    """Adds up the seconds of each step over all threads.

    observe: also called with step and seconds of each measured call.
    """

    def __init__(self) -> None:
        self.observe: Callable[[str, float], None] = lambda step, seconds: None
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with tracing_step(step):
                yield
        finally:
            self.note(step, time.perf_counter() - started)

    def note(self, step: str, seconds: float) -> None:
        """Add one call that was measured elsewhere."""
        self.add({step: seconds})
        self.observe(step, seconds)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add seconds that were measured elsewhere, by step."""
        with self._lock:
            for step, spent in seconds.items():
                self._seconds[step] += spent

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by step so far."""
        with self._lock:
            return dict(self._seconds)


class PictureStep:
    """Frames to 512 numbers with one visual backend."""

    def __init__(self, visual: VisualBackend, clock: StageClock) -> None:
        self.visual = visual
        self._clock = clock

    @property
    def segments_at_once(self) -> int:
        """Best number of segments per call of `describe`: enough pictures for the backend."""
        return max(1, self.visual.batch_pictures // _PICTURES_A_SEGMENT)

    def describe(self, sampled: Sequence[SampledFrames]) -> list[Float32Array]:
        """float32 (T, 512) per segment: unit rows, zero for low-information frames.

        The pictures of all segments go to the backend in one call.
        """
        pictures = [picture for frames in sampled for picture in frames.frames[frames.informative]]
        with self._clock.measure(VISUAL_STEP):
            encoded = self.visual.encode(pictures)
        vectors = []
        used = 0
        for frames in sampled:
            rows = np.zeros((len(frames.frames), VISUAL_DIMENSION), dtype=np.float32)
            count = int(frames.informative.sum())
            rows[frames.informative] = encoded[used : used + count]
            vectors.append(rows)
            used += count
        return vectors

    def pool(self, rows: Float32Array, usable: BoolArray) -> Float32Array | None:
        """One unit vector, float32 (512,), from many frames; None if none is informative."""
        return pool(rows, usable, self.visual.pooling)


class MotionStep:
    """Frames to tracks with one tracker."""

    def __init__(self, tracker: Tracker, clock: StageClock) -> None:
        self.tracker = tracker
        self._clock = clock

    @property
    def followed_at_opening(self) -> bool:
        """Whether tracks are made where a clip is opened, by a tracker without state and weights."""
        return type(self.tracker) is MotionTracker

    def follow(self, batch: FrameBatch) -> Tracks:
        """The tracks of frames at the tracker's rate."""
        with self._clock.measure(TRACK_STEP):
            return self.tracker.track(batch)


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """A decoded clip for both parts; None for a part that was not requested."""

    sampled: SampledFrames | None
    tracks: Tracks | None

    @property
    def need_sampled(self) -> SampledFrames:
        """Raises ValueError where they were not wanted."""
        if self.sampled is None:
            raise ValueError("sampled: expected frames, got none")
        return self.sampled

    @property
    def need_tracks(self) -> Tracks:
        """Raises ValueError where they were not wanted."""
        if self.tracks is None:
            raise ValueError("tracks: expected some, got none")
        return self.tracks


class ClipStep:
    """Opens clips for both parts of an embedding."""

    def __init__(
        self,
        opener: ClipOpener,
        clock: StageClock,
        pictures: PictureStep | None,
        motion: MotionStep | None,
    ) -> None:
        self._opener = opener
        self._clock = clock
        self._motion = motion
        self._visual_rate = pictures.visual.frames_per_second if pictures else None

    def open(self, segments: Sequence[Segment], *, tracks: bool = True) -> Iterator[DecodedClip]:
        """One result per segment, in order; without `tracks` nothing is tracked. Raises VideoError."""
        motion = self._motion if tracks else None
        request = ClipRequest(self._visual_rate)
        if motion is not None:
            rate = motion.tracker.frames_per_second
            request = ClipRequest(self._visual_rate, rate, motion.followed_at_opening)
        for clip in self._opener.open(segments, request):
            for step, seconds in clip.seconds.items():
                self._clock.note(step, seconds)
            followed = clip.tracks
            if motion is not None and clip.moving is not None:
                followed = motion.follow(clip.moving)
            yield DecodedClip(clip.sampled, followed)
