"""Regions: parts of a picture that may contain another complete picture."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import cv2
import numpy as np

from common.resize import shrink
from common.types import Float32Array, Int64Array, UInt8Array
from embedder.visual.letterbox import within_border

# Top, bottom, left, right as fractions of height and width.
_CUTS: dict[str, tuple[float, float, float, float]] = {
    "left": (0, 1, 0, 0.5),
    "right": (0, 1, 0.5, 1),
    "top": (0, 0.5, 0, 1),
    "bottom": (0.5, 1, 0, 1),
    "top_left": (0, 0.5, 0, 0.5),
    "top_right": (0, 0.5, 0.5, 1),
    "bottom_left": (0.5, 1, 0, 0.5),
    "bottom_right": (0.5, 1, 0.5, 1),
    "centre": (0.25, 0.75, 0.25, 0.75),
    "middle": (0.25, 0.75, 0, 1),
}
CUT_NAMES = tuple(_CUTS)

# The search for an inner rectangle uses pictures of this size. On every side that is not the edge of the
# picture, an edge must be steeper than its surroundings by at least _MIN_EDGE grey levels per pixel.
_LONG_SIDE, _LEAST_SIDE = 128, 8
_MIN_EDGE = 5.0
_LINES_TRIED = 7
# Minimum side, minimum area and maximum area of an inner picture, as fractions of the picture.
_MIN_SIDE, _MIN_AREA, _MAX_AREA = 0.18, 0.04, 0.85
# The outline of an inner picture does not move while its content does. This many frames are enough to see
# that.
_FRAMES_LOOKED_AT = 8


def cut(frames: UInt8Array, name: str) -> UInt8Array:
    """The named part (one of CUT_NAMES) of uint8 (B, H, W, 3), as a numpy view."""
    top, bottom, left, right = _CUTS[name]
    height, width = frames.shape[1:3]
    rows = slice(round(top * height), max(round(bottom * height), round(top * height) + 1))
    columns = slice(round(left * width), max(round(right * width), round(left * width) + 1))
    return frames[:, rows, columns]


def inner_rectangle(frames: UInt8Array) -> tuple[slice, slice] | None:
    """Rows and columns of a picture within the pictures uint8 (B, H, W, 3); None if there is none.

    The result is the rectangle with the steepest sides. In most frames, each side is a straight edge or
    the border of the picture.
    """
    step = max(1, len(frames) // _FRAMES_LOOKED_AT)
    height, width = frames.shape[1:3]
    scale = max(height, width) / _LONG_SIDE
    small = tuple(max(_LEAST_SIDE, round(side / scale)) for side in (width, height))
    # A strip is stretched to the minimum side, so its lines are less than one line of the long side
    # apart.
    down_scale = scale if height / scale >= _LEAST_SIDE else height / _LEAST_SIDE
    across_scale = scale if width / scale >= _LEAST_SIDE else width / _LEAST_SIDE
    grey = np.stack([_small_grey(frame, *small) for frame in frames[::step]])
    across = _steady(np.abs(np.diff(grey, axis=2)))
    down = _steady(np.abs(np.diff(grey, axis=1)))
    rectangle = _best_rectangle(across, down)
    if rectangle is None:
        return None
    top, bottom, left, right = rectangle
    # One more line is removed at each side that is not the border of the picture, so that no outline
    # remains.
    rows = slice(
        _scaled(top, down_scale, inward=1), min(height, _scaled(bottom, down_scale, inward=-1))
    )
    columns = slice(
        _scaled(left, across_scale, inward=1), min(width, _scaled(right, across_scale, inward=-1))
    )
    if bottom == grey.shape[1]:
        rows = slice(rows.start, height)
    if right == grey.shape[2]:
        columns = slice(columns.start, width)
    if rows.stop - rows.start < 1 or columns.stop - columns.start < 1:
        # In a picture of a few pixels, nothing may be left inside the outline.
        return None
    return rows, columns


def _small_grey(frame: UInt8Array, width: int, height: int) -> Float32Array:
    grey: Float32Array = cv2.cvtColor(shrink(frame, width, height), cv2.COLOR_RGB2GRAY).astype(
        np.float32
    )
    return grey


def _scaled(line: int, scale: float, *, inward: int) -> int:
    return 0 if line == 0 else round(line * scale) + inward


def _steady(edges: Float32Array) -> Float32Array:
    """The steepness that three quarters of the frames reach. It is limited, so that no single point
    decides."""
    return np.minimum(np.percentile(edges, 25, axis=0), 48.0).astype(np.float32)


def _best_rectangle(across: Float32Array, down: Float32Array) -> tuple[int, int, int, int] | None:
    """Top, bottom, left, right of the best rectangle; None if there is none. across: (H, W - 1), edges
    between columns. down: (H - 1, W), edges between rows."""
    height, width = across.shape[0], down.shape[1]
    columns = _lines(_contrast(across, axis=1).mean(axis=0), width)
    rows = _lines(_contrast(down, axis=0).mean(axis=1), height)
    # Cumulative sums along each line, so that the sum of a side is one subtraction.
    along_columns = np.concatenate(
        [np.zeros((1, width - 1)), np.cumsum(_contrast(across, axis=1), axis=0)]
    )
    along_rows = np.concatenate(
        [np.zeros((height - 1, 1)), np.cumsum(_contrast(down, axis=0), axis=1)], axis=1
    )
    best, best_value = None, 0.0
    for top, bottom in combinations(rows, 2):
        if bottom - top < _MIN_SIDE * height:
            continue
        for left, right in combinations(columns, 2):
            area = (bottom - top) * (right - left) / (height * width)
            if right - left < _MIN_SIDE * width or not _MIN_AREA <= area <= _MAX_AREA:
                continue
            sides = [
                (along_columns[bottom, x - 1] - along_columns[top, x - 1]) / (bottom - top)
                for x in (left, right)
                if 0 < x < width
            ]
            sides += [
                (along_rows[y - 1, right] - along_rows[y - 1, left]) / (right - left)
                for y in (top, bottom)
                if 0 < y < height
            ]
            # A real inner picture has all of its sides. Of two candidates, the one with more edge
            # strength wins.
            value = float(sum(sides))
            if sides and min(sides) >= _MIN_EDGE and value > best_value:
                best, best_value = (top, bottom, left, right), value
    return best


def _contrast(edges: Float32Array, axis: int) -> Float32Array:
    """How much steeper each line is than the lines two steps before and after it."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (2, 2)
    padded = np.pad(edges, padding, mode="edge")
    length = edges.shape[axis]
    before = np.take(padded, range(length), axis=axis)
    after = np.take(padded, range(4, length + 4), axis=axis)
    return edges - np.maximum(before, after)


def _lines(strength: Float32Array, length: int) -> list[int]:
    """The possible positions of an edge, as the first line after it, and both ends of the axis;
    increasing."""
    strongest: Int64Array = np.argsort(-strength, kind="stable")[:_LINES_TRIED]
    return sorted({0, length, *(int(line) + 1 for line in strongest)})


def _inner(frames: UInt8Array) -> UInt8Array | None:
    rectangle = inner_rectangle(frames)
    return None if rectangle is None else frames[:, rectangle[0], rectangle[1]]


def _trimmed(frames: UInt8Array) -> UInt8Array | None:
    """The frames without the bars of the middle frame; None if it has no bars."""
    middle = frames[len(frames) // 2]
    rows, columns = within_border(middle)
    part = frames[:, rows, columns]
    return None if part.shape == frames.shape else part


FOUND: dict[str, Callable[[UInt8Array], UInt8Array | None]] = {"inner": _inner, "trimmed": _trimmed}
"""Regions that must be searched for: functions from uint8 (B, H, W, 3), frames of one moment or scene, to
the part of them, or None if there is none."""
