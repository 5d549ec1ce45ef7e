"""One decoded frame as an upright 8-bit RGB picture of square pixels."""

from __future__ import annotations

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


def to_picture(frame: VideoFrame, short_side: int, sample_aspect: float) -> UInt8Array:
    """uint8 (H, W, 3): scaled so that its short side is at most `short_side`, then turned upright.

    sample_aspect: width of a pixel over its height. HDR (PQ and HLG) is brought to SDR; an alpha
    channel is ignored, the colours under it are used.
    """
    width, height = scaled_size(frame.width, frame.height, sample_aspect, short_side)
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
    return np.ascontiguousarray(turn_upright(picture, display_matrix(frame)))


def scaled_size(width: int, height: int, sample_aspect: float, short_side: int) -> tuple[int, int]:
    """Even width and height, square pixels, short side at most `short_side`, never enlarged."""
    square_width = width * sample_aspect if sample_aspect > 1 else float(width)
    square_height = height / sample_aspect if sample_aspect < 1 else float(height)
    scale = min(1.0, short_side / min(square_width, square_height))
    return _even(square_width * scale), _even(square_height * scale)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """The turning part (a, b, c, d) of a frame's display matrix, or None.

    A pixel at (x, y) is shown at (a x + c y, b x + d y) (ISO/IEC 14496-12, 8.2.2).
    """
    # Typed as a mapping of names in some versions.
    sides: Any = frame.side_data
    data = sides.get(SideDataType.DISPLAYMATRIX)
    if data is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
    return a, b, c, d


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
