"""Operations on single pictures: resize, fit, paste, edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import cv2
import numpy as np

from common.types import UInt8Array
from evaluation.records import CopiedRange
from evaluation.transforms.base import Film, Group, Transform, TransformContext, TransformResult

FrameEdit: TypeAlias = Callable[[UInt8Array, int], UInt8Array]
"""From a frame, uint8 (H, W, 3), and its number to a frame; all frames of a video get one size."""
Prepare: TypeAlias = Callable[[Film, TransformContext], FrameEdit]
"""Draws the random parameters of an edit, once per video."""


def per_frame(
    name: str, group: Group, prepare: Prepare, *, crf: int | None = None, **parameters: Any
) -> Transform:
    """A transform that edits every frame separately; time is unchanged. crf: of the encoder, if it is a
    part of the transform."""

    def apply(film: Film, context: TransformContext) -> TransformResult:
        result = TransformResult(each(film, prepare(film, context)), whole(film))
        return result if crf is None else replace(result, crf=crf)

    if crf is not None:
        parameters["crf"] = crf
    return Transform(name, group, apply, parameters)


def plain(edit: Callable[[UInt8Array], UInt8Array]) -> Prepare:
    """For an edit that is the same for every frame of every film."""
    return lambda _film, _context: lambda frame, _number: edit(frame)


def each(film: Film, edit: FrameEdit) -> Film:
    """The video with every frame edited; only one extra frame is in memory."""
    first = edit(film.frames[0], 0)
    frames = np.empty((len(film.frames), *first.shape), dtype=np.uint8)
    frames[0] = first
    for number in range(1, len(frames)):
        frames[number] = edit(film.frames[number], number)
    return Film(frames, film.frames_per_second)


def whole(film: Film) -> tuple[CopiedRange, ...]:
    """One range of the whole video, for transforms that leave time unchanged."""
    return (CopiedRange(0.0, film.duration_seconds, 0.0, film.duration_seconds),)


def resized(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """Resize to `width` x `height` (at least 1 x 1); area averaging if the picture shrinks."""
    width, height = max(1, width), max(1, height)
    if picture.shape[:2] == (height, width):
        return picture
    shrinks = height <= picture.shape[0] and width <= picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=interpolation)


def cover(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """The centre of a picture with the aspect ratio `width` : `height`, resized to it."""
    own_height, own_width = picture.shape[:2]
    scale = min(own_width / width, own_height / height)
    kept_width = min(own_width, max(1, round(width * scale)))
    kept_height = min(own_height, max(1, round(height * scale)))
    left, top = (own_width - kept_width) // 2, (own_height - kept_height) // 2
    middle = picture[top : top + kept_height, left : left + kept_width]
    return resized(np.ascontiguousarray(middle), width, height)


def contain(picture: UInt8Array, width: int, height: int) -> UInt8Array:
    """The whole picture with its aspect ratio, as large as fits into `width` x `height`."""
    scale = min(width / picture.shape[1], height / picture.shape[0])
    return resized(
        picture,
        min(width, max(1, round(picture.shape[1] * scale))),
        min(height, max(1, round(picture.shape[0] * scale))),
    )


def canvas(width: int, height: int, colour: tuple[int, int, int] = (0, 0, 0)) -> UInt8Array:
    """A picture of one RGB colour."""
    page = np.empty((height, width, 3), dtype=np.uint8)
    page[:] = colour
    return page


def paste(page: UInt8Array, picture: UInt8Array, left: int, top: int) -> None:
    """Put a picture on a page, in place; parts outside are cut off."""
    height, width = page.shape[:2]
    from_left, from_top = max(0, -left), max(0, -top)
    to_right = min(picture.shape[1], width - left)
    to_bottom = min(picture.shape[0], height - top)
    if to_right > from_left and to_bottom > from_top:
        page[top + from_top : top + to_bottom, left + from_left : left + to_right] = picture[
            from_top:to_bottom, from_left:to_right
        ]


def centred(page: UInt8Array, picture: UInt8Array) -> UInt8Array:
    """Put a picture in the middle of a page, in place, and return the page."""
    left = (page.shape[1] - picture.shape[1]) // 2
    top = (page.shape[0] - picture.shape[0]) // 2
    paste(page, picture, left, top)
    return page


def apply_levels(frame: UInt8Array, levels: UInt8Array) -> UInt8Array:
    """Replace every value by its entry in a table, uint8 (256,)."""
    return cv2.LUT(frame, levels)


def table(curve: Callable[[np.ndarray[Any, np.dtype[np.float64]]], Any]) -> UInt8Array:
    """uint8 (256,): a curve over values of 0 to 255, rounded and cut off there."""
    return np.clip(np.round(curve(np.arange(256.0))), 0, 255).astype(np.uint8)
