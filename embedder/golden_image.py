"""Test pictures for networks, drawn with integer arithmetic, so equal on every machine."""

from __future__ import annotations

import numpy as np

from common.types import UInt8Array

_HEIGHT, _WIDTH = 270, 480


def golden_picture() -> UInt8Array:
    """uint8 (270, 480, 3): discs, bars and a ripple, by integers only."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.int64)
    picture = (
        np.stack([(x * 255) // _WIDTH, (y * 255) // _HEIGHT, ((x * y) // 97) % 256], axis=-1) // 2
        + 40
    )
    for number in range(9):
        centre_x, centre_y = (number * 137 + 60) % _WIDTH, (number * 89 + 40) % _HEIGHT
        disc = (x - centre_x) ** 2 + (y - centre_y) ** 2 < (18 + number * 6) ** 2
        picture[disc] = [(number * 71) % 256, (number * 151 + 90) % 256, (number * 37 + 30) % 256]
    picture[(x // 12 + y // 30) % 11 == 0] = [230, 220, 200]
    return picture.astype(np.uint8)


def sample_pictures() -> list[UInt8Array]:
    """Pictures for the comparison of precisions: a drawn one, mirrored, darkened and cropped."""
    picture = golden_picture()
    return [picture, picture[:, ::-1], picture // 3, picture[40:220, 100:380]]
