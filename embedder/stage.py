"""The embedder stage: segments in, embeddings out; it knows no transport."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from common.types import (
    VECTOR_DIMENSION,
    VISUAL_DIMENSION,
    BoolArray,
    Embedding,
    Float32Array,
    Float64Array,
    FrameBatch,
    Segment,
    Tracks,
    UInt8Array,
)
from common.video import decode_clip
from embedder.action import action_features
from embedder.fusion import FUSION_FINGERPRINT, fuse
from embedder.graph import scene_graph
from embedder.pooling import pool
from embedder.sampling import sample_indices
from embedder.tracking.base import Tracker
from embedder.visual.base import VisualBackend
from embedder.visual.information import informative

# Pictures a segment of 4 s gives to a visual backend that wants 2 a second.
_PICTURES_A_SEGMENT = 8


@dataclass(frozen=True, slots=True)
class SampledFrames:
    """The frames of one segment that the visual backend describes.

    frames: uint8 (T, H, W, 3). informative: bool (T,). pts_seconds: float64 (T,), video time.
    """

    frames: UInt8Array
    informative: BoolArray
    pts_seconds: Float64Array


class StageClock:
    """Adds up the seconds each step took, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add({step: time.perf_counter() - started})

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


def model_id(profile: str, visual: str, tracker: str, sampling: str) -> str:
    """The name of everything that decides what a vector is: fingerprints of weights and recipes."""
    parts = (visual, tracker, FUSION_FINGERPRINT, sampling)
    digest = hashlib.blake2b("\n".join(parts).encode(), digest_size=6).hexdigest()
    return f"{profile}-{digest}"


class EmbedderStage:
    """Turns segments into embeddings with one visual backend and one tracker.

    `sampling` names what the clips were cut with (segment length, frame rate, size): with the
    fingerprints of its parts it makes `model_id`, so vectors made differently never meet.
    `process` may be called from several threads.
    """

    def __init__(
        self, profile: str, visual: VisualBackend, tracker: Tracker, *, sampling: str
    ) -> None:
        self.profile = profile
        self.visual = visual
        self.tracker = tracker
        self.clock = StageClock()
        self.model_id = model_id(profile, visual.fingerprint, tracker.fingerprint, sampling)

    @property
    def segments_at_once(self) -> int:
        """How many segments `process` is best given: enough pictures for the visual backend."""
        return max(1, self.visual.batch_pictures // _PICTURES_A_SEGMENT)

    def process(self, segments: Sequence[Segment]) -> list[Embedding]:
        """One embedding a segment, in order; their pictures are described together.

        Raises VideoError for a clip that does not decode.
        """
        opened = [self.open(segment) for segment in segments]
        vectors = self.describe([sampled for sampled, _ in opened], reference=True)
        return [
            self._embed(segment, sampled, rows, tracks)
            for segment, (sampled, tracks), rows in zip(segments, opened, vectors, strict=True)
        ]

    def open(self, segment: Segment) -> tuple[SampledFrames, Tracks]:
        """Decode a segment's clip once, for the visual backend and for the tracker."""
        batch = self.decode(segment)
        return self.sample(batch), self.follow(batch)

    def decode(self, segment: Segment) -> FrameBatch:
        """Every frame of a segment's clip, in video time."""
        with self.clock.measure("clip decode"):
            return decode_clip(segment.clip, start_seconds=segment.ref.start_seconds)

    def sample(self, batch: FrameBatch) -> SampledFrames:
        """The frames the visual backend describes."""
        chosen = sample_indices(batch.pts_seconds, self.visual.frames_per_second)
        frames = np.ascontiguousarray(batch.frames[chosen])
        return SampledFrames(frames, informative(frames), batch.pts_seconds[chosen])

    def follow(self, batch: FrameBatch) -> Tracks:
        """What moves in the frames the tracker looks at."""
        moving = sample_indices(batch.pts_seconds, self.tracker.frames_per_second)
        if len(moving) < len(batch.pts_seconds):
            batch = FrameBatch(batch.frames[moving], batch.pts_seconds[moving])
        with self.clock.measure("track"):
            return self.tracker.track(batch)

    def describe(self, sampled: Sequence[SampledFrames], *, reference: bool) -> list[Float32Array]:
        """A float32 (T, 512) a segment: unit rows, zero for frames without information.

        All pictures go to the backend together, whichever segment they are from.
        """
        kept = [picture for one in sampled for picture in one.frames[one.informative]]
        with self.clock.measure("visual encode"):
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

    def _embed(
        self, segment: Segment, sampled: SampledFrames, rows: Float32Array, tracks: Tracks
    ) -> Embedding:
        visual = pool(rows, sampled.informative, self.visual.pooling)
        vector = (
            np.zeros(VECTOR_DIMENSION, dtype=np.float32)
            if visual is None
            else fuse(visual, action_features(tracks))
        )
        return Embedding(
            ref=segment.ref,
            vector=vector,
            graph=scene_graph(tracks),
            informative=visual is not None,
            model_id=self.model_id,
        )
