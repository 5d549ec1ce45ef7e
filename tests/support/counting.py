"""An embedder backend and a tracker that count their calls, and segments of synthetic videos for them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from common.types import Float32Array, FrameBatch, Segment, SegmentRef, Tracks, UInt8Array
from common.video import encode_clip
from embedder.pooling import Pooling
from embedder.tracking.motion import MotionTracker
from storyhash.samples import film


class CountingBackend:
    """Describes a picture by its mean colour. `calls`: the number of pictures of each call."""

    name = "counting"
    fingerprint = "counting"
    frames_per_second = 2.0
    pooling: Pooling = "mean"
    views: tuple[str, ...] = ("identity",)
    closer_views: tuple[str, ...] = ("rotate_180", "left")
    batch_pictures = 24

    def __init__(self) -> None:
        self.calls: list[int] = []

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        self.calls.append(len(pictures))
        rows = np.zeros((len(pictures), 512), dtype=np.float32)
        if not len(pictures):
            return rows
        rows[:, :3] = [picture.mean(axis=(0, 1)) for picture in pictures]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class CountingTracker(MotionTracker):
    """A motion tracker. `calls`: the number of calls of `track`."""

    calls = 0

    def track(self, batch: FrameBatch) -> Tracks:
        self.calls += 1
        return super().track(batch)


def segment(video_id: str, seed: int, *, broken: bool = False) -> Segment:
    frames = np.stack(list(islice(film(seed, 2.0), 16)))
    batch = FrameBatch(frames, np.arange(16) / 8.0)
    clip = b"no clip" if broken else encode_clip(batch, start_seconds=0.0, max_bytes=1 << 22)
    return Segment(SegmentRef(video_id, 0.0, 2.0), clip)
