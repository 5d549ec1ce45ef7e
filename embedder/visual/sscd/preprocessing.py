"""Preprocessing of pictures for SSCD, the same for every file format of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from common.resize import shrink
from common.types import Float32Array, UInt8Array

_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def squashed(pictures: Sequence[UInt8Array], side: int) -> UInt8Array:
    """uint8 (B, side, side, 3): whole pictures without their aspect ratio, so that nothing is cut off.

    Recall@1 of insets of 40 % of the side: 97 % scaled to 288, 80 % scaled to 224, 90 % of the middle
    square at 224, and 55 % padded to 224, because bars make pictures similar.
    """
    return np.stack([shrink(picture, side, side) for picture in pictures])


def normalised(squares: UInt8Array) -> Float32Array:
    """float32 (B, 3, side, side), less ImageNet's mean and by its deviation."""
    scaled = (squares.astype(np.float32) / 255.0 - _IMAGENET_MEAN) / _IMAGENET_DEVIATION
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
