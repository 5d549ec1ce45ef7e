"""Describes the appearance of an object, to recognise it when it returns."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import BoolArray, Float32Array, UInt8Array

_BINS = 4
# Histograms with a larger intersection than this show the same object.
_SAME = 0.6
# An object may return larger or smaller by this factor.
_MAX_GROWTH = 3.0


class Appearance:
    """The average colours of an object, and its last size as a fraction of the picture."""

    def __init__(self) -> None:
        self._colours: Float32Array | None = None
        self._share = 0.0

    def update(self, colours: Float32Array, share: float) -> None:
        """Add one moment. The average is exponential: a new moment has weight 0.1. colours: float32
        (64,). share: fraction of the picture."""
        before = self._colours
        self._colours = (
            colours if before is None else (0.9 * before + 0.1 * colours).astype(np.float32)
        )
        self._share = share

    def likeness(self, colours: Float32Array, share: float) -> float:
        """Histogram intersection, 0 to 1; 0 if it cannot be the same object."""
        if self._colours is None or not self._share or not share:
            return 0.0
        growth = share / self._share
        if not 1 / _MAX_GROWTH <= growth <= _MAX_GROWTH:
            return 0.0
        shared = float(np.minimum(self._colours, colours).sum())
        return shared if shared > _SAME else 0.0


def colours_of(picture: UInt8Array, mask: BoolArray) -> Float32Array:
    """Histogram of the pixels in a mask over coarse CIE Lab cells: float32 (64,), sums to 1.

    picture: uint8 (h, w, 3), of the mask's size.
    """
    lab = cv2.cvtColor(picture[mask][None], cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    # Each pixel is spread over the neighbouring cells, so that a small change of light has a small
    # effect.
    position = lab / 256 * (_BINS - 1)
    low = np.minimum(position.astype(int), _BINS - 2)
    part = position - low
    cells = np.zeros((_BINS,) * 3, dtype=np.float32)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, part, 1 - part), axis=1)
        np.add.at(cells, tuple((low + corner).T), weight)
    return (cells / max(float(cells.sum()), 1.0)).ravel()
