"""Surfaces: colour fields with the statistics of natural ones."""

from __future__ import annotations

import cv2
import numpy as np

from common.types import Array, Float32Array

WIDTH, HEIGHT = 256, 192


def noise(rng: np.random.Generator, exponent: float) -> Float32Array:
    """A (H, W) field with an anisotropic 1 / f^exponent spectrum, mean 0, deviation 1."""
    spectrum = np.fft.rfft2(rng.standard_normal((HEIGHT, WIDTH)))
    fy, fx = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None]
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(-0.7, 0.7))
    along = (fx * np.cos(angle) + fy * np.sin(angle)) * stretch
    across = (fy * np.cos(angle) - fx * np.sin(angle)) / stretch
    radius = np.hypot(along, across) + 1.0 / WIDTH
    field = np.fft.irfft2(spectrum / radius**exponent, s=(HEIGHT, WIDTH)).astype(np.float32)
    field -= field.mean()
    normalised: Float32Array = field / (field.std() + 1e-6)
    return normalised


def colour(rng: np.random.Generator) -> Float32Array:
    """One RGB colour, float32 (3,): any hue, more often pale than vivid."""
    hsv = np.array(
        [[[rng.integers(180), 255 * rng.beta(1.3, 2.2), 255 * rng.beta(1.6, 1.6)]]], dtype=np.uint8
    )
    rgb: Float32Array = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)
    return rgb


def texture(rng: np.random.Generator) -> Float32Array:
    """A surface (H, W, 3) of two colours: flat, cloudy, striped, graded or marbled."""
    first, second = colour(rng), colour(rng)
    if rng.random() < 0.5:
        second = np.clip(first + rng.normal(0, 40, 3), 0, 255)
    kind = rng.integers(6)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    mix: Array
    if kind == 0:
        mix = np.zeros((HEIGHT, WIDTH))
    elif kind in (1, 2):
        mix = 1 / (1 + np.exp(-noise(rng, rng.uniform(0.6, 2.0)) * rng.uniform(0.6, 2.5)))
    elif kind == 3:
        period = np.exp(rng.uniform(np.log(4), np.log(60)))
        phase = (x * np.cos(angle) + y * np.sin(angle)) / period * 2 * np.pi
        phase = phase + noise(rng, 2.0) * rng.uniform(0, 2)
        mix = 0.5 + 0.5 * np.sin(phase) if rng.random() < 0.5 else np.sin(phase) > 0
    elif kind == 4:
        mix = (x / WIDTH - 0.5) * np.cos(angle) + (y / HEIGHT - 0.5) * np.sin(angle) + 0.5
    else:
        mix = np.abs(np.sin(noise(rng, rng.uniform(1, 2)) * rng.uniform(1, 5)))
    share = np.clip(mix, 0, 1).astype(np.float32)[..., None]
    return first * (1 - share) + second.astype(np.float32) * share
