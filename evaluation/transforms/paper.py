"""The fourteen edits of the source paper. `combined` follows its text: crop, mirror and speed."""

from __future__ import annotations

from typing import Any

from common.types import UInt8Array
from evaluation.transforms.base import Film, Transform, TransformContext, TransformResult
from evaluation.transforms.frame_ops import FrameEdit, Prepare, per_frame
from evaluation.transforms.geometric import centre_crop, mirror, rotate_by
from evaluation.transforms.overlay_art import WHITE, logo_stamp, text_stamp
from evaluation.transforms.photometric import brighten, jpeg
from evaluation.transforms.timeline import chain, play, stretch


def _picture(name: str, prepare: Prepare, **parameters: Any) -> Transform:
    return per_frame(name, "paper", prepare, **parameters)


def _speed(factor: float) -> Transform:
    def apply(film: Film, _context: TransformContext) -> TransformResult:
        return play(film, [stretch(0, len(film.frames), factor)])

    return Transform(f"speed_{factor}", "paper", apply, {"factor": factor})


def _watermark(film: Film, _context: TransformContext) -> FrameEdit:
    height, width = film.frames.shape[1:3]
    side = max(6, round(min(height, width) * 0.12))
    letters = text_stamp("SAMPLE TV", side * 0.45, WHITE, 0.5)
    logo = logo_stamp(side, (WHITE, (40, 80, 200)), 0.5)
    margin = max(1, side // 4)
    bottom = height - margin

    def edit(frame: UInt8Array, _number: int) -> UInt8Array:
        picture = frame.copy()
        left = width - margin - letters.picture.shape[1]
        letters.put(picture, left, bottom - (side + letters.picture.shape[0]) // 2)
        logo.put(picture, left - margin - side, bottom - side)
        return picture

    return edit


_CROP = _picture("crop_10", centre_crop(0.1), cut_off_each_side=0.1)
_FLIP = _picture("flip_h", mirror(1), axis="left to right")
_FASTER = _speed(1.1)


def _combined(film: Film, context: TransformContext) -> TransformResult:
    return chain(film, context, (_CROP, _FLIP, _FASTER))


TRANSFORMS = (
    _CROP,
    _picture("crop_20", centre_crop(0.2), cut_off_each_side=0.2),
    _picture("rotate_5", rotate_by(5), degrees=5, corners="black"),
    _picture("rotate_10", rotate_by(10), degrees=10, corners="black"),
    _picture("brightness_20", brighten(1.2), factor=1.2),
    _picture("brightness_40", brighten(1.4), factor=1.4),
    _picture("compress_50", jpeg(50), jpeg_quality=50),
    _picture("compress_25", jpeg(25), jpeg_quality=25),
    _speed(0.9),
    _FASTER,
    _FLIP,
    _picture("flip_v", mirror(0), axis="upside down"),
    _picture("watermark", _watermark, opacity=0.5, corner="bottom right"),
    Transform("combined", "paper", _combined, {"crop": 0.1, "flip": "left to right", "speed": 1.1}),
)
