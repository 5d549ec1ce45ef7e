"""Views: the query picture under one transform or crop. One of them shows the same as the original if a
copy was rotated or put into another picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.brightness import brightened
from common.types import UInt8Array
from embedder.visual.regions import CUT_NAMES, FOUND_NAMES, INNER_NAMES, cut, found_regions

IDENTITY = "identity"

# Frames are (B, H, W, 3); the name says what is done to the query's picture.
_WHOLE: dict[str, Callable[[UInt8Array], UInt8Array]] = {
    IDENTITY: lambda frames: frames,
    "flip_h": lambda frames: frames[:, :, ::-1],
    "flip_v": lambda frames: frames[:, ::-1],
    "rotate_90": lambda frames: _rotated(frames, cv2.ROTATE_90_COUNTERCLOCKWISE),
    "rotate_180": lambda frames: _rotated(frames, cv2.ROTATE_180),
    "rotate_270": lambda frames: _rotated(frames, cv2.ROTATE_90_CLOCKWISE),
    "negative": lambda frames: 255 - frames,
}
BRIGHTENED = "brightened"
WHOLE_NAMES = (*_WHOLE, BRIGHTENED)
REGION_NAMES = (*CUT_NAMES, *FOUND_NAMES)
FIRST_VIEWS = (IDENTITY, *INNER_NAMES)
"""The whole picture, and pictures within it, which may be copies although the rest is one, too."""
OTHER_REGIONS = tuple(name for name in REGION_NAMES if name not in INNER_NAMES)
VIEW_NAMES = (*WHOLE_NAMES, *REGION_NAMES)


def _rotated(frames: UInt8Array, code: int) -> UInt8Array:
    """As np.rot90, in a fraction of its time."""
    count, height, width, channels = frames.shape
    sides = (height, width) if code == cv2.ROTATE_180 else (width, height)
    turned = np.empty((count, *sides, channels), np.uint8)
    for frame, place in zip(frames, turned, strict=True):
        cv2.rotate(frame, code, place)
    return turned


def brighten_dark(frames: UInt8Array) -> UInt8Array | None:
    """uint8 (B, H, W, 3) with the dark ones brightened; None if none is dark."""
    brighter = [brightened(frame) for frame in frames]
    if all(frame is None for frame in brighter):
        return None
    return np.stack(
        [frame if new is None else new for frame, new in zip(frames, brighter, strict=True)]
    )


def apply_view(frames: UInt8Array, view: str) -> UInt8Array | None:
    """Pictures through a view: uint8 (B, h, w, 3), of another size perhaps. Rotations are
    counter-clockwise.

    frames: uint8 (B, H, W, 3). None if the pictures have no such region, or are not dark. Raises
    ValueError for a name that is none of VIEW_NAMES."""
    if view in _WHOLE:
        result: UInt8Array | None = _WHOLE[view](frames)
    elif view == BRIGHTENED:
        result = brighten_dark(frames)
    elif view in CUT_NAMES:
        result = cut(frames, view)
    elif view in FOUND_NAMES:
        result = found_regions(frames, [view]).get(view)
    else:
        raise ValueError(f"view: expected one of {', '.join(VIEW_NAMES)}, got {view!r}")
    return None if result is None else np.ascontiguousarray(result)
