"""What is measured of one picture before anything fitted comes in."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from common.resize import shrink
from common.types import Float32Array, UInt8Array
from embedder.visual.letterbox import trim_border
from embedder.visual.offline.bank import bank_features
from embedder.visual.offline.patches import patches
from embedder.visual.offline.windows import SIDE

_LONG_SIDE = 256


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """bank: float32 (2043,). patches: float32 (P, 128)."""

    bank: Float32Array
    patches: Float32Array


def picture_features(frame: UInt8Array) -> PictureFeatures:
    """Measure a picture uint8 (H, W, 3); black bars are trimmed first."""
    height, width = frame.shape[:2]
    if max(height, width) > _LONG_SIDE:
        scale = _LONG_SIDE / max(height, width)
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        frame = shrink(frame, *size)
    picture = np.ascontiguousarray(trim_border(frame))
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    square = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return PictureFeatures(bank_features(picture, grey, square), patches(square))
