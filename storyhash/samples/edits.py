"""Edits of a copied video: functions from frame to frame, uint8 (H, W, 3)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.types import UInt8Array

Edit = Callable[[UInt8Array], UInt8Array]

_BAND = 44


def crop_and_brighten(frame: UInt8Array) -> UInt8Array:
    """Keep the middle 81 % of the picture and increase the brightness by a fifth."""
    dy, dx = frame.shape[0] // 20, frame.shape[1] // 20
    return cv2.convertScaleAbs(frame[dy:-dy, dx:-dx], alpha=1.2)


def mirror(frame: UInt8Array) -> UInt8Array:
    """Swap left and right."""
    return np.ascontiguousarray(frame[:, ::-1])


def upside_down(frame: UInt8Array) -> UInt8Array:
    """Rotate by 180 degrees."""
    return np.ascontiguousarray(frame[::-1, ::-1])


def letterbox_and_caption(frame: UInt8Array) -> UInt8Array:
    """Add black bars above and below, with a line of text on the lower one."""
    framed = cv2.copyMakeBorder(frame, _BAND, _BAND, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    baseline = (_BAND, frame.shape[0] + _BAND + 30)
    text = "you will not believe this"
    cv2.putText(framed, text, baseline, 0, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    return framed


def unchanged(frame: UInt8Array) -> UInt8Array:
    """The unchanged picture; only the encoder changes it."""
    return frame
