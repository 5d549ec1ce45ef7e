"""Whole pictures: dead leaves, scenes with a horizon and figures, colour fields, shapes and text."""

from __future__ import annotations

import string

import cv2
import numpy as np

from common.types import Float32Array, UInt8Array
from scripts.offline_fit.textures import HEIGHT, WIDTH, colour, noise, texture

Region = tuple[float, float, float, float]
_WHOLE: Region = (0.0, 0.0, float(WIDTH), float(HEIGHT))


def picture(seed: int) -> UInt8Array:
    """One picture, uint8 (192, 256, 3); the same seed draws the same picture."""
    rng = np.random.default_rng(seed)
    canvas = texture(rng)
    kind = rng.random()
    if kind < 0.35:
        canvas = leaves(rng, canvas, int(rng.integers(15, 90)), 4, rng.uniform(20, 90))
    elif kind < 0.8:
        canvas = _scene(rng, canvas)
    elif kind < 0.92:
        canvas = _colour_field(rng)
    else:
        canvas = _text(rng, leaves(rng, canvas, int(rng.integers(3, 15)), 10, 80))
    return _photographed(rng, canvas)


def leaves(
    rng: np.random.Generator,
    canvas: Float32Array,
    count: int,
    smallest: float,
    largest: float,
    region: Region = _WHOLE,
) -> Float32Array:
    """Cover a region with `count` overlapping shapes, sizes as in nature (1 / r^3) or log-uniform."""
    surfaces = [texture(rng) for _ in range(3)]
    palette = [colour(rng) for _ in range(6)]
    left, top, right, bottom = region
    for _ in range(count):
        if rng.random() < 0.6:
            radius = 1 / np.sqrt(rng.uniform(1 / largest**2, 1 / smallest**2))
        else:
            radius = np.exp(rng.uniform(np.log(smallest), np.log(largest)))
        x, y = rng.uniform(left, right), rng.uniform(top, bottom)
        mask = _shape(rng, x, y, radius).astype(np.float32)[..., None] / np.float32(255)
        fill: Float32Array = palette[rng.integers(6)]
        if rng.random() > 0.6:
            fill = np.roll(surfaces[rng.integers(3)], (int(x) % HEIGHT, int(y) % WIDTH), (0, 1))
        if rng.random() < 0.6:
            rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
            light = rng.uniform(0, 2 * np.pi)
            slope = (columns - x) * np.cos(light) + (rows - y) * np.sin(light)
            shade = np.clip(slope / (radius + 1), -2, 2).astype(np.float32)
            shading = (1 + rng.uniform(0, 0.5) * shade)[..., None]
            fill = np.multiply(fill, shading, dtype=np.float32)
        canvas = canvas * (1 - mask) + fill * mask
    return canvas


