"""Light and dark: the lowest cosine coefficients of a half rank-equalised picture."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.visual.offline.windows import signed_root

_SIDE, _TERMS = 64, 16


def layout_block(grey: UInt8Array) -> Float32Array:
    """float32 (255,) of a grey picture uint8 (H, W)."""
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    # Ranks forget brightness and gamma; levels keep what a flat picture would lose among them.
    order = np.argsort(small.ravel(), kind="stable")
    ranks = np.empty(order.size, dtype=np.float32)
    ranks[order] = np.arange(order.size)
    mixed = 0.5 * ranks.reshape(small.shape) / order.size + 0.5 * small / 255.0
    terms = cv2.dct(mixed - mixed.mean())[:_TERMS, :_TERMS]
    return signed_root(terms.ravel()[1:])
