"""The frame codes of a segment."""

from __future__ import annotations

import math

import numpy as np

from common.frame_codes import FRAME_SECONDS, encode_frames
from common.types import BoolArray, Float32Array, Float64Array, Int8Array
from embedder.pooling import Pooling, pool_windows

# A remainder shorter than this holds no frame of its own: clip times are whole milliseconds.
_SLACK_SECONDS = 0.002


def segment_frames(
    rows: Float32Array,
    informative: BoolArray,
    pts_seconds: Float64Array,
    span: tuple[float, float],
    vector: Float32Array,
    pooling: Pooling,
) -> Int8Array:
    """int8 (T, 64): a code per half second of a segment, pooled like the windows of queries.

    rows: float32 (F, 512), unit rows of frames at pts_seconds, float64 (F,), where `informative`, bool
    (F,), is true; span: start and end of the segment; vector: float32 (512,), of the segment.
    """
    start, end = span
    count = max(1, math.ceil((end - start - _SLACK_SECONDS) / FRAME_SECONDS))
    edges: Float64Array = start + FRAME_SECONDS * np.arange(count + 1, dtype=np.float64)
    pooled, is_informative = pool_windows(
        rows, informative, pts_seconds, edges[:-1], edges[1:], pooling
    )
    return encode_frames(pooled, is_informative, vector)
