"""A picture within the pictures: the rectangle whose outline stays while its content moves."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from common.types import Float32Array, Int64Array
from embedder.visual.steady_edges import MIN_EDGE, Rectangle, SteadyEdges, two_lines_away

_LINES_TRIED = 7
# Minimum side, minimum area and maximum area of an inner picture, as fractions of the picture.
_MIN_SIDE, _MIN_AREA, _MAX_AREA = 0.18, 0.04, 0.85


def inner_rectangle(edges: SteadyEdges) -> Rectangle | None:
    """Rows and columns of a picture within the pictures; None if there is none.

    The result is the rectangle with the steepest sides. In most frames, each side is a straight edge or
    the border of the picture.
    """
    best = _best_rectangle(_contrast(edges.across, axis=1), _contrast(edges.down, axis=0))
    return None if best is None else edges.rectangle(*best)


def _best_rectangle(across: Float32Array, down: Float32Array) -> tuple[int, int, int, int] | None:
    """Top, bottom, left, right of the best rectangle; None if there is none. across: (H, W - 1), edges
    between columns. down: (H - 1, W), edges between rows."""
    height, width = across.shape[0], down.shape[1]
    columns, rows = _lines(across.mean(axis=0), width), _lines(down.mean(axis=1), height)
    # Cumulative sums along each line, so that the sum of a side is one subtraction.
    along_columns = np.concatenate([np.zeros((1, width - 1)), np.cumsum(across, axis=0)])
    along_rows = np.concatenate([np.zeros((height - 1, 1)), np.cumsum(down, axis=1)], axis=1)
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
            if sides and min(sides) >= MIN_EDGE and value > best_value:
                best, best_value = (top, bottom, left, right), value
    return best


def _contrast(edges: Float32Array, axis: int) -> Float32Array:
    """How much steeper each line is than the lines two steps before and after it."""
    return edges - np.maximum(*two_lines_away(edges, axis))


def _lines(strength: Float32Array, length: int) -> list[int]:
    """The possible positions of an edge, as the first line after it, and both ends of the axis;
    increasing."""
    strongest: Int64Array = np.argsort(-strength, kind="stable")[:_LINES_TRIED]
    return sorted({0, length, *(int(line) + 1 for line in strongest)})
