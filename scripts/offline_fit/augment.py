"""What happens to a picture on its way to becoming a copy."""

from __future__ import annotations

import string
from collections.abc import Callable

import cv2
import numpy as np

from common.types import UInt8Array

_LETTERS = list(string.ascii_letters)


def augment(frame: UInt8Array, other: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A random edit of `frame` (H, W, 3); `other` is what it may be set into."""
    height, width = frame.shape[:2]
    if rng.random() < 0.6:
        frame = _crop(frame, rng)
    if rng.random() < 0.35:
        frame = _rotate(frame, rng.uniform(-12, 12))
    if rng.random() < 0.15:
        frame = cv2.resize(frame, (frame.shape[1], int(frame.shape[0] * rng.uniform(0.8, 1.2))))
    frame = _pick(rng, frame, [(0.4, _brightness), (0.15, _contrast), (0.1, _gamma)])
    frame = _pick(rng, frame, [(0.12, _grey), (0.1, _hue)])
    frame = _pick(rng, frame, [(0.15, _blur), (0.15, _noise)])
    frame = _pick(
        rng,
        np.ascontiguousarray(frame),
        [
            (0.12, _text),
            (0.08, _caption),
            (0.07, _pillarbox),
            (0.07, _letterbox),
            (0.04, lambda picture, _: _inset(picture, other)),
            (0.06, _social),
        ],
    )
    return _pick(
        rng, frame, [(0.25, _jpeg), (0.1, lambda picture, r: _shrink(picture, (width, height), r))]
    )


Edit = Callable[[UInt8Array, np.random.Generator], UInt8Array]


def _pick(
    rng: np.random.Generator, frame: UInt8Array, edits: list[tuple[float, Edit]]
) -> UInt8Array:
    """At most one of the edits, each with its probability."""
    draw = rng.random()
    for probability, edit in edits:
        if draw < probability:
            return edit(frame, rng)
        draw -= probability
    return frame


def _bytes(values: np.ndarray) -> UInt8Array:
    return np.clip(values, 0, 255).astype(np.uint8)


def _crop(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Keep 65 to 95 % of each side, anywhere; often the middle or a corner."""
    height, width = frame.shape[:2]
    share = 1 - rng.uniform(0.05, 0.35)
    h, w = int(height * share), int(width * share)
    fy, fx = (rng.choice([0.5, 0.0, 1.0, rng.random()]) for _ in range(2))
    top, left = int((height - h) * fy), int((width - w) * fx)
    return frame[top : top + h, left : left + w]


def _rotate(frame: UInt8Array, degrees: float) -> UInt8Array:
    height, width = frame.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(np.ascontiguousarray(frame), turn, (width, height))


def _brightness(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _bytes(frame.astype(np.float32) + 255 * rng.uniform(-0.25, 0.45))


def _contrast(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _bytes((frame.astype(np.float32) - 128) * rng.uniform(0.6, 1.7) + 128)


def _gamma(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _bytes(255 * (frame / 255.0) ** np.exp(rng.uniform(-0.8, 0.8)))


def _grey(frame: UInt8Array, _: np.random.Generator) -> UInt8Array:
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def _hue(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    hsv = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + int(rng.integers(-30, 31))) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def _blur(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return cv2.GaussianBlur(np.ascontiguousarray(frame), (0, 0), rng.uniform(0.6, 2.5))


def _noise(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _bytes(frame + rng.normal(0, rng.uniform(5, 30), frame.shape))


def _text(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    height, width = frame.shape[:2]
    word = "".join(rng.choice(_LETTERS, rng.integers(4, 12)))
    origin = (int(rng.uniform(0, 0.4) * width), int(rng.uniform(0.15, 0.95) * height))
    drawn = cv2.putText(
        frame.copy(), word, origin, 0, rng.uniform(0.5, 1.3), (255, 255, 255), 2, cv2.LINE_AA
    )
    return (
        cv2.addWeighted(drawn, rng.uniform(0.4, 1.0), frame, 0.0, 0)
        if rng.random() < 0.1
        else drawn
    )


def _caption(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A band of text over the lower part."""
    height = frame.shape[0]
    drawn = frame.copy()
    band = int(height * rng.uniform(0.12, 0.22))
    drawn[height - band :] = rng.choice([0, 255])
    word = "".join(rng.choice(_LETTERS, rng.integers(8, 20)))
    cv2.putText(drawn, word, (8, height - band // 3), 0, 0.6, (128, 128, 128), 2, cv2.LINE_AA)
    return drawn


def _border(frame: UInt8Array, vertical: int, horizontal: int) -> UInt8Array:
    return cv2.copyMakeBorder(
        frame, vertical, vertical, horizontal, horizontal, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def _pillarbox(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _border(frame, 0, int(frame.shape[1] * rng.uniform(0.1, 0.4)))


def _letterbox(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    return _border(frame, int(frame.shape[0] * rng.uniform(0.08, 0.3)), 0)


def _inset(frame: UInt8Array, other: UInt8Array) -> UInt8Array:
    """The picture large, another small in its corner."""
    height, width = frame.shape[:2]
    drawn = frame.copy()
    small = cv2.resize(other, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
    drawn[-height // 3 - 4 : -4, -width // 3 - 4 : -4][: small.shape[0], : small.shape[1]] = small[
        : height // 3, : width // 3
    ]
    return drawn


def _social(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """A vertical re-post: the picture in the middle, itself blurred above and below, some text."""
    height, width = frame.shape[:2]
    tall = int(width * rng.uniform(1.0, 1.6))
    if tall <= height:
        return frame
    background = cv2.GaussianBlur(cv2.resize(frame, (width, tall)), (0, 0), 9)
    top = (tall - height) // 2
    background[top : top + height] = frame
    word = "".join(rng.choice(_LETTERS, rng.integers(6, 14)))
    cv2.putText(background, word, (10, max(20, top - 8)), 0, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
    return background


def _jpeg(frame: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(8, 50))]
    _, coded = cv2.imencode(".jpg", np.ascontiguousarray(frame), quality)
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def _shrink(frame: UInt8Array, size: tuple[int, int], rng: np.random.Generator) -> UInt8Array:
    side = int(rng.uniform(60, 140))
    small = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, size)
