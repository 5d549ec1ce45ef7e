"""Samples frames at a lower rate."""

from __future__ import annotations

import numpy as np

from common.types import Float64Array, Int64Array

# Clip times are whole milliseconds, so a frame may lie this much before its slot.
_SLACK_SECONDS = 0.002


def sample_indices(pts_seconds: Float64Array, frames_per_second: float) -> Int64Array:
    """Index of the first frame in every non-empty slot of 1 / `frames_per_second`.

    Slots start at the absolute times k / frames_per_second, so the choice does not depend on where
    reading starts. pts_seconds: float64 (T,), increasing. Returns int64 (<= T,).
    """
    slots = np.floor((pts_seconds + _SLACK_SECONDS) * frames_per_second)
    first = np.ones(len(slots), dtype=bool)
    first[1:] = slots[1:] != slots[:-1]
    return np.flatnonzero(first).astype(np.int64)
