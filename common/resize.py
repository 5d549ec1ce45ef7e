"""Fast reduction of pictures."""

from __future__ import annotations

import cv2

from common.types import UInt8Array


def shrink(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """Resize (H, W) or (H, W, 3) to `width` x `height` by area averaging.

    OpenCV averages 2 x 2 blocks ten times faster than other areas, so a large picture is halved until it
    is less than twice the target size.
    """
    while (
        picture.shape[0] >= 2 * height
        and picture.shape[1] >= 2 * width
        and picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    ):
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return picture


def shrink_to(picture: UInt8Array, short_side: int) -> UInt8Array:
    """The picture, (H, W) or (H, W, 3), with a short side of at most `short_side` pixels."""
    height, width = picture.shape[:2]
    scale = min(1.0, short_side / min(height, width))
    return shrink(picture, max(1, round(width * scale)), max(1, round(height * scale)))