def _shape(rng: np.random.Generator, x: float, y: float, radius: float) -> UInt8Array:
    """An anti-aliased mask: ellipse, polygon, turned box or smooth blob."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    kind = rng.integers(5)
    if kind == 0:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.3, 1))))
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        return mask
    if kind in (1, 2):
        corners = rng.integers(3, 12)
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        reach = radius * rng.uniform(0.5, 1.2, corners)
    elif kind == 3:
        turn = float(rng.choice([0, 0, 90, rng.uniform(0, 180)]))
        box = ((x, y), (2 * radius, 2 * radius * rng.uniform(0.15, 1)), turn)
        cv2.fillPoly(mask, [cv2.boxPoints(box).astype(np.int32)], 255, cv2.LINE_AA)
        return mask
    else:
        angles = np.linspace(0, 2 * np.pi, 60)
        waves = [
            rng.uniform(0, 0.35) / order * np.cos(order * angles + rng.uniform(0, 6))
            for order in range(1, 6)
        ]
        reach = radius * (1 + np.sum(waves, axis=0))
    outline = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [outline.astype(np.int32)], 255, cv2.LINE_AA)
    return mask


def _scene(rng: np.random.Generator, canvas: Float32Array) -> Float32Array:
    """Ground and sky, clutter at the horizon, lines to a vanishing point, boxes, one to four figures."""
    horizon = int(HEIGHT * rng.uniform(0.2, 0.8))
    canvas[horizon:] = texture(rng)[horizon:]
    if rng.random() < 0.5:
        band = (0.0, max(0.0, horizon - 40.0), float(WIDTH), min(float(HEIGHT), horizon + 25.0))
        canvas = leaves(rng, canvas, int(rng.integers(5, 50)), 3, 30, band)
    canvas = np.ascontiguousarray(canvas, dtype=np.float32)
    if rng.random() < 0.4:
        vanishing = (int(rng.uniform(0, WIDTH)), horizon)
        for _ in range(rng.integers(2, 10)):
            foot = (int(rng.uniform(-WIDTH, 2 * WIDTH)), HEIGHT)
            ink = colour(rng).tolist()
            cv2.line(canvas, vanishing, foot, ink, int(rng.integers(1, 4)), cv2.LINE_AA)
    if rng.random() < 0.4:
        for _ in range(rng.integers(1, 8)):
            x, width = int(rng.uniform(0, WIDTH)), int(rng.uniform(8, 60))
            top, foot_y = int(horizon - rng.uniform(5, horizon)), horizon + int(rng.uniform(0, 40))
            cv2.rectangle(canvas, (x, top), (x + width, foot_y), colour(rng).tolist(), -1)
    for _ in range(rng.integers(1, 5)):
        across, down = rng.uniform(0.1, 0.9) * WIDTH, rng.uniform(0.25, 0.9) * HEIGHT
        size = rng.uniform(15, 70)
        body = (across - size * 0.5, down - size, across + size * 0.5, down + size)
        canvas = leaves(rng, canvas, int(rng.integers(4, 16)), size * 0.12, size * 0.6, body)
    return canvas


def _colour_field(rng: np.random.Generator) -> Float32Array:
    """Clouds whose channels go together more or less."""
    channels = np.stack([noise(rng, rng.uniform(0.9, 1.8)) for _ in range(3)], axis=-1)
    mixing = rng.normal(0, 0.5, (3, 3)) + rng.uniform(0, 0.6)
    canvas = (128 + (channels @ mixing) * rng.uniform(20, 60)).astype(np.float32)
    if rng.random() < 0.5:
        canvas = leaves(rng, canvas, int(rng.integers(2, 15)), 8, 70)
    return canvas


def _text(rng: np.random.Generator, canvas: Float32Array) -> Float32Array:
    letters = list(string.ascii_letters + string.digits)
    drawn = np.ascontiguousarray(np.clip(canvas, 0, 255).astype(np.uint8))
    for _ in range(rng.integers(1, 8)):
        word = "".join(rng.choice(letters, rng.integers(2, 14)))
        origin = (int(rng.uniform(-20, WIDTH * 0.8)), int(rng.uniform(10, HEIGHT)))
        font, size = int(rng.integers(0, 8)), rng.uniform(0.4, 2.5)
        ink = colour(rng).tolist()
        cv2.putText(drawn, word, origin, font, size, ink, int(rng.integers(1, 5)), cv2.LINE_AA)
    return drawn.astype(np.float32)


def _photographed(rng: np.random.Generator, canvas: Float32Array) -> UInt8Array:
    """Light, blur, grain, contrast and white balance of a camera."""
    if rng.random() < 0.5:
        light = np.clip(noise(rng, 2.2), -2, 2)
        canvas = canvas * (1 + 0.35 * rng.uniform(0, 1) * light)[..., None]
    if rng.random() < 0.6:
        canvas = cv2.GaussianBlur(canvas, (0, 0), np.exp(rng.uniform(-1, 0.9)))
    if rng.random() < 0.5:
        canvas = canvas + noise(rng, rng.uniform(0, 1.2))[..., None] * rng.uniform(0, 14)
    mean = float(canvas.mean())
    level = float(np.clip(mean + rng.normal(0, 25), 45, 200))
    canvas = (canvas - mean) * rng.uniform(0.5, 1.15) + level
    cast = 1 - 0.5 * rng.beta(1, 3) + rng.beta(1, 3) * 0.5 * rng.random(3)
    canvas = canvas * cast.astype(np.float32)
    return np.clip(canvas, 0, 255).astype(np.uint8)
