"""Converts a decoded frame to an upright 8-bit RGB picture with square pixels."""

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
# Video without a tag is BT.709 from 720 lines on and BT.601 below, as in players.
_HD_LINES = 720
# No camera has a pixel aspect ratio beyond this, so such a value is wrong.
_MAX_SAMPLE_ASPECT = 8.0
_MIN_SIDE, _MAX_STRIP = 32, 16
# Maximum number of cached display matrices (one per rotation and size).
_MAX_MATRICES = 64
# The side data of these codecs is not read. Their decoders give a colour profile (ICC) a name, and PyAV
# frees the name twice, which kills the process. The rotation is known without it, mirroring is not.
_NAMED_PROFILE = frozenset({"png", "apng"})


def to_picture(
    frame: VideoFrame,
    short_side: int | None,
    sample_aspect: float,
    max_area: int,
    matrices: DisplayMatrices,
) -> UInt8Array:
    """A frame as uint8 (H, W, 3), scaled as in `scaled_size` and then turned upright.

    short_side, max_area: see `scaled_size`. sample_aspect: width of a pixel divided by its height. HDR
    (PQ and HLG) is converted to SDR. An alpha channel is ignored; the colours below it are used.
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
    """Even width and height in square pixels; the short side is at most `short_side`, without enlarging.

    The area is at most `max_area`. Strips are squeezed to 16 : 1, and a side below 32 pixels becomes 32,
    because later steps need a minimum size. With short_side None, only the pixels are made square and the
    sides even.
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
    """The rotation part (a, b, c, d) of the display matrices of a video's frames, cached.

    A pixel at (x, y) is shown at (a x + c y, b x + d y) (ISO/IEC 14496-12, 8.2.2).

    In PyAV, a frame and its side data refer to each other. So a frame whose side data was read keeps its
    memory until Python's garbage collector runs, hundreds of large frames later. Therefore the side data
    is read once per rotation and size, and the collector is run before the next read.
    """

    def __init__(self, codec: str) -> None:
        """codec: canonical name of the codec of the frames."""
        self._named_profile = codec in _NAMED_PROFILE
        self._known: dict[tuple[int, int, int], tuple[int, int, int, int] | None] = {}

    def of(self, frame: VideoFrame) -> tuple[int, int, int, int] | None:
        if self._named_profile:
            return _rotation_matrix(frame.rotation) if frame.rotation else None
        key = frame.rotation, frame.width, frame.height
        if key not in self._known:
            if self._known:
                gc.collect()
            if len(self._known) >= _MAX_MATRICES:
                self._known.clear()
            self._known[key] = display_matrix(frame)
        return self._known[key]


def _rotation_matrix(degrees: int) -> tuple[int, int, int, int]:
    """Of a picture that is shown after a rotation by whole quarters, counter-clockwise."""
    cosine, sine = round(math.cos(math.radians(degrees))), round(math.sin(math.radians(degrees)))
    return cosine, -sine, sine, cosine


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """The rotation part of a frame's display matrix; None if it has none. The frame's memory is freed
    only by the garbage collector."""
    _know_all_side_data()
    # Some versions have a type hint of a mapping by name.
    sides: Any = frame.side_data
    data = sides.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
    return a, b, c, d


@cache
def _know_all_side_data() -> None:
    """Make PyAV accept unknown kinds of side data, such as the EXIF data of photographs.

    Otherwise it fails on such a frame. Its enumeration gets a `_missing_` hook that gives members named
    UNKNOWN_N.
    """

    def missing(kind: Any, value: object) -> Any:
        unnamed = object.__new__(kind)
        unnamed._name_, unnamed._value_ = f"UNKNOWN_{value}", value
        return unnamed

    # The type hints do not allow setting attributes.
    kinds: Any = SideDataType
    kinds._missing_ = classmethod(missing)


def turn_upright(picture: Array, matrix: tuple[int, int, int, int] | None) -> Array:
    """Rotate and mirror a picture (H, W, 3) by the quarter turn that is nearest to a display matrix."""
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
