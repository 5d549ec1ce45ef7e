"""Edits that copies go through, frame by frame."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.types import UInt8Array

# A frame of the copy and one of another film, both uint8 (H, W, 3), to a frame.
Edit = Callable[[UInt8Array, UInt8Array], UInt8Array]


def _jpeg(quality: int) -> Edit:
    def edit(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
        packed = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(packed, cv2.IMREAD_COLOR)

    return edit


def _crop(top: float, bottom: float, left: float, right: float) -> Edit:
    def edit(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
        height, width = frame.shape[:2]
        return frame[
            int(top * height) : int((1 - bottom) * height),
            int(left * width) : int((1 - right) * width),
        ]

    return edit


def _bars(vertical: float, horizontal: float) -> Edit:
    def edit(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
        dy, dx = int(vertical * frame.shape[0]), int(horizontal * frame.shape[1])
        return cv2.copyMakeBorder(frame, dy, dy, dx, dx, cv2.BORDER_CONSTANT, value=(0, 0, 0))

    return edit


def _light(scale: float, offset: float) -> Edit:
    return lambda frame, _: np.clip(frame * scale + offset, 0, 255).astype(np.uint8)


def _rotate(degrees: float) -> Edit:
    def edit(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
        height, width = frame.shape[:2]
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return cv2.warpAffine(frame, turn, (width, height))

    return edit


def _blur(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    return cv2.GaussianBlur(frame, (0, 0), 3)


def _noise(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    grain = np.random.default_rng(3).normal(0, 20, frame.shape)
    return np.clip(frame + grain, 0, 255).astype(np.uint8)


def _grey(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _aspect(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    return cv2.resize(frame, (round(frame.shape[1] * 0.75), frame.shape[0]))


def _small(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    return cv2.resize(frame, None, fx=0.33, fy=0.33, interpolation=cv2.INTER_AREA)


def _tiny(frame: UInt8Array, other: UInt8Array) -> UInt8Array:
    scale = 96 / min(frame.shape[:2])
    return _jpeg(10)(
        cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), other
    )


def _caption(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    shown = frame.copy()
    for line, text in enumerate(("WHEN YOU SEE IT", "wait for the end")):
        at = (12, 40 if line == 0 else shown.shape[0] - 24)
        cv2.putText(shown, text, at, 0, 1.1, (0, 0, 0), 7, cv2.LINE_AA)
        cv2.putText(shown, text, at, 0, 1.1, (255, 255, 255), 2, cv2.LINE_AA)
    return shown


def _social(frame: UInt8Array, _: UInt8Array) -> UInt8Array:
    """A screenshot of a feed: white page, name, text and buttons around the picture."""
    height, width = frame.shape[:2]
    page = cv2.copyMakeBorder(
        frame,
        height // 3,
        height // 3,
        width // 16,
        width // 16,
        cv2.BORDER_CONSTANT,
        value=(255,) * 3,
    )
    cv2.circle(page, (40, height // 6), 20, (60, 110, 200), -1)
    cv2.putText(page, "someone shared this", (72, height // 6 + 8), 0, 0.7, (20, 20, 20), 2)
    cv2.putText(page, "like   comment   share", (40, page.shape[0] - 40), 0, 0.7, (90, 90, 90), 2)
    return page


def _inset(share: float) -> Edit:
    """The picture small, over another film."""

    def edit(frame: UInt8Array, other: UInt8Array) -> UInt8Array:
        host = cv2.resize(other, (frame.shape[1], frame.shape[0]))
        small = cv2.resize(frame, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
        top, left = host.shape[0] // 12, host.shape[1] - small.shape[1] - host.shape[1] // 12
        host[top : top + small.shape[0], left : left + small.shape[1]] = small
        return host

    return edit


EDITS: dict[str, Edit] = {
    "jpeg 10": _jpeg(10),
    "blur": _blur,
    "noise": _noise,
    "grey": _grey,
    "brighter": _light(1.0, 70.0),
    "darker": _light(0.5, 0.0),
    "contrast": _light(1.6, -70.0),
    "third of the size": _small,
    "96 px, jpeg 10": _tiny,
    "aspect 3:4": _aspect,
    "crop 10 %": _crop(0.05, 0.05, 0.05, 0.05),
    "crop 20 %": _crop(0.1, 0.1, 0.1, 0.1),
    "corner crop 20 %": _crop(0.0, 0.2, 0.2, 0.0),
    "corner crop 40 %": _crop(0.0, 0.4, 0.4, 0.0),
    "left 40 %": _crop(0.0, 0.0, 0.0, 0.6),
    "top half": _crop(0.0, 0.5, 0.0, 0.0),
    "crop 35 %": _crop(0.17, 0.18, 0.17, 0.18),
    "rotate 10": _rotate(10),
    "mirror": lambda frame, _: frame[:, ::-1],
    "upside down": lambda frame, _: frame[::-1],
    "rotate 180": lambda frame, _: frame[::-1, ::-1],
    "rotate 90": lambda frame, _: np.rot90(frame),
    "letterbox": _bars(0.17, 0.0),
    "pillarbox": _bars(0.0, 0.35),
    "caption": _caption,
    "social frame": _social,
    "inset 60 %": _inset(0.6),
    "inset 40 %": _inset(0.4),
}
# Enough to choose a preparation by: those that are not found every time, and the shape of the picture.
