"""Black bars trimmed: a letterboxed copy shows the same picture."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import UInt8Array

# Grey levels of 255: a line is border when hardly a pixel is brighter and it is this even.
_DARK, _EVEN = 18, 12.0
_BRIGHT_SHARE = 0.1
# Share of a side that may go, and of an axis; more than that is a dark film, not a border.
_MAX_SIDE, _MAX_AXIS = 0.42, 0.8
_LONG_SIDE = 256


def trim_border(frame: UInt8Array) -> UInt8Array:
    """The part of a picture (H, W, 3) within its black bars; a view, not a copy."""
    height, width = frame.shape[:2]
    step = max(1, min(height, width) // _LONG_SIDE)
    grey = cv2.cvtColor(np.ascontiguousarray(frame[::step, ::step]), cv2.COLOR_RGB2GRAY)
    top, bottom = _bars(grey, axis=1)
    left, right = _bars(grey, axis=0)
    return frame[top * step : height - bottom * step, left * step : width - right * step]


def _bars(grey: UInt8Array, axis: int) -> tuple[int, int]:
    """Lines of border before and after, along the other axis."""
    border = (grey >= _DARK).mean(axis=axis) < _BRIGHT_SHARE
    border &= grey.std(axis=axis, dtype=np.float32) < _EVEN
    longest = int(len(border) * _MAX_SIDE)
    before, after = _leading(border[:longest]), _leading(border[::-1][:longest])
    return (0, 0) if before + after >= _MAX_AXIS * len(border) else (before, after)


def _leading(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    return int(np.argmin(flags)) if not flags.all() else len(flags)
