"""The two halves of an embedding, each of which can be run alone: what a segment shows, how it moves."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from common.types import (
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Float64Array,
    FrameBatch,
    Segment,
    Tracks,
    UInt8Array,
)
from common.video import decode_clip
from embedder.pooling import pool
from embedder.sampling import sample_indices
from embedder.tracking.base import Tracker
from embedder.visual.base import VisualBackend
from embedder.visual.information import informative

# The clock's steps in which a network, or what stands for one, is called.
VISUAL_STEP, TRACK_STEP = "visual encode", "track"
# Pictures a segment of 4 s gives to a visual backend that wants 2 a second.
_PICTURES_A_SEGMENT = 8


class StageClock:
    """Adds up the seconds each step took, over all threads.

    `observe` is told of each measured call as well: its step and its seconds.
    """

    def __init__(self) -> None:
        self.observe: Callable[[str, float], None] = lambda step, seconds: None
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.add({step: spent})
            self.observe(step, spent)

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what was measured elsewhere, by step."""
        with self._lock:
            for step, spent in seconds.items():
                self._seconds[step] += spent

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by step so far."""
        with self._lock:
            return dict(self._seconds)


@dataclass(frozen=True, slots=True)
class SampledFrames:
    """The frames of one segment that the visual backend describes.

    frames: uint8 (T, H, W, 3). informative: bool (T,). pts_seconds: float64 (T,), video time.
    """

    frames: UInt8Array
    informative: BoolArray
    pts_seconds: Float64Array


def decode_segment(segment: Segment, clock: StageClock) -> FrameBatch:
    """Every frame of a segment's clip, in video time. Raises VideoError."""
    with clock.measure("clip decode"):
        return decode_clip(segment.clip, start_seconds=segment.ref.start_seconds)


class PictureStep:
    """Frames to 512 numbers with one visual backend."""

    def __init__(self, visual: VisualBackend, clock: StageClock) -> None:
        self.visual = visual
        self._clock = clock

    @property
    def segments_at_once(self) -> int:
        """How many segments `describe` is best given: enough pictures for the backend."""
        return max(1, self.visual.batch_pictures // _PICTURES_A_SEGMENT)

    def sample(self, batch: FrameBatch) -> SampledFrames:
        """The frames the visual backend describes."""
        chosen = sample_indices(batch.pts_seconds, self.visual.frames_per_second)
        frames = np.ascontiguousarray(batch.frames[chosen])
        return SampledFrames(frames, informative(frames), batch.pts_seconds[chosen])

    def describe(self, sampled: Sequence[SampledFrames], *, reference: bool) -> list[Float32Array]:
        """A float32 (T, 512) a segment: unit rows, zero for frames without information.

        All pictures go to the backend together, whichever segment they are from.
        """
        kept = [picture for one in sampled for picture in one.frames[one.informative]]
        with self._clock.measure(VISUAL_STEP):
            encoded = self.visual.encode(kept, reference=reference)
        vectors = []
        used = 0
        for one in sampled:
            rows = np.zeros((len(one.frames), VISUAL_DIMENSION), dtype=np.float32)
            count = int(one.informative.sum())
            rows[one.informative] = encoded[used : used + count]
            vectors.append(rows)
            used += count
        return vectors

    def pool(self, rows: Float32Array, usable: BoolArray) -> Float32Array | None:
        """One unit vector, float32 (512,), from many frames; None when none is informative."""
        return pool(rows, usable, self.visual.pooling)


class MotionStep:
    """Frames to tracks with one tracker."""

    def __init__(self, tracker: Tracker, clock: StageClock) -> None:
        self.tracker = tracker
        self._clock = clock

    def follow(self, batch: FrameBatch) -> Tracks:
        """What moves in the frames the tracker looks at."""
        moving = sample_indices(batch.pts_seconds, self.tracker.frames_per_second)
        if len(moving) < len(batch.pts_seconds):
            batch = FrameBatch(batch.frames[moving], batch.pts_seconds[moving])
        with self._clock.measure(TRACK_STEP):
            return self.tracker.track(batch)
