"""The cells of a picture that is a grid of pictures, such as a video wall."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np

from common.types import Float32Array, Float64Array
from embedder.visual.steady_edges import MIN_EDGE, Rectangle, SteadyEdges, two_lines_away

MOST_CELLS = 16
_LEAST_CELLS = 3
_PARTS_TRIED = (5, 4, 3, 2)
# A seam between two cells goes on from end to end, but cannot be seen where both pictures are alike. So
# at least so much of each seam must be an edge, and so much of all seams together.
_LEAST_SEEN, _LEAST_SEEN_OF_ALL = 0.65, 0.8
# A seam is so near the place where it is expected, as a fraction of the picture. If there is a border
# between two cells, both its edges are.
_SLACK = 0.03


def cells(edges: SteadyEdges) -> list[Rectangle]:
    """The cells of a grid with equal cells, row by row; empty if there is none, or if it has more than
    MOST_CELLS.

    Two or four cells are no grid: they are halves and quarters, which are looked at in any case.
    """
    rows, columns = _parts(edges.down), _parts(edges.across.T)
    if len(rows) == len(columns) == 2 or not (
        _LEAST_CELLS <= len(rows) * len(columns) <= MOST_CELLS
    ):
        return []
    found = (edges.rectangle(*row, *column) for row, column in product(rows, columns))
    return [cell for cell in found if cell is not None]


def _parts(edges: Float32Array) -> list[tuple[int, int]]:
    """The rows of a grid: the first line of each, and the line after its last one; all lines as one if
    there is no seam. edges: float32 (N - 1, M), between its N lines."""
    lines = len(edges) + 1
    seen = _seen(edges)
    for parts in _PARTS_TRIED:
        seams = [_seam(seen, lines * number / parts) for number in range(1, parts)]
        if all(strength >= _LEAST_SEEN for *_, strength in seams) and (
            np.mean([strength for *_, strength in seams]) >= _LEAST_SEEN_OF_ALL
        ):
            bounds = [(0, 0), *((first, last) for first, last, _ in seams), (lines, lines)]
            return [(last, first) for (_, last), (first, _) in pairwise(bounds)]
    return [(0, lines)]


def _seen(edges: Float32Array) -> Float64Array:
    """float64 (N - 1,): how much of each line is an edge, steeper than the lines two steps before it or
    after it. On its other side may be the other edge of a border. Where a seam lies between two lines, a
    part of its edge is in each."""
    seen = edges - np.minimum(*two_lines_away(edges, axis=0)) >= MIN_EDGE
    return (seen | np.roll(seen, -1, axis=0)).mean(axis=1)


def _seam(seen: Float64Array, expected: float) -> tuple[int, int, float]:
    """First and last line of the seam near a place, and how much of it is seen."""
    slack = max(1.0, _SLACK * (len(seen) + 1))
    first = max(0, round(expected - slack) - 1)
    near = seen[first : round(expected + slack)]
    strong = np.flatnonzero(near >= _LEAST_SEEN)
    if not len(strong):
        return 0, 0, 0.0
    return first + int(strong[0]) + 1, first + int(strong[-1]) + 1, float(near.max())
