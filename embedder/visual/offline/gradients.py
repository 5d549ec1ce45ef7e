"""Histograms of oriented gradients (Dalal and Triggs, 2005), with signed directions and soft cells."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.visual.offline.windows import SIDE, pool_cells, signed_root

_DIRECTIONS = 12
# Gradients are divided by the mean around them, so that contrast matters little.
_SURROUND = SIDE // 3 | 1


def gradient_blocks(grey: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """fine float32 (432,) and coarse float32 (300,) of a grey picture uint8 (96, 96)."""
    half = cv2.resize(grey, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    return _histogram(grey, 1.0, 6), _histogram(half, 1.5, 5)


def direction_maps(gx: Float32Array, gy: Float32Array, count: int) -> Float32Array:
    """Gradient magnitude shared between the two nearest of `count` directions: (count, H, W)."""
    magnitude = np.hypot(gx, gy)
    angle = cv2.phase(gx, gy) * (count / (2 * np.pi))
    difference = np.abs(angle[None] - np.arange(count, dtype=np.float32)[:, None, None])
    shared: Float32Array = magnitude * np.maximum(
        0.0, 1.0 - np.minimum(difference, count - difference)
    )
    return shared


def _histogram(grey: UInt8Array, sigma: float, cells: int) -> Float32Array:
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), sigma)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    # cv2.magnitude rounds by how its arrays lie in memory.
    magnitude = np.sqrt(gx * gx + gy * gy)
    local_mean = cv2.blur(magnitude, (_SURROUND, _SURROUND)) + 0.02 * float(magnitude.max()) + 2.0
    maps = direction_maps(gx / local_mean, gy / local_mean, _DIRECTIONS)
    return signed_root(pool_cells(maps, cells).ravel())
