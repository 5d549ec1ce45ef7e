"""One decoded frame as an upright 8-bit RGB picture of square pixels."""

from __future__ import annotations

import gc
import math
from functools import cache
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, ColorTrc, Interpolation

from common.types import Array, UInt8Array
from common.video.hdr import to_sdr

_HDR_CURVES = {int(ColorTrc.SMPTE2084): "pq", int(ColorTrc.ARIB_STD_B67): "hlg"}
_KNOWN_MATRICES = {int(matrix): matrix for matrix in Colorspace} | {6: Colorspace.ITU601}
# Untagged video is BT.709 from 720 lines on and BT.601 below, as players assume.
_HD_LINES = 720
# No camera has pixels of another shape than this; what says so is wrong.
_MAX_SAMPLE_ASPECT = 8.0
_MIN_SIDE, _MAX_STRIP = 32, 16
# Sizes and rotations of one video whose display matrix is kept.
_MAX_MATRICES = 64


def to_picture(
    frame: VideoFrame,
    short_side: int | None,
    sample_aspect: float,
    max_area: int,
    matrices: DisplayMatrices,
) -> UInt8Array:
    """uint8 (H, W, 3): scaled by `scaled_size`, then turned upright.

    sample_aspect: width of a pixel over its height. HDR (PQ and HLG) is brought to SDR; an alpha
    channel is ignored, the colours under it are used.
    """
    width, height = scaled_size(frame.width, frame.height, sample_aspect, short_side, max_area)
    curve = _HDR_CURVES.get(int(frame.color_trc))
    picture: Array = frame.reformat(
        width=width,
        height=height,
        format="rgb48le" if curve else "rgb24",
        src_colorspace=_matrix(frame),
        src_color_range=ColorRange.JPEG if _is_full_range(frame) else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.AREA,
        threads=1,
    ).to_ndarray()
    if curve:
        picture = to_sdr(picture, curve)
    return np.ascontiguousarray(turn_upright(picture, matrices.of(frame)))


def scaled_size(
    width: int, height: int, sample_aspect: float, short_side: int | None, max_area: int
) -> tuple[int, int]:
    """Even width and height, in square pixels, short side at most `short_side`, never enlarged.

    The area is at most `max_area`. Strips are squashed to 16 : 1, and a side under 32 pixels is made 32:
    what looks at a picture later needs some lines of it. short_side: None leaves the picture's size.
    """
    if not 1 / _MAX_SAMPLE_ASPECT <= sample_aspect <= _MAX_SAMPLE_ASPECT:
        sample_aspect = 1.0
    square_width = width * sample_aspect if sample_aspect > 1 else float(width)
    square_height = height / sample_aspect if sample_aspect < 1 else float(height)
    if short_side is None:
        return _even(square_width), _even(square_height)
    scale = min(1.0, short_side / min(square_width, square_height))
    scale = min(scale, math.sqrt(max_area / (square_width * square_height)))
    wide = max(_MIN_SIDE, _even(square_width * scale))
    high = max(_MIN_SIDE, _even(square_height * scale))
    wide, high = min(wide, _MAX_STRIP * high), min(high, _MAX_STRIP * wide)
    while wide * high > max_area and max(wide, high) > _MIN_SIDE:
        wide, high = (wide - 2, high) if wide >= high else (wide, high - 2)
    return wide, high


class DisplayMatrices:
    """The turning part (a, b, c, d) of the display matrices of a video's frames, or None.

    A pixel at (x, y) is shown at (a x + c y, b x + d y) (ISO/IEC 14496-12, 8.2.2).

    PyAV's side data and its frame hold each other, so that a frame whose side data was looked at keeps
    its memory until Python next looks for such cycles: hundreds of large frames later. So it is looked at
    once for each rotation and size, and the cycle is broken up before the next.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int], tuple[int, int, int, int] | None] = {}

    def of(self, frame: VideoFrame) -> tuple[int, int, int, int] | None:
        key = frame.rotation, frame.width, frame.height
        if key not in self._known:
            if self._known:
                gc.collect()
            if len(self._known) >= _MAX_MATRICES:
                self._known.clear()
            self._known[key] = display_matrix(frame)
        return self._known[key]


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """The turning part of one frame's display matrix, or None; the frame then lives on for a while."""
    _know_all_side_data()
    # Typed as a mapping of names in some versions.
    sides: Any = frame.side_data
    data = sides.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
    return a, b, c, d


@cache
def _know_all_side_data() -> None:
    """PyAV fails on a frame with a kind of side data it has no name for, as the EXIF data of photographs.

    Its enumeration is given the way of Python's for values that are not members: one without a name.
    """

    def missing(kind: Any, value: object) -> Any:
        unnamed = object.__new__(kind)
        unnamed._name_, unnamed._value_ = f"UNKNOWN_{value}", value
        return unnamed

    # Typed as if nothing could be set on it.
    kinds: Any = SideDataType
    kinds._missing_ = classmethod(missing)


def turn_upright(picture: Array, matrix: tuple[int, int, int, int] | None) -> Array:
    """Turn and mirror (H, W, 3) by the nearest quarter turn of a display matrix."""
    if matrix is None:
        return picture
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flip_x, flip_y = a < 0, d < 0
    else:
        picture = picture.transpose(1, 0, 2)
        flip_x, flip_y = c < 0, b < 0
    return picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def _matrix(frame: VideoFrame) -> Colorspace:
    tagged = _KNOWN_MATRICES.get(int(frame.colorspace))
    if tagged is not None:
        return tagged
    return Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601


def _is_full_range(frame: VideoFrame) -> bool:
    return int(frame.color_range) == int(ColorRange.JPEG) or frame.format.name.startswith("yuvj")


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)
