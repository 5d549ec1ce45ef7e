"""Trims bars and pages around a picture, so that a letterboxed copy has the same content."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import BoolArray, UInt8Array

# Grey levels of 255: maximum brightness of nearly all pixels of a border line, and its maximum deviation.
_DARK, _EVEN = 18, 12.0
_BRIGHT_SHARE = 0.1
# A page: tolerance around its colour in grey levels; fractions of a blank line and of a line with text.
_PAGE_SPREAD, _BLANK_SHARE, _WRITTEN_SHARE = 14.0, 0.95, 0.55
# Maximum fraction removed per side and per axis; more is a dark film, not a border.
_MAX_SIDE, _MAX_AXIS = 0.42, 0.8
_LONG_SIDE = 256


def within_border(frame: UInt8Array) -> tuple[slice, slice]:
    """Rows and columns of a picture (H, W, 3) within its black bars, or within the page it is shown on;
    all of them without one."""
    height, width = frame.shape[:2]
    step = max(1, min(height, width) // _LONG_SIDE)
    grey = cv2.cvtColor(np.ascontiguousarray(frame[::step, ::step]), cv2.COLOR_RGB2GRAY)
    top, bottom = _bars(grey, axis=1)
    left, right = _bars(grey, axis=0)
    if not (top or bottom or left or right):
        top, bottom, left, right = _page(grey)
    return (slice(top * step, height - bottom * step), slice(left * step, width - right * step))


def _page(grey: UInt8Array) -> tuple[int, int, int, int]:
    """Lines above, below, left and right of a picture on a page of one colour.

    A page shows on both sides from top to bottom; above and below it may bear words and buttons.
    """
    edge, other = (float(np.median(line)) for line in (grey[:, 0], grey[:, -1]))
    if abs(edge - other) > _PAGE_SPREAD:
        return 0, 0, 0, 0
    blank = np.abs(grey.astype(np.float32) - edge) <= _PAGE_SPREAD
    left, right = _runs(blank.mean(axis=0) >= _BLANK_SHARE)
    if not left or not right:
        return 0, 0, 0, 0
    top, bottom = _runs(blank.mean(axis=1) >= _WRITTEN_SHARE)
    return top, bottom, left, right


def _bars(grey: UInt8Array, axis: int) -> tuple[int, int]:
    """Lines of border before and after, along the other axis."""
    border = (grey >= _DARK).mean(axis=axis) < _BRIGHT_SHARE
    border &= grey.std(axis=axis, dtype=np.float32) < _EVEN
    return _runs(border)


def _runs(border: BoolArray) -> tuple[int, int]:
    """Numbers of border lines before and after; both 0 if hardly a picture would be left."""
    longest = int(len(border) * _MAX_SIDE)
    before, after = _leading(border[:longest]), _leading(border[::-1][:longest])
    return (0, 0) if before + after >= _MAX_AXIS * len(border) else (before, after)


def _leading(flags: BoolArray) -> int:
    return int(np.argmin(flags)) if not flags.all() else len(flags)
