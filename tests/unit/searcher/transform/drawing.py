"""Pictures of many shapes, made on the spot, and edits of them."""

from functools import cache

import cv2
import numpy as np

from common.types import UInt8Array

WIDTH, HEIGHT = 240, 176


@cache
def drawn(seed: int, width: int = WIDTH, height: int = HEIGHT) -> UInt8Array:
    """uint8 (height, width, 3): overlapping ellipses and boxes in bright colours; do not write on it."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), 90, np.uint8)
    for number in range(90):
        colour = tuple(int(level) for level in rng.integers(0, 256, 3))
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        a, b = (int(side) for side in rng.integers(4, 22, 2))
        if number % 2:
            cv2.rectangle(picture, (x - a, y - b), (x + a, y + b), colour, -1)
        else:
            cv2.ellipse(picture, (x, y), (a, b), int(rng.integers(0, 180)), 0, 360, colour, -1)
    picture.flags.writeable = False
    return picture


def grey(picture: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def turned(picture: UInt8Array, quarters: int) -> UInt8Array:
    """Turned clockwise by quarters of a turn."""
    return np.ascontiguousarray(np.rot90(picture, -quarters))
