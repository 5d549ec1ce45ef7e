"""Backdrops of synthetic videos: several kinds of scenery with different layouts."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array

Colour = tuple[int, int, int]
Scenery = Callable[[np.random.Generator, UInt8Array], None]


def colour(rng: np.random.Generator, low: int = 30, high: int = 250) -> Colour:
    """A random colour."""
    red, green, blue = rng.integers(low, high, 3)
    return int(red), int(green), int(blue)


def backdrop(rng: np.random.Generator, kind: int, width: int, height: int) -> UInt8Array:
    """A picture, uint8 (height, width, 3): a cloudy background with one kind of scenery."""
    still = _clouds(rng, width, height)
    SCENERY[kind % len(SCENERY)](rng, still)
    grain = rng.normal(0, 4, still.shape)
    return np.clip(still + grain, 0, 255).astype(np.uint8)


def _clouds(rng: np.random.Generator, width: int, height: int) -> UInt8Array:
    canvas: Float32Array = np.zeros((height, width, 3), dtype=np.float32)
    for cells in (3, 7, 15):
        grid = rng.normal(0, 1, (cells, 2 * cells, 3)).astype(np.float32)
        canvas += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / cells
    canvas = 30 * canvas / canvas.std() + np.array(colour(rng, 60, 220), dtype=np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8)


def _towers(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    left = 0
    while left < width:
        wide, top = int(rng.integers(30, 90)), int(rng.integers(height // 5, height * 4 // 5))
        cv2.rectangle(still, (left, top), (left + wide, height), colour(rng, 20, 130), -1)
        light = colour(rng, 150, 255)
        for y in range(top + 8, height, 16):
            for x in range(left + 6, left + wide - 8, 14):
                if rng.random() < 0.5:
                    cv2.rectangle(still, (x, y), (x + 6, y + 8), light, -1)
        left += wide + int(rng.integers(0, 14))


def _trees(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    cv2.rectangle(still, (0, height * 2 // 3), (width, height), colour(rng, 40, 140), -1)
    for _ in range(int(rng.integers(8, 16))):
        x, foot = int(rng.integers(0, width)), int(rng.integers(height * 2 // 3, height))
        tall = int(rng.integers(40, 150))
        cv2.line(still, (x, foot), (x, foot - tall), colour(rng, 30, 90), int(rng.integers(4, 11)))
        for _ in range(12):
            at = (x + int(rng.normal(0, 16)), foot - tall + int(rng.normal(0, 16)))
            cv2.circle(still, at, int(rng.integers(6, 18)), colour(rng, 40, 200), -1, cv2.LINE_AA)


def _floor(rng: np.random.Generator, still: UInt8Array) -> None:
    """A tiled floor in perspective."""
    height, width = still.shape[:2]
    horizon, far = int(height * rng.uniform(0.3, 0.6)), float(rng.uniform(0.2, 0.8)) * width
    dark, light = colour(rng, 10, 120), colour(rng, 130, 250)
    ys, xs = np.mgrid[horizon + 1 : height, 0:width]
    depth = 900.0 / (ys - horizon)
    across = (xs - far) * depth / 600.0
    odd = (np.floor(across) + np.floor(depth / 3)).astype(int) % 2 == 1
    still[horizon + 1 :] = np.where(odd[..., None], dark, light)


def _rings(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    for _ in range(int(rng.integers(3, 6))):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        for radius in range(int(rng.integers(60, 160)), 6, -int(rng.integers(9, 22))):
            cv2.circle(still, centre, radius, colour(rng), -1, cv2.LINE_AA)


def _mountains(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    for layer in range(4):
        base = height * (0.35 + 0.17 * layer)
        steps = np.arange(0, width + 40, 40)
        ridge = base + rng.normal(0, 34, len(steps))
        outline = [(int(x), int(y)) for x, y in zip(steps, ridge, strict=True)]
        shape = np.array([*outline, (width + 40, height), (0, height)], dtype=np.int32)
        cv2.fillPoly(still, [shape], colour(rng, 20 + 20 * layer, 150 + 25 * layer), cv2.LINE_AA)


def _boats(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    sea = int(height * rng.uniform(0.4, 0.6))
    cv2.rectangle(still, (0, sea), (width, height), colour(rng, 30, 170), -1)
    for y in range(sea + 6, height, 9):
        start = int(rng.integers(0, 30))
        for x in range(start, width, 46):
            cv2.ellipse(still, (x, y), (15, 3), 0, 180, 360, colour(rng, 120, 240), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(3, 7))):
        x, y, size = (
            int(rng.integers(20, width)),
            int(rng.integers(sea, height - 10)),
            int(rng.integers(20, 60)),
        )
        hull = [(x - size, y), (x + size, y), (x + size * 2 // 3, y + size // 3)]
        cv2.fillPoly(still, [np.array([*hull, (x - size * 2 // 3, y + size // 3)])], colour(rng))
        sail = np.array([(x, y - 2), (x, y - size * 2), (x + size, y - 2)])
        cv2.fillPoly(still, [sail], colour(rng, 150, 255), cv2.LINE_AA)


def _stalls(rng: np.random.Generator, still: UInt8Array) -> None:
    """Striped awnings over boxes of round things."""
    height, width = still.shape[:2]
    wide = int(rng.integers(90, 150))
    for left in range(-int(rng.integers(0, 60)), width, wide + 12):
        top, stripe = int(rng.integers(30, 90)), int(rng.integers(10, 22))
        for number, x in enumerate(range(left, left + wide, stripe)):
            shade = colour(rng, 200, 255) if number % 2 else colour(rng, 30, 180)
            cv2.rectangle(still, (x, top), (x + stripe, top + 40), shade, -1)
        cv2.rectangle(still, (left + 6, 150), (left + wide - 6, height), colour(rng, 40, 120), -1)
        fruit = colour(rng, 90, 250)
        for _ in range(30):
            at = (left + int(rng.integers(10, wide - 10)), int(rng.integers(150, 215)))
            cv2.circle(still, at, int(rng.integers(5, 10)), fruit, -1, cv2.LINE_AA)


def _lettering(rng: np.random.Generator, still: UInt8Array) -> None:
    height, width = still.shape[:2]
    for _ in range(int(rng.integers(10, 18))):
        word = "".join(chr(int(code)) for code in rng.integers(65, 91, int(rng.integers(2, 7))))
        at = (int(rng.integers(-20, width - 60)), int(rng.integers(20, height)))
        size = float(rng.uniform(0.8, 3.2))
        cv2.putText(still, word, at, 3, size, colour(rng), int(rng.integers(2, 9)), cv2.LINE_AA)


SCENERY: tuple[Scenery, ...] = (
    _boats,
    _stalls,
    _trees,
    _floor,
    _mountains,
    _towers,
    _rings,
    _lettering,
)
