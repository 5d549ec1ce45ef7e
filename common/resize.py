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
