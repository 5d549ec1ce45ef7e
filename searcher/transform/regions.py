"""Which rectangle of the query's picture shows the reference, and which part of the reference it is."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np

from common.types import BoolArray, Float32Array, Float64Array, UInt8Array

Region: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom as fractions of a picture's width and height."""
WHOLE: Region = (0.0, 0.0, 1.0, 1.0)
WHOLE_SIDE = 0.96
"""A region whose side is at least this long is whole: what is missing may be an encoder's edge."""

_GRID = 16
# Of the pictures that are compared: coarse, as strong compression leaves only coarse detail.
_SIDE = 128
# Least standard deviation of the grey levels of a cell that shows something.
_TEXTURE = 5.0
AGREES = 0.35
"""A cell agrees if the correlation of its pixels is above this."""
# What a cell counts that shows nothing: enough to keep it, too little to outweigh one that disagrees.
_NEUTRAL = 0.02
# The rectangle is cut only where at least this share of a side goes: moving things disagree too.
_LEAST_CUT = 0.08


def is_whole(region: Region) -> bool:
    """Whether a region is the whole picture."""
    left, top, right, bottom = region
    return right - left >= WHOLE_SIDE and bottom - top >= WHOLE_SIDE


def corners_of(region: Region, width: int, height: int) -> Float64Array:
    """float64 (4, 2): the corners of a region of a picture, xy in pixels, clockwise from the top left."""
    left, top, right, bottom = region
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return corners * (float(width), float(height))


def projected(matrix: Float64Array, width: int, height: int) -> Float64Array:
    """float64 (4, 2): where the corners of a picture land, clockwise from the top left."""
    return corners_of(WHOLE, width, height) @ matrix[:, :2].T + matrix[:, 2]


def bounds(corners: Float64Array, width: int, height: int) -> Region | None:
    """The rectangle around the part of a polygon that lies inside a picture; None if none does.

    corners: float64 (N, 2), xy in pixels. Sutherland and Hodgman's clipping: OpenCV's is wrong where
    corners nearly coincide.
    """
    polygon = corners / (width, height)
    for axis in (0, 1):
        for limit, sign in ((0.0, 1.0), (1.0, -1.0)):
            polygon = _clipped(polygon, axis, limit, sign)
    if len(polygon) < 3:
        return None
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if not (high > low).all():
        return None
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _clipped(polygon: Float64Array, axis: int, limit: float, sign: float) -> Float64Array:
    """The part of a polygon on one side of a line that is parallel to an axis."""
    depth = sign * (polygon[:, axis] - limit) if len(polygon) else np.zeros(0)
    kept = []
    for number, here in enumerate(depth):
        before = depth[number - 1]
        if (here >= 0) != (before >= 0):
            share = before / (before - here)
            kept.append(polygon[number - 1] + share * (polygon[number] - polygon[number - 1]))
        if here >= 0:
            kept.append(polygon[number])
    return np.array(kept).reshape(-1, 2)


def agreement(
    query: UInt8Array, reference: UInt8Array, matrix: Float64Array
) -> tuple[Float32Array, BoolArray]:
    """Correlation of the query with the reference laid over it, by cell of a grid.

    query, reference: grey, uint8 (H, W). matrix: float64 (3, 3), from pixels of the reference to pixels
    of the query. Returns float32 (16, 16), -1 to 1, and bool (16, 16): whether
    the cell shows something in either picture, inside the reference.
    """
    height, width = query.shape
    laid = cv2.warpPerspective(reference, matrix, (width, height))
    inside = cv2.warpPerspective(np.full(reference.shape, 255, np.uint8), matrix, (width, height))
    size = (_SIDE, _SIDE)
    q, r = (
        cv2.resize(one, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        for one in (query, laid)
    )
    covered = _means(cv2.resize(inside, size).astype(np.float32)) > 250.0
    q_mean, r_mean = _means(q), _means(r)
    q_spread = np.sqrt(np.maximum(_means(q * q) - q_mean**2, 0.0))
    r_spread = np.sqrt(np.maximum(_means(r * r) - r_mean**2, 0.0))
    together = _means(q * r) - q_mean * r_mean
    correlation = together / np.maximum(q_spread * r_spread, _TEXTURE**2 / 4)
    shows = covered & (np.maximum(q_spread, r_spread) > _TEXTURE)
    return np.clip(correlation, -1.0, 1.0).astype(np.float32), shows


def agreeing_region(correlation: Float32Array, shows: BoolArray, expected: Region) -> Region:
    """The part of the expected rectangle in which the pictures agree.

    correlation, shows: (16, 16), as from `agreement`. Sides at which little disagrees stay where they
    are.
    """
    value = np.where(shows, np.where(correlation > AGREES, 1.0, -1.0), _NEUTRAL)
    edges = np.arange(_GRID + 1) / _GRID
    columns = (edges[:-1] + edges[1:]) / 2
    outside_x = (columns < expected[0]) | (columns > expected[2])
    outside_y = (columns < expected[1]) | (columns > expected[3])
    value[:, outside_x] = value[outside_y] = -float(_GRID)
    found = _best_rectangle(value)
    if found is None:
        return expected
    cut = tuple(edges[place] for place in found)
    width, height = expected[2] - expected[0], expected[3] - expected[1]
    least = (_LEAST_CUT * width, _LEAST_CUT * height) * 2
    sides = [
        float(side) if abs(side - wanted) > max(by, 1 / _GRID) else wanted
        for side, wanted, by in zip(cut, expected, least, strict=True)
    ]
    return (sides[0], sides[1], sides[2], sides[3])


def _best_rectangle(value: Float64Array) -> tuple[int, int, int, int] | None:
    """Left, top, right, bottom of the rectangle with the largest sum; None if no sum is positive."""
    best, found = 0.0, None
    rows = len(value)
    sums = np.zeros((rows + 1, rows + 1))
    sums[1:, 1:] = value.cumsum(axis=0).cumsum(axis=1)
    for top in range(rows):
        for bottom in range(top + 1, rows + 1):
            strip = sums[bottom] - sums[top]
            lowest = np.minimum.accumulate(strip)
            gain = strip - lowest
            right = int(gain.argmax())
            if gain[right] > best + 1e-9:
                best = float(gain[right])
                found = (int(strip[: right + 1].argmin()), top, right, bottom)
    return found


def _means(picture: Float32Array) -> Float32Array:
    """float32 (16, 16): the mean of each cell of a picture of 128 x 128."""
    cell = _SIDE // _GRID
    means: Float32Array = picture.reshape(_GRID, cell, _GRID, cell).mean(axis=(1, 3))
    return means
