"""The quality filter: black, flat and striped frames are excluded, because they match in any two
videos."""

from __future__ import annotations

import cv2
import numpy as np

from common.resize import shrink
from common.types import BoolArray, UInt8Array

_SIDE = 32
# Grey levels of 255. A fade to black ends below the first; the darkest real scenes stay above it.
_MIN_DEVIATION = 6.0
# Minimum deviation after the mean of each row or column is subtracted: 0 for test bars and gradients.
_MIN_RESIDUAL = 3.0


def informative(frames: UInt8Array) -> BoolArray:
    """bool (T,) for uint8 (T, H, W, 3): false for black, white, flat, faded and striped frames."""
    shows_something = np.zeros(len(frames), dtype=bool)
    for index, frame in enumerate(frames):
        small = shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), _SIDE, _SIDE)
        shows_something[index] = _shows_something(small.astype(np.float32))
    return shows_something


def _shows_something(grey: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> bool:
    if float(grey.std()) < _MIN_DEVIATION:
        return False
    # A block of bars above another block is striped in each half.
    halves = (grey[: _SIDE * 2 // 3], grey[_SIDE * 3 // 4 :])
    deviations = [
        min(float((half - half.mean(axis=axis, keepdims=True)).std()) for axis in (0, 1))
        for half in halves
    ]
    return max(deviations) >= _MIN_RESIDUAL
