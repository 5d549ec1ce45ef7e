"""Which frames of a finer series stand for a coarser one."""

from __future__ import annotations

import numpy as np

from common.types import Float64Array, Int64Array

# Clip times are whole milliseconds, so a frame may lie this much before its slot.
_SLACK_SECONDS = 0.002


def sample_indices(pts_seconds: Float64Array, frames_per_second: float) -> Int64Array:
    """Index of the first frame in every slot of 1 / `frames_per_second` that holds one.

    Slots lie on the absolute grid k / frames_per_second, so the same picture of a video is chosen
    whichever stretch it is read in. pts_seconds: float64 (T,), increasing. Returns int64 (<= T,).
    """
    slots = np.floor((pts_seconds + _SLACK_SECONDS) * frames_per_second)
    first = np.ones(len(slots), dtype=bool)
    first[1:] = slots[1:] != slots[:-1]
    return np.flatnonzero(first).astype(np.int64)
