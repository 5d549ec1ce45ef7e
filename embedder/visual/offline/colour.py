"""Colour: log ratios of the channels, which a change of light shifts and does not bend."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.visual.offline.windows import pool_cells

_SIDE, _CELLS, _BINS = 48, 4, 8


def colour_blocks(frame: UInt8Array) -> tuple[Float32Array, Float32Array]:
    """Where the colours are, float32 (80,), and which there are, float32 (64,); frame (H, W, 3)."""
    small = cv2.resize(frame, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    red, green, blue = np.moveaxis(np.log(small + 8.0), -1, 0)
    opponent = np.stack([red - green, (red + green) / 2 - blue])
    opponent -= np.median(opponent, axis=(1, 2), keepdims=True)
    opponent = np.tanh(2.0 * opponent)
    means = pool_cells(opponent, _CELLS)
    variance = pool_cells(opponent**2, _CELLS) - means**2
    light = (red + green + blue) / 3
    light = (light - light.mean()) / (light.std() + 0.1)
    layout = np.concatenate(
        [
            means.ravel(),
            0.5 * pool_cells(light, _CELLS).ravel(),
            np.sqrt(np.maximum(variance, 0)).ravel(),
        ]
    )
    bins = np.clip(((opponent + 1.0) * (_BINS / 2)).astype(int), 0, _BINS - 1)
    counts = np.bincount((bins[0] * _BINS + bins[1]).ravel(), minlength=_BINS * _BINS)
    histogram = np.sqrt(counts / counts.sum())
    return layout.astype(np.float32), histogram.astype(np.float32)
