"""Pictures within the pictures: rectangles whose outlines stay while their content moves."""

from __future__ import annotations

from dataclasses import dataclass
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
    across, down = _contrast(edges.across, axis=1), _contrast(edges.down, axis=0)
    candidates = _Candidates.of(across, down)
    values = candidates.values(across, down)
    found: list[Rectangle | None] = []
    while len(found) < most and values.max(initial=0.0) > 0.0:
        best = candidates.lines(int(values.argmax()))
        found.append(edges.rectangle(*best))
        values = np.where(candidates.overlap(*best) > _MAX_OVERLAP, 0.0, values)
    return [rectangle for rectangle in found if rectangle is not None]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Every rectangle between two rows and two columns of a picture of height x width lines. tops,
    bottoms: int64 (R, 1); lefts, rights: int64 (1, C); the line after the last one."""

    tops: Int64Array
    bottoms: Int64Array
    lefts: Int64Array
    rights: Int64Array
    height: int
    width: int

    @classmethod
    def of(cls, across: Float32Array, down: Float32Array) -> _Candidates:
        """Between the steepest lines. across: float32 (height, width - 1), contrast between columns;
        down: float32 (height - 1, width), between rows."""
        height, width = across.shape[0], down.shape[1]
        tops, bottoms = _pairs(down.mean(axis=1), height)[:, :, None]
        lefts, rights = _pairs(across.mean(axis=0), width)[:, None, :]
        return cls(tops, bottoms, lefts, rights, height, width)

    def values(self, across: Float32Array, down: Float32Array) -> Float64Array:
        """float64 (R, C): the steepness of all sides together; 0 for what is no inner picture. It has all
        of its sides; the border of the picture is one."""
        sides = self._sides(across, down)
        borders = (
            *(self.tops == 0, self.bottoms == self.height),
            *(self.lefts == 0, self.rights == self.width),
        )
        whole = [(side >= MIN_EDGE) | border for side, border in zip(sides, borders, strict=True)]
        shares = self._areas / (self.height * self.width)
        allowed = np.logical_and.reduce([*whole, shares >= _MIN_AREA, shares <= _MAX_AREA])
        return np.where(allowed, sum(sides), 0.0)

    def overlap(self, top: int, bottom: int, left: int, right: int) -> Float64Array:
        """float64 (R, C): the area shared with a rectangle, as a share of the smaller one of both."""
        rows = np.minimum(self.bottoms, bottom) - np.maximum(self.tops, top)
        columns = np.minimum(self.rights, right) - np.maximum(self.lefts, left)
        shared = np.clip(rows, 0, None) * np.clip(columns, 0, None)
        return shared / np.minimum(self._areas, (bottom - top) * (right - left))

    def lines(self, number: int) -> tuple[int, int, int, int]:
        """Top, bottom, left and right of a candidate."""
        row, column = divmod(number, self.lefts.shape[1])
        return (
            *(int(self.tops[row, 0]), int(self.bottoms[row, 0])),
            *(int(self.lefts[0, column]), int(self.rights[0, column])),
        )

    @property
    def _areas(self) -> Int64Array:
        return (self.bottoms - self.tops) * (self.rights - self.lefts)

    def _sides(self, across: Float32Array, down: Float32Array) -> list[Float64Array]:
        """Mean contrast of the top, bottom, left and right side of each, float64 (R, C); 0 at the border
        of the picture."""
        # Cumulative sums along each line, so that the sum of a side is one subtraction.
        along_rows = np.zeros((self.height + 1, self.width + 1))
        along_rows[1 : self.height, 1:] = np.cumsum(down, axis=1)
        along_columns = np.zeros((self.height + 1, self.width + 1))
        along_columns[1:, 1 : self.width] = np.cumsum(across, axis=0)
        rows, columns = self.bottoms - self.tops, self.rights - self.lefts
        return [
            *(
                (along_rows[y, self.rights] - along_rows[y, self.lefts]) / columns
                for y in (self.tops, self.bottoms)
            ),
            *(
                (along_columns[self.bottoms, x] - along_columns[self.tops, x]) / rows
                for x in (self.lefts, self.rights)
            ),
        ]


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
