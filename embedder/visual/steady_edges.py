"""Edges that stay where they are while the pictures move: the outlines of pictures within pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from common.resize import shrink
from common.types import Float32Array, UInt8Array

Rectangle: TypeAlias = tuple[slice, slice]
"""Rows and columns of a picture."""

# Edges are looked for in pictures of this size.
_LONG_SIDE, _LEAST_SIDE = 128, 8
# The outline of an inner picture does not move while its content does. This many frames are enough to see
# that.
_FRAMES_LOOKED_AT = 8
# An edge counts as steeper than its surroundings by at least so many grey levels per pixel.
MIN_EDGE = 5.0


@dataclass(frozen=True, slots=True)
class SteadyEdges:
    """The edges of small copies of the pictures of one moment or scene, of H rows and W columns.

    across: float32 (H, W - 1), between columns; down: float32 (H - 1, W), between rows: grey levels per
    line that three quarters of the pictures reach, at most 48, so that no single point decides. height,
    width: of the pictures themselves.
    """

    across: Float32Array
    down: Float32Array
    height: int
    width: int

    @classmethod
    def of(cls, frames: UInt8Array) -> SteadyEdges:
        """frames: uint8 (B, height, width, 3)."""
        step = max(1, len(frames) // _FRAMES_LOOKED_AT)
        height, width = frames.shape[1:3]
        scale = max(height, width) / _LONG_SIDE
        small = tuple(max(_LEAST_SIDE, round(side / scale)) for side in (width, height))
        grey = np.stack([_small_grey(frame, *small) for frame in frames[::step]])
        across = _steady(np.abs(np.diff(grey, axis=2)))
        down = _steady(np.abs(np.diff(grey, axis=1)))
        return cls(across, down, height, width)

    def rectangle(self, top: int, bottom: int, left: int, right: int) -> Rectangle | None:
        """The part of the pictures between these lines of the small copies; None if nothing is left of
        it. One more line is removed at each side that is not the border of the picture, so that no
        outline remains."""
        rows = _pixels(top, bottom, len(self.across), self.height)
        columns = _pixels(left, right, self.down.shape[1], self.width)
        if rows.stop - rows.start < 1 or columns.stop - columns.start < 1:
            # In a picture of a few pixels, nothing may be left inside the outline.
            return None
        return rows, columns


def _pixels(first: int, last: int, lines: int, length: int) -> slice:
    """Pixels between two of so many lines; `length` pixels in all."""
    # A strip is stretched to the minimum side, so its lines are less than one line of the long side
    # apart.
    scale = length / lines
    start = 0 if first == 0 else round(first * scale) + 1
    return slice(start, length if last == lines else min(length, round(last * scale) - 1))


def _small_grey(frame: UInt8Array, width: int, height: int) -> Float32Array:
    grey: Float32Array = cv2.cvtColor(shrink(frame, width, height), cv2.COLOR_RGB2GRAY).astype(
        np.float32
    )
    return grey


def _steady(edges: Float32Array) -> Float32Array:
    return np.minimum(np.percentile(edges, 25, axis=0), 48.0).astype(np.float32)


def two_lines_away(edges: Float32Array, axis: int) -> tuple[Float32Array, Float32Array]:
    """The edges two lines before and after each, and beyond the ends those at the ends."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (2, 2)
    padded = np.pad(edges, padding, mode="edge")
    length = edges.shape[axis]
    before = np.take(padded, range(length), axis=axis)
    after = np.take(padded, range(4, length + 4), axis=axis)
    return before, after
