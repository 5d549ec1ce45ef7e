"""Geometric edits: crop, rotate, mirror, stretch, frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.transforms.base import Film, TransformContext
from evaluation.transforms.frame_ops import (
    FrameEdit,
    Prepare,
    canvas,
    centred,
    per_frame,
    plain,
    resized,
)

_MIN_SIDE = 2
_STANDARD, _WIDE = 4 / 3, 16 / 9


def centre_crop(share: float) -> Prepare:
    """Keeps (1 - share) of each side, in the middle."""
    return plain(lambda frame: _window(frame, 1.0 - share, 0.5, 0.5))


def corner_crop(share: float) -> Prepare:
    """Keeps (1 - share) of each side, in a random corner."""

    def prepare(_film: Film, context: TransformContext) -> FrameEdit:
        across, down = (float(end) for end in context.rng.integers(0, 2, 2))
        return lambda frame, _number: _window(frame, 1.0 - share, across, down)

    return prepare


def rotate_by(degrees: float) -> Prepare:
    """Rotate about the centre, anti-clockwise; empty corners are black."""

    def edit(frame: UInt8Array) -> UInt8Array:
        height, width = frame.shape[:2]
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
        return cv2.warpAffine(frame, turn, (width, height))

    return plain(edit)


def bars(vertical: float, horizontal: float) -> Prepare:
    """Black bars added: above and below, left and right, each a share of that side."""

    def edit(frame: UInt8Array) -> UInt8Array:
        down, across = round(vertical * frame.shape[0]), round(horizontal * frame.shape[1])
        return cv2.copyMakeBorder(frame, down, down, across, across, cv2.BORDER_CONSTANT)

    return plain(edit)


def limit_short_side(short_side: int) -> Prepare:
    """Shrink to that short side, in pixels; smaller videos are unchanged."""

    def edit(frame: UInt8Array) -> UInt8Array:
        scale = short_side / min(frame.shape[:2])
        if scale >= 1.0:
            return frame
        return resized(frame, round(frame.shape[1] * scale), round(frame.shape[0] * scale))

    return plain(edit)


def mirror(axis: int) -> Prepare:
    """Mirror: 1 left to right, 0 upside down."""
    return plain(lambda frame: cv2.flip(frame, axis))


def _window(frame: UInt8Array, keep: float, across: float, down: float) -> UInt8Array:
    """A window of `keep` of each side; across and down: 0 left and top, 1 right and bottom."""
    height, width = frame.shape[:2]
    kept_height = min(height, max(_MIN_SIDE, round(height * keep)))
    kept_width = min(width, max(_MIN_SIDE, round(width * keep)))
    top, left = round((height - kept_height) * down), round((width - kept_width) * across)
    return np.ascontiguousarray(frame[top : top + kept_height, left : left + kept_width])


def _moving_crop(film: Film, context: TransformContext) -> FrameEdit:
    start, end = context.rng.permutation([0.85, 0.6])
    positions = context.rng.uniform(0.0, 1.0, (2, 2))
    height, width = film.frames.shape[1:3]
    last = max(1, len(film.frames) - 1)

    def edit(frame: UInt8Array, number: int) -> UInt8Array:
        part = number / last
        across, down = positions[0] * (1 - part) + positions[1] * part
        keep = start * (1 - part) + end * part
        return resized(_window(frame, float(keep), float(across), float(down)), width, height)

    return edit


def _stretch(frame: UInt8Array) -> UInt8Array:
    height, width = frame.shape[:2]
    shape = max(height, width) / min(height, width)
    target = _STANDARD if shape > 1.5 or shape < 1.2 else _WIDE
    if width >= height:
        return resized(frame, round(height * target), height)
    return resized(frame, width, round(width * target))


def _perspective(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    size = np.array([width - 1, height - 1], dtype=np.float32)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float32)
    inwards = context.rng.uniform(0.02, 0.14, (4, 2)).astype(np.float32)
    moved = corners + np.where(corners == 0, inwards, -inwards)
    warp = cv2.getPerspectiveTransform(corners * size, (moved * size).astype(np.float32))
    return lambda frame, _number: cv2.warpPerspective(frame, warp, (width, height))


def _border(film: Film, context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    thick = max(1, round(min(height, width) * context.rng.uniform(0.06, 0.14)))
    colour = tuple(int(level) for level in context.rng.integers(20, 236, 3))
    page = canvas(width + 2 * thick, height + 2 * thick, (colour[0], colour[1], colour[2]))
    mask = _rounded(width, height, round(min(height, width) * 0.12))
    rounded = bool(context.rng.integers(0, 2))

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = centred(page.copy(), frame)
        if rounded:
            inner = picture[thick : thick + height, thick : thick + width]
            inner[mask == 0] = colour
        return picture

    return edit


def _rounded(width: int, height: int, radius: int) -> UInt8Array:
    """uint8 (height, width): 255 within a rectangle with round corners."""
    mask = np.zeros((height, width), dtype=np.uint8)
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), 255, -1)
    for x in (radius, width - 1 - radius):
        for y in (radius, height - 1 - radius):
            cv2.circle(mask, (x, y), radius, 255, -1)
    return mask


def _quarter(code: int) -> Callable[[UInt8Array], UInt8Array]:
    return lambda frame: cv2.rotate(frame, code)


TRANSFORMS = (
    per_frame("letterbox", "photometric", bars(0.17, 0.0), bars_of_height=0.17),
    per_frame("pillarbox", "photometric", bars(0.0, 0.35), bars_of_width=0.35),
    per_frame("rotate_30", "photometric", rotate_by(30), degrees=30, corners="black"),
    per_frame("rotate_90", "photometric", plain(_quarter(cv2.ROTATE_90_CLOCKWISE)), degrees=90),
    per_frame("rotate_180", "photometric", plain(_quarter(cv2.ROTATE_180)), degrees=180),
    per_frame("corner_crop_25", "photometric", corner_crop(0.25), cut_off_each_side=0.25),
    per_frame("corner_crop_40", "photometric", corner_crop(0.4), cut_off_each_side=0.4),
    per_frame("moving_crop", "photometric", _moving_crop, kept_of_each_side="0.6 to 0.85"),
    per_frame("stretch", "photometric", plain(_stretch), aspect="4:3, or 16:9 where it is 4:3"),
    per_frame("perspective", "photometric", _perspective, corners_moved="0.02 to 0.14"),
    per_frame("border", "photometric", _border, thickness="0.06 to 0.14", corners="half rounded"),
    per_frame("low_res_144", "photometric", limit_short_side(144), short_side=144),
    per_frame("low_res_96", "photometric", limit_short_side(96), crf=51, short_side=96),
)
