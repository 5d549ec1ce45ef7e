"""Small made-up films for the demo: drawn on the spot from a seed, so nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array

WIDTH, HEIGHT = 480, 270
FRAMES_PER_SECOND = 12
_SHOT_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A thing that moves: it circles `centre` once every `period_seconds`, all in pixels."""

    outline: Float32Array
    colour: tuple[int, int, int]
    centre: tuple[float, float]
    reach: tuple[float, float]
    period_seconds: float
    phase: float

    def draw(self, frame: UInt8Array, seconds: float) -> None:
        angle = 2 * np.pi * (seconds / self.period_seconds + self.phase)
        offset = np.array(
            [
                self.centre[0] + self.reach[0] * np.cos(angle),
                self.centre[1] + self.reach[1] * np.sin(angle),
            ]
        )
        points = np.round(self.outline + offset).astype(np.int32)
        cv2.fillPoly(frame, [points], self.colour, cv2.LINE_AA)
        cv2.polylines(frame, [points], True, tuple(c // 2 for c in self.colour), 2, cv2.LINE_AA)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(30, 250, 3)
    return int(red), int(green), int(blue)


def _backdrop(rng: np.random.Generator) -> UInt8Array:
    """A still wider than the frame, so that the camera can pan over it: hills of cloudy colour."""
    height, width = HEIGHT, WIDTH + 160
    canvas = np.zeros((height, width, 3), dtype=np.float32)
    for cells in (3, 7, 15, 40):
        grid = rng.normal(0, 1, (cells, 2 * cells, 3)).astype(np.float32)
        canvas += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / cells**0.6
    canvas = 128 + 70 * canvas / canvas.std() * np.array([1.0, 0.8, 0.9], dtype=np.float32)
    still = np.clip(canvas * 0.6 + np.array(_colour(rng)) * 0.4, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(5, 12))):
        x, y = int(rng.integers(0, width)), int(rng.integers(height // 3, height))
        w, h = int(rng.integers(12, 90)), int(rng.integers(15, 120))
        cv2.rectangle(still, (x, y - h), (x + w, y + h // 2), _colour(rng), -1)
    return still


def _sprite(rng: np.random.Generator) -> _Sprite:
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(18, 55) * rng.uniform(0.6, 1.2, corners)
    outline = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    return _Sprite(
        outline=outline.astype(np.float32),
        colour=_colour(rng),
        centre=(float(rng.uniform(80, WIDTH - 80)), float(rng.uniform(60, HEIGHT - 60))),
        reach=(float(rng.uniform(20, 120)), float(rng.uniform(10, 60))),
        period_seconds=float(rng.uniform(3, 9)),
        phase=float(rng.random()),
    )


def film(seed: int, seconds: float) -> Iterator[UInt8Array]:
    """Frames, uint8 (270, 480, 3) RGB, 12 a second; a new shot begins every four seconds."""
    shots: dict[int, tuple[UInt8Array, list[_Sprite], float]] = {}
    for index in range(round(seconds * FRAMES_PER_SECOND)):
        now = index / FRAMES_PER_SECOND
        shot = int(now / _SHOT_SECONDS)
        if shot not in shots:
            rng = np.random.default_rng((seed, shot))
            sprites = [_sprite(rng) for _ in range(int(rng.integers(2, 6)))]
            shots[shot] = (_backdrop(rng), sprites, float(rng.uniform(-35, 35)))
        backdrop, sprites, pan_speed = shots[shot]
        left = int(np.clip(80 + pan_speed * (now % _SHOT_SECONDS), 0, 160))
        frame = np.ascontiguousarray(backdrop[:, left : left + WIDTH])
        for sprite in sprites:
            sprite.draw(frame, now)
        yield frame


Edit = Callable[[UInt8Array], UInt8Array]


def crop_and_brighten(frame: UInt8Array) -> UInt8Array:
    """Keep the middle 81 % of the picture and add a fifth of light."""
    dy, dx = HEIGHT // 20, WIDTH // 20
    return cv2.convertScaleAbs(frame[dy:-dy, dx:-dx], alpha=1.2)


def mirror(frame: UInt8Array) -> UInt8Array:
    """Swap left and right."""
    return np.ascontiguousarray(frame[:, ::-1])


def upside_down(frame: UInt8Array) -> UInt8Array:
    """Turn by half a turn."""
    return np.ascontiguousarray(frame[::-1, ::-1])


def letterbox_and_caption(frame: UInt8Array) -> UInt8Array:
    """Black bands above and below, with a line of text on the lower one."""
    framed = cv2.copyMakeBorder(frame, 44, 44, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0))
    cv2.putText(
        framed,
        "you will not believe this",
        (40, HEIGHT + 74),
        0,
        0.9,
        (255, 255, 255),
        2,
        cv2.LINE_AA,
    )
    return framed


def unchanged(frame: UInt8Array) -> UInt8Array:
    """The picture as it is; the encoder alone changes it."""
    return frame
