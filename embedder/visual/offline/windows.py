"""Soft windows over a square picture, and the helpers every block shares."""

from __future__ import annotations

from functools import cache

import numpy as np

from common.types import Array, Float32Array

SIDE = 96


@cache
def windows(count: int, side: int) -> Float32Array:
    """float32 (count, side): Gaussians, sigma 0.75 cell, at cell centres, each of sum 1."""
    centres = (np.arange(count) + 0.5) * side / count
    centres_of_pixels = np.arange(side) + 0.5
    weight = np.exp(
        -np.square((centres_of_pixels[None] - centres[:, None]) / (0.75 * side / count)) / 2
    )
    return (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)


def pool_cells(maps: Array, count: int) -> Array:
    """Means of maps (..., side, side) under count x count windows: (..., count, count)."""
    along = windows(count, maps.shape[-1])
    return along @ maps @ along.T


def signed_root(values: Array) -> Array:
    """Square root that keeps the sign: evens out a few large responses."""
    return np.sign(values) * np.sqrt(np.abs(values))
