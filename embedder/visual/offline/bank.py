"""The bank: every block of one picture, 2043 numbers."""

from __future__ import annotations

import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.normalise import unit
from embedder.visual.offline.colour import colour_blocks
from embedder.visual.offline.gabor import gist_blocks
from embedder.visual.offline.gradients import gradient_blocks
from embedder.visual.offline.layout import layout_block

# (size, weight): gist, envelope, fine and coarse gradients, layout, where and which colours.
_BLOCKS = ((512, 1.0), (400, 0.6), (432, 1.0), (300, 0.8), (255, 0.8), (80, 0.6), (64, 0.3))


def bank_features(frame: UInt8Array, grey: UInt8Array, square: UInt8Array) -> Float32Array:
    """float32 (2043,). frame: (H, W, 3); grey: its grey; square: that squashed to 96 x 96."""
    blocks = (
        *gist_blocks(square),
        *gradient_blocks(square),
        layout_block(grey),
        *colour_blocks(frame),
    )
    return np.concatenate(blocks).astype(np.float32)


def balance(features: Float32Array, mean: Float32Array) -> Float32Array:
    """Centre features (..., 2043) and give each block its weight as norm."""
    centred = features - mean
    parts = []
    start = 0
    for size, weight in _BLOCKS:
        parts.append(weight * unit(centred[..., start : start + size]))
        start += size
    return np.concatenate(parts, axis=-1)
