"""Pictures of several sizes brought to one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2

from common.types import UInt8Array


def one_size(pictures: Sequence[UInt8Array]) -> list[UInt8Array]:
    """Pictures, each (H, W, 3), in the size that most of them have; of several such, the first's.

    The others are stretched, not padded: the visual backends stretch pictures to a square themselves, so
    each still shows them the whole of its content and nothing else.
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
