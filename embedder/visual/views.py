"""Views: ways a copy may have been turned, undone before a query is described."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.types import UInt8Array

IDENTITY = "identity"

# Frames are (B, H, W, 3); the name says what is done to the query's picture.
_VIEWS: dict[str, Callable[[UInt8Array], UInt8Array]] = {
    IDENTITY: lambda frames: frames,
    "flip_h": lambda frames: frames[:, :, ::-1],
    "flip_v": lambda frames: frames[:, ::-1],
    "rotate_90": lambda frames: np.rot90(frames, 1, axes=(1, 2)),
    "rotate_180": lambda frames: frames[:, ::-1, ::-1],
    "rotate_270": lambda frames: np.rot90(frames, 3, axes=(1, 2)),
}
VIEW_NAMES = tuple(_VIEWS)


def apply_view(frames: UInt8Array, view: str) -> UInt8Array:
    """uint8 (B, H, W, 3) seen through a view; quarter turns are counter-clockwise and swap H and W.

    Raises ValueError for a name that is none of VIEW_NAMES.
    """
    if view not in _VIEWS:
        raise ValueError(f"view: expected one of {', '.join(VIEW_NAMES)}, got {view!r}")
    return np.ascontiguousarray(_VIEWS[view](frames))
