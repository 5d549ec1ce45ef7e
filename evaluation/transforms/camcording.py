"""A screen filmed with a phone: perspective, camera shake, the edge of the screen, moiré stripes."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.transforms.base import Film, TransformContext
from evaluation.transforms.composed import composition
from evaluation.transforms.frame_ops import FrameEdit, canvas
from evaluation.transforms.inserted_video import InsertedVideo
from evaluation.transforms.photometric import shade

# Shares of the picture's sides: width of the screen's edge, and largest displacement of its corners.
_EDGE = 0.035
_NEAREST, _FARTHEST = 0.04, 0.12
# Camera shake, shares of the short side: standard deviation of its steps, and strength of its return.
_STEP, _PULL = 0.004, 0.15
_STRIPES = 0.07


def _camcord(film: Film, context: TransformContext, _guests: Sequence[InsertedVideo]) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    rng = context.rng
    short = min(height, width)
    edge = max(1, round(short * _EDGE))
    screen = canvas(width + 2 * edge, height + 2 * edge, (12, 12, 14))
    wall = canvas(width, height, (96, 88, 80))
    warp = _skew(screen.shape[1], screen.shape[0], width, height, rng)
    shake = _shake(len(film.frames), short, rng)
    # A phone camera makes a screen slightly warm, raises black and clips the brightest white.
    tint = np.array([1.04, 1.0, 0.9], dtype=np.float32) * np.float32(0.86)
    light = (_stripes(width, height, rng) * shade(width, height, 0.65))[..., None] * tint
    lift = canvas(width, height, (14, 14, 14))

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        framed = screen.copy()
        framed[edge : edge + height, edge : edge + width] = frame
        moved = warp.copy()
        moved[:2] += shake[number][:, None] * warp[2]
        filmed = cv2.warpPerspective(
            framed, moved, (width, height), wall.copy(), cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )
        return cv2.add(cv2.multiply(filmed, light, dtype=cv2.CV_8U), lift)

    return edit


def _skew(
    from_width: int, from_height: int, width: int, height: int, rng: np.random.Generator
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """float64 (3, 3): the screen's corners to places a little within the picture."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)
    inwards = rng.uniform(_NEAREST, _FARTHEST, (4, 2)).astype(np.float32)
    places = corners + np.where(corners == 0, inwards, -inwards)
    size_from = np.array([from_width - 1, from_height - 1], dtype=np.float32)
    size = np.array([width - 1, height - 1], dtype=np.float32)
    return cv2.getPerspectiveTransform(corners * size_from, (places * size).astype(np.float32))


def _shake(
    count: int, short: int, rng: np.random.Generator
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """float64 (count, 2): camera displacement in pixels, x and y."""
    steps = rng.normal(0.0, _STEP * short, (count, 2))
    places = np.zeros((count, 2))
    for number in range(1, count):
        places[number] = places[number - 1] * (1 - _PULL) + steps[number]
    return places


def _stripes(
    width: int, height: int, rng: np.random.Generator
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """float32 (height, width): moiré pattern of two grids, around 1."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle = float(rng.uniform(0.2, 1.3))
    length = float(rng.uniform(0.03, 0.06)) * min(width, height)
    along = (x * np.cos(angle) + y * np.sin(angle)) * np.float32(2 * np.pi / max(2.0, length))
    bent = np.sin(along + np.float32(1.5) * np.sin(y * np.float32(3 / height)))
    return (1 + np.float32(_STRIPES) * bent).astype(np.float32)


TRANSFORMS = (
    composition("screen_filming", _camcord, shown="askew, shaken, striped, in the screen's frame"),
)
