"""Local detail: dense SIFT-like patches (Lowe, 2004), gathered as VLAD (Jegou et al., 2010)."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from common.types import Array, Float32Array, Int64Array, UInt8Array
from embedder.visual.offline.gradients import direction_maps

PATCH_DIMENSION = 128
_SCALES = ((96, 6), (64, 5))
_DIRECTIONS, _CELLS, _CELL_PIXELS = 8, 4, 5
# Patches flatter than this hold noise.
_MIN_NORM = 8.0
_SHARPNESS, _MIN_WEIGHT = 3.0, 0.1


def patches(square: UInt8Array) -> Float32Array:
    """float32 (P, 128): root-normalised patches of a grey picture uint8 (96, 96), flat ones left out."""
    descriptors = [_at_scale(square, side, step) for side, step in _SCALES]
    return np.concatenate(descriptors)


def vlad(reduced: Array, centres: Float32Array) -> Float32Array:
    """float32 (K * D,): residuals of patches (P, D) to centres (K, D), softly assigned, unit norm."""
    if not len(reduced):
        return np.zeros(centres.size, dtype=np.float32)
    distance = (
        np.square(reduced).sum(axis=1)[:, None]
        - 2.0 * reduced @ centres.T
        + np.square(centres).sum(axis=1)[None]
    )
    weight = np.exp(-_SHARPNESS * (distance - distance.min(axis=1, keepdims=True)))
    weight /= weight.sum(axis=1, keepdims=True)
    weight[weight < _MIN_WEIGHT] = 0.0
    residual = weight.T @ reduced - weight.sum(axis=0)[:, None] * centres
    norm = np.linalg.norm(residual, axis=1, keepdims=True)
    flat = (residual / (norm + 0.5 * np.sqrt(len(reduced)) / 3.0)).ravel()
    flat = np.sign(flat) * np.sqrt(np.abs(flat))
    return (flat / max(float(np.linalg.norm(flat)), 1e-9)).astype(np.float32)


def _at_scale(square: UInt8Array, side: int, step: int) -> Float32Array:
    picture = square
    if side != square.shape[0]:
        picture = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 1.0)
    maps = direction_maps(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1), _DIRECTIONS
    )
    box = 2 * _CELL_PIXELS - 1
    pooled = np.stack([cv2.blur(direction_map, (box, box)) for direction_map in maps])
    rows, columns = _sample_points(side, step)
    cells = pooled[:, rows, columns].reshape(_DIRECTIONS, -1, _CELLS * _CELLS)
    return _normalised(cells.transpose(1, 2, 0).reshape(-1, PATCH_DIMENSION))


def _normalised(raw: Float32Array) -> Float32Array:
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    has_contrast = norm[:, 0] > _MIN_NORM
    # Running sums of the box filter may leave a hair below zero.
    clipped = np.clip(raw[has_contrast] / (norm[has_contrast] + 25.0), 0.0, 0.2)
    clipped /= np.linalg.norm(clipped, axis=1, keepdims=True) + 1e-3
    rooted: Float32Array = np.sqrt(clipped)
    return rooted


@cache
def _sample_points(side: int, step: int) -> tuple[Int64Array, Int64Array]:
    """Rows and columns, int64 (points * points, 16): the cells of every patch."""
    offsets = np.round((np.arange(_CELLS) - (_CELLS - 1) / 2) * _CELL_PIXELS).astype(np.int64)
    margin = 2 * _CELL_PIXELS
    places = np.arange(margin, side - margin, step)
    y, x, oy, ox = np.meshgrid(places, places, offsets, offsets, indexing="ij")
    return (y + oy).reshape(len(places) ** 2, -1), (x + ox).reshape(len(places) ** 2, -1)
