"""A synthetic video: shots with moving objects in front of scenery, and a panning camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from storyhash.samples.scenery import Colour, backdrop, colour

WIDTH, HEIGHT = 480, 270
FRAMES_PER_SECOND = 12
_SHOT_SECONDS = 4.0
_PAN_REACH = 80


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A moving object: it circles `centre` once per `period_seconds`; lengths in pixels."""

    outline: Float32Array
    colour: Colour
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


def _sprite(rng: np.random.Generator) -> _Sprite:
    corners = int(rng.integers(3, 9))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(18, 55) * rng.uniform(0.6, 1.2, corners)
    outline = np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    return _Sprite(
        outline=outline.astype(np.float32),
        colour=colour(rng),
        centre=(float(rng.uniform(80, WIDTH - 80)), float(rng.uniform(60, HEIGHT - 60))),
        reach=(float(rng.uniform(20, 120)), float(rng.uniform(10, 60))),
        period_seconds=float(rng.uniform(3, 9)),
        phase=float(rng.random()),
    )


def film(seed: int, seconds: float) -> Iterator[UInt8Array]:
    """Frames, uint8 (270, 480, 3) RGB, 12 per second; a new shot starts every four seconds.

    The seed decides everything; all shots have one kind of scenery.
    """
    shots: dict[int, tuple[UInt8Array, list[_Sprite], float]] = {}
    for index in range(round(seconds * FRAMES_PER_SECOND)):
        now = index / FRAMES_PER_SECOND
        shot = int(now / _SHOT_SECONDS)
        if shot not in shots:
            rng = np.random.default_rng((seed, shot))
            sprites = [_sprite(rng) for _ in range(int(rng.integers(2, 6)))]
            scene = backdrop(rng, seed, WIDTH + 2 * _PAN_REACH, HEIGHT)
            shots[shot] = (scene, sprites, float(rng.uniform(-35, 35)))
        scene, sprites, pan_speed = shots[shot]
        left = int(np.clip(_PAN_REACH + pan_speed * (now % _SHOT_SECONDS), 0, 2 * _PAN_REACH))
        frame = np.ascontiguousarray(scene[:, left : left + WIDTH])
        for sprite in sprites:
            sprite.draw(frame, now)
        yield frame
