"""Finds regions that move relative to the camera, and cuts, between two pictures."""

from __future__ import annotations

import cv2
import numpy as np

from common.resize import shrink
from common.types import Array, BoolArray, Float32Array, Float64Array, UInt8Array
from embedder.tracking.camera import camera_flow

# Flow is computed on small grey pictures: objects of a few pixels are enough to describe motion.
_LONG_SIDE = 160
# OpenCV 5's DIS flow chooses its coarsest scale from the width alone. If the height has less than a patch
# of 8 rows there, it reads outside its memory: 80 columns with 31 rows crash the process.
_MIN_SIDE = 32
# A mean grey difference above this is a cut; flow across a cut has no meaning.
_CUT_DIFFERENCE = 45.0
_MIN_MOTION_PIXELS = 0.6
_MIN_AREA_SHARE = 0.004
_MAX_AREA_SHARE = 0.5


def small_grey(frame: UInt8Array) -> UInt8Array:
    """A grey picture, uint8 (h, w), from uint8 (H, W, 3): long side at most 160 pixels, short side at
    least 32.

    Pictures beyond 5 : 1 are stretched to the 32 pixels that flow needs.
    """
    height, width = frame.shape[:2]
    scale = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(_MIN_SIDE, round(width * scale)), max(_MIN_SIDE, round(height * scale)))
    return shrink(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), *size)


def is_cut(before: UInt8Array, now: UInt8Array) -> bool:
    """Whether two small grey pictures show different scenes."""
    return float(cv2.absdiff(before, now).mean()) > _CUT_DIFFERENCE


class FlowFinder:
    """Dense optical flow (OpenCV's DIS, ultrafast) minus the camera's motion."""

    def __init__(self) -> None:
        self._finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def residual(self, before: UInt8Array, now: UInt8Array) -> Float32Array:
        """The motion from `before` to `now`: float32 (h, w, 2), in pixels of the small picture, at
        positions in `before`. Raises ValueError for pictures that are too small for DIS or of different
        sizes."""
        if min(before.shape) < _MIN_SIDE or before.shape != now.shape:
            raise ValueError(
                f"flow: expected two pictures of at least {_MIN_SIDE} rows and columns, "
                f"got {before.shape} and {now.shape}"
            )
        flow = self._finder.calc(before, now, None)
        return flow - camera_flow(flow)


def moving_regions(residual: Float32Array) -> tuple[Array, list[int], Array, Float64Array]:
    """Connected regions that move relative to the camera, largest first.

    residual: float32 (h, w, 2), pixels. Returns the label of every pixel, int32 (h, w); the labels of the
    kept regions; and, indexed by label, the number of pixels and the centroids, float64 (labels, 2), xy
    in pixels.
    """
    speed = cv2.GaussianBlur(_lengths(residual), (0, 0), 1.5)
    threshold = max(_MIN_MOTION_PIXELS, 3.0 * float(np.median(speed[::2, ::2])))
    moving: BoolArray = speed > threshold
    count, labels, stats, centroids = cv2.connectedComponentsWithStats(moving.astype(np.uint8))
    pixels = stats[:, cv2.CC_STAT_AREA]
    large_enough = [
        label
        for label in range(1, count)
        if _MIN_AREA_SHARE <= pixels[label] / speed.size <= _MAX_AREA_SHARE
    ]
    return labels, sorted(large_enough, key=lambda label: -pixels[label]), pixels, centroids


def moving_points(before: UInt8Array, now: UInt8Array, finder: FlowFinder) -> Float64Array:
    """Points on each moving region of `before`, largest region first.

    There are two points per region: the one deepest inside, because the centroid of a bent region may lie
    outside it, and the fastest one, because flow spreads from an object over plain ground around it.
    Returns float64 (P, 2), xy as fractions of width and height.
    """
    residual = finder.residual(before, now)
    speed = _lengths(residual)
    labels, regions, _, _ = moving_regions(residual)
    points = []
    for label in regions:
        inside = cv2.copyMakeBorder(
            (labels == label).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0
        )
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
        for strength in (depth, np.where(labels == label, speed, -1)):
            y, x = np.unravel_index(int(np.argmax(strength)), strength.shape)
            points.append(((x + 0.5) / depth.shape[1], (y + 0.5) / depth.shape[0]))
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _lengths(vectors: Float32Array) -> Float32Array:
    """Lengths, float32 (h, w), of vectors (h, w, 2). The rounding of cv2.magnitude would depend on the
    memory layout."""
    across, down = vectors[..., 0], vectors[..., 1]
    lengths: Float32Array = np.sqrt(across * across + down * down)
    return lengths
