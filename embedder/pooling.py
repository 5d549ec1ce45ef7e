"""Pools many frames into one vector."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, Int64Array

Pooling: TypeAlias = Literal["mean", "median"]

# Below this norm the frames cancel each other and no direction is left.
_MIN_NORM = 1e-6


def pool(vectors: Float32Array, informative: BoolArray, pooling: Pooling) -> Float32Array | None:
    """One unit vector, float32 (D,), from unit rows (T, D); frames without information do not vote.

    The median is taken coordinate by coordinate. None when no frame is informative.
    """
    voting = vectors[informative]
    if not len(voting):
        return None
    centre = voting.mean(axis=0) if pooling == "mean" else np.median(voting, axis=0)
    norm = float(np.linalg.norm(centre))
    return None if norm < _MIN_NORM else (centre / norm).astype(np.float32)


def frames_of_windows(
    pts_seconds: Float64Array, starts: Float64Array, ends: Float64Array
) -> tuple[Int64Array, Int64Array]:
    """int64 (W,) twice: the first frame of each window [start, end), and the first one after it."""
    return np.searchsorted(pts_seconds, starts - 1e-6), np.searchsorted(pts_seconds, ends - 1e-6)


def pool_windows(
    vectors: Float32Array,
    informative: BoolArray,
    pts_seconds: Float64Array,
    starts: Float64Array,
    ends: Float64Array,
    pooling: Pooling,
) -> tuple[Float32Array, BoolArray]:
    """`pool` over each window [start, end) of a series of frames.

    vectors: float32 (T, D); informative: bool (T,); pts_seconds: float64 (T,), increasing; starts,
    ends: float64 (W,). Returns float32 (W, D), zero where the bool (W,) next to it is false.
    """
    pooled = np.zeros((len(starts), vectors.shape[1]), dtype=np.float32)
    informative_windows = np.zeros(len(starts), dtype=bool)
    first, last = frames_of_windows(pts_seconds, starts, ends)
    for window, (low, high) in enumerate(zip(first, last, strict=True)):
        vector = pool(vectors[low:high], informative[low:high], pooling)
        if vector is not None:
            pooled[window], informative_windows[window] = vector, True
    return pooled, informative_windows
