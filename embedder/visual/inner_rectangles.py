"""Pictures within the pictures: rectangles whose outlines stay while their content moves."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from common.types import Float32Array, Float64Array, Int64Array
from embedder.visual.steady_edges import MIN_EDGE, Rectangle, SteadyEdges, two_lines_away

_LINES_TRIED = 7
# Minimum side, minimum area and maximum area of an inner picture, as fractions of the picture.
_MIN_SIDE, _MIN_AREA, _MAX_AREA = 0.18, 0.04, 0.85
# A further inner picture shares at most this much of its area with one before it, or of that one's.
_MAX_OVERLAP = 0.1


def inner_rectangles(edges: SteadyEdges, most: int) -> list[Rectangle]:
    """Rows and columns of up to `most` pictures within the pictures, which hardly overlap.

    The rectangles with the steepest sides, steepest first. In most frames, each side is a straight edge
    or the border of the picture.
    """
    found = _steepest(_contrast(edges.across, axis=1), _contrast(edges.down, axis=0), most)
    rectangles = (edges.rectangle(*lines) for lines in found)
    return [rectangle for rectangle in rectangles if rectangle is not None]


def _steepest(across: Float32Array, down: Float32Array, most: int) -> list[tuple[int, ...]]:
    """Top, bottom, left, right of the best rectangles. across: (H, W - 1), edges between columns. down:
    (H - 1, W), edges between rows."""
    height, width = across.shape[0], down.shape[1]
    # All pairs of a first and a last line: rows down the first axis, columns along the second one.
    tops, bottoms = _pairs(down.mean(axis=1), height)[:, :, None]
    lefts, rights = _pairs(across.mean(axis=0), width)[:, None, :]
    areas = (bottoms - tops) * (rights - lefts)
    # Cumulative sums along each line, so that the sum of a side is one subtraction. The border of the
    # picture has none.
    along_columns = np.zeros((height + 1, width + 1))
    along_columns[1:, 1:width] = np.cumsum(across, axis=0)
    along_rows = np.zeros((height + 1, width + 1))
    along_rows[1:height, 1:] = np.cumsum(down, axis=1)
    sides = np.stack(
        [
            *(
                (along_columns[bottoms, x] - along_columns[tops, x]) / (bottoms - tops)
                for x in (lefts, rights)
            ),
            *(
                (along_rows[y, rights] - along_rows[y, lefts]) / (rights - lefts)
                for y in (tops, bottoms)
            ),
        ]
    )
    at_border = np.stack(
        np.broadcast_arrays(lefts == 0, rights == width, tops == 0, bottoms == height)
    )
    shares = areas / (height * width)
    # A real inner picture has all of its sides. Of two candidates, the one with more edge strength wins.
    allowed = ((sides >= MIN_EDGE) | at_border).all(axis=0)
    allowed &= (shares >= _MIN_AREA) & (shares <= _MAX_AREA)
    values: Float64Array = np.where(allowed, sides.sum(axis=0), 0.0)
    found: list[tuple[int, ...]] = []
    while len(found) < most and values.max(initial=0.0) > 0.0:
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        top, bottom = int(tops[row, 0]), int(bottoms[row, 0])
        left, right = int(lefts[0, column]), int(rights[0, column])
        found.append((top, bottom, left, right))
        common = np.clip(np.minimum(bottoms, bottom) - np.maximum(tops, top), 0, None) * np.clip(
            np.minimum(rights, right) - np.maximum(lefts, left), 0, None
        )
        smaller = np.minimum(areas, (bottom - top) * (right - left))
        values = np.where(common > _MAX_OVERLAP * smaller, 0.0, values)
    return found


def _pairs(strength: Float32Array, length: int) -> Int64Array:
    """int64 (2, n): the possible first lines of an inner picture, and the line after its last one: edges
    and both ends of the axis. strength: float32 (length - 1,), of the edges between the lines."""
    strongest = np.argsort(-strength, kind="stable")[:_LINES_TRIED] + 1
    lines = sorted({0, length, *strongest.tolist()})
    pairs = [pair for pair in combinations(lines, 2) if pair[1] - pair[0] >= _MIN_SIDE * length]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2).T


def _contrast(edges: Float32Array, axis: int) -> Float32Array:
    """How much steeper each line is than the lines two steps before and after it."""
    return edges - np.maximum(*two_lines_away(edges, axis))
