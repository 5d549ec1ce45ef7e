"""Text and symbols drawn onto pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array

Colour: TypeAlias = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_DUPLEX
# Height of a capital at scale 1, pixels.
_CAPITAL = 22.0

WORDS = (
    *("when", "you", "finally", "see", "it", "wait", "for", "the", "end", "this", "is", "not", "what"),
    *("we", "expected", "today", "nobody", "believed", "me", "look", "again", "how", "did", "that"),
    *("happen", "so", "good", "every", "single", "time", "part", "two", "follow", "more", "love"),
)  # fmt: skip


def sentence(rng: np.random.Generator, words: int) -> str:
    """Meaningless words, the first with a capital."""
    chosen = [WORDS[index] for index in rng.integers(0, len(WORDS), words)]
    return " ".join(chosen).capitalize()


def write(
    picture: UInt8Array,
    text: str,
    left: int,
    baseline: int,
    capital: float,
    colour: Colour = WHITE,
    *,
    outline: Colour | None = None,
    width: int | None = None,
) -> None:
    """Write a line, in place, with capitals `capital` pixels high; smaller if needed to fit `width`."""
    scale = max(0.1, capital / _CAPITAL)
    if width is not None:
        scale = max(0.1, min(scale, scale * width / max(1, text_width(text, capital))))
    thick = max(1, round(scale * 1.6))
    if outline is not None:
        edge = thick + 2 * max(1, round(scale * 1.4))
        cv2.putText(picture, text, (left, baseline), _FONT, scale, outline, edge, cv2.LINE_AA)
    cv2.putText(picture, text, (left, baseline), _FONT, scale, colour, thick, cv2.LINE_AA)


def text_width(text: str, capital: float) -> int:
    """Width of the line that `write` draws, in pixels."""
    scale = max(0.1, capital / _CAPITAL)
    return int(cv2.getTextSize(text, _FONT, scale, max(1, round(scale * 1.6)))[0][0])


def write_centred(
    picture: UInt8Array,
    text: str,
    baseline: int,
    capital: float,
    colour: Colour = WHITE,
    *,
    outline: Colour | None = None,
) -> None:
    """Write a centred line, in place, at most 94 % as wide as the picture."""
    width = round(picture.shape[1] * 0.94)
    left = (picture.shape[1] - min(width, text_width(text, capital))) // 2
    write(picture, text, left, baseline, capital, colour, outline=outline, width=width)


@dataclass(frozen=True, slots=True)
class Stamp:
    """An overlay for frames. picture: uint8 (h, w, 3); alpha: float32 (h, w, 1), 0 to 1."""

    picture: UInt8Array
    alpha: Float32Array

    def put(self, frame: UInt8Array, left: int, top: int) -> None:
        """Blend onto a frame, in place; parts outside are cut off."""
        height, width = frame.shape[:2]
        x0, y0 = max(0, left), max(0, top)
        x1 = min(width, left + self.picture.shape[1])
        y1 = min(height, top + self.picture.shape[0])
        if x1 <= x0 or y1 <= y0:
            return
        window = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        alpha = self.alpha[window]
        under = frame[y0:y1, x0:x1]
        frame[y0:y1, x0:x1] = (
            under + alpha * (self.picture[window] - under.astype(np.float32))
        ).round()


def solid(picture: UInt8Array, mask: UInt8Array, opacity: float = 1.0) -> Stamp:
    """An overlay that is visible where `mask`, uint8 (h, w), is above 0."""
    return Stamp(picture, (mask[..., None].astype(np.float32) / 255.0) * np.float32(opacity))


def text_stamp(text: str, capital: float, colour: Colour, opacity: float) -> Stamp:
    """A line of text on a transparent background."""
    width, height = text_width(text, capital) + 4, round(capital * 1.6) + 4
    mask = np.zeros((max(2, height), max(2, width), 3), dtype=np.uint8)
    write(mask, text, 2, round(capital * 1.15) + 2, capital, WHITE)
    picture = np.empty_like(mask)
    picture[:] = colour
    return solid(picture, np.ascontiguousarray(mask[..., 0]), opacity)


def logo_stamp(side: int, colours: Sequence[Colour], opacity: float) -> Stamp:
    """A disc with a triangle in it."""
    side = max(4, side)
    picture, mask = _blank(side)
    half = side // 2
    cv2.circle(picture, (half, half), half, colours[0], -1)
    cv2.circle(mask, (half, half), half, 255, -1, cv2.LINE_AA)
    corners = [(0.36, 0.25), (0.36, 0.75), (0.78, 0.5)]
    cv2.fillPoly(picture, [_points(corners, side)], colours[1])
    return solid(picture, mask, opacity)


def face_stamp(side: int, rng: np.random.Generator) -> Stamp:
    """A yellow face: laughing, astonished or with glasses."""
    side = max(6, side)
    picture, mask = _blank(side)
    half, unit = side // 2, side / 20
    cv2.circle(mask, (half, half), half - 1, 255, -1, cv2.LINE_AA)
    picture[:] = (255, int(rng.integers(190, 220)), 40)
    dark: Colour = (70, 40, 10)
    mood = rng.integers(0, 3)
    eye = max(1, round(1.4 * unit))
    for x in (0.33, 0.67):
        centre = (round(x * side), round(0.38 * side))
        if mood == 2:
            cv2.rectangle(
                picture,
                (centre[0] - 3 * eye, centre[1] - eye),
                (centre[0] + 3 * eye, centre[1] + 2 * eye),
                dark,
                -1,
            )
        else:
            cv2.circle(picture, centre, eye, dark, -1, cv2.LINE_AA)
    mouth = (half, round(0.62 * side))
    if mood == 1:
        cv2.ellipse(picture, mouth, (round(2 * unit), round(3 * unit)), 0, 0, 360, dark, -1)
    else:
        cv2.ellipse(picture, mouth, (round(6 * unit), round(4.5 * unit)), 0, 0, 180, dark, -1)
    return solid(picture, mask)


def heart_stamp(side: int, colour: Colour) -> Stamp:
    """A heart."""
    side = max(6, side)
    picture, mask = _blank(side)
    picture[:] = colour
    radius = round(side * 0.27)
    for x in (0.28, 0.72):
        cv2.circle(mask, (round(x * side), round(0.3 * side)), radius, 255, -1)
    cv2.fillPoly(mask, [_points([(0.04, 0.42), (0.96, 0.42), (0.5, 0.97)], side)], 255)
    return solid(picture, mask)


def star_stamp(side: int, colour: Colour) -> Stamp:
    """A star of five points."""
    side = max(6, side)
    picture, mask = _blank(side)
    picture[:] = colour
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.49, 0.21)
    corners = [
        (0.5 + r * float(np.cos(a)), 0.5 + r * float(np.sin(a)))
        for a, r in zip(angles, radii, strict=True)
    ]
    cv2.fillPoly(mask, [_points(corners, side)], 255)
    return solid(picture, mask)


def _blank(side: int) -> tuple[UInt8Array, UInt8Array]:
    return np.zeros((side, side, 3), dtype=np.uint8), np.zeros((side, side), dtype=np.uint8)


def _points(
    corners: Sequence[tuple[float, float]], side: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.array([[round(x * side), round(y * side)] for x, y in corners], dtype=np.int32)
