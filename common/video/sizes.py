"""Scales pictures of several sizes to one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2

from common.types import UInt8Array


def one_size(pictures: Sequence[UInt8Array]) -> list[UInt8Array]:
    """Scale pictures, each (H, W, 3), to the most frequent size; of equally frequent ones, the first.

    The other pictures are stretched, not padded. The visual backends stretch every picture to a square
    anyway, so they see its complete content and no borders.
    """
    sizes = Counter(picture.shape[:2] for picture in pictures)
    if len(sizes) < 2:
        return list(pictures)
    height, width = sizes.most_common(1)[0][0]
    return [
        picture
        if picture.shape[:2] == (height, width)
        else cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        for picture in pictures
    ]
