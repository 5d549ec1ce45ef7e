"""Brightens dark pictures, in which descriptors and keypoints see less."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import UInt8Array

# Grey levels of 255 that 1 % of the pixels exceed. Above the first, a picture is not dark. Below the
# second it is black: what is left is mostly noise.
_DARK, _BLACK = 96, 24
_BRIGHT = 235
_PERCENTILE = 0.99


def brightened(picture: UInt8Array) -> UInt8Array | None:
    """A dark picture, uint8 (H, W, 3), with all its levels multiplied by one number, so that 1 % of its
    pixels are brighter than 235; None if it is not dark, or black.

    The edit `night` (an original with a sixth of its light) is more similar to the original then: the
    median cosine is 0.66 instead of 0.56 with SSCD, and 0.95 instead of 0.77 with `offline`.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    counts = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    level = int(np.searchsorted(counts, _PERCENTILE * counts[-1]))
    if not _BLACK <= level <= _DARK:
        return None
    return cv2.convertScaleAbs(picture, alpha=_BRIGHT / level)
