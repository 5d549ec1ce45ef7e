"""Keypoints of a picture, and which of them two pictures share, also when one is mirrored or inverted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from common.types import Float32Array, Int64Array, UInt8Array

MAX_KEYPOINTS = 800
# Below OpenCV's 0.04: dark and blurred films have keypoints too; the strongest are kept.
_CONTRAST = 0.015
# Lowe's ratio test: a nearest neighbour counts if it is this much nearer than the second one.
_RATIO = 0.8
# SIFT: 4 x 4 cells with 8 orientations each.
_CELLS, _ORIENTATIONS = 4, 8


@dataclass(frozen=True, slots=True)
class Variant:
    """What was done to the query's picture besides moving it."""

    mirrored: bool
    inverted: bool


VARIANTS = tuple(
    Variant(mirrored, inverted) for inverted in (False, True) for mirrored in (False, True)
)


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The keypoints of one picture.

    points: float32 (N, 2), xy in pixels. descriptors: float32 (N, 128), RootSIFT: unit norm.
    """

    points: Float32Array
    descriptors: Float32Array

    @classmethod
    def of(cls, picture: UInt8Array) -> Keypoints:
        """Of a grey picture, uint8 (H, W)."""
        sift = cv2.SIFT_create(nfeatures=MAX_KEYPOINTS, contrastThreshold=_CONTRAST)
        found, raw = sift.detectAndCompute(picture, None)
        if raw is None:
            return cls(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))
        points = np.array([one.pt for one in found], dtype=np.float32)
        # SIFT may keep a few more than asked where responses are equal.
        sums = raw.sum(axis=1, keepdims=True)
        root = np.sqrt(raw / np.maximum(sums, 1e-7)).astype(np.float32)
        return cls(points[:MAX_KEYPOINTS], root[:MAX_KEYPOINTS])

    @classmethod
    def of_colour(cls, picture: UInt8Array) -> Keypoints:
        """Of a picture, uint8 (H, W, 3), RGB."""
        return cls.of(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))

    def as_if(self, variant: Variant) -> Float32Array:
        """float32 (N, 128): the descriptors that the keypoints had before the picture became a variant.

        A descriptor is relative to the direction of the gradient at its keypoint. A mirror reverses the
        cells of one axis and the sense of the angles; inverted colours turn the direction by half a turn,
        which reverses the cells of both axes. So no picture is looked at twice.
        """
        return np.ascontiguousarray(self.descriptors[:, _order(variant)])


@cache
def _order(variant: Variant) -> Int64Array:
    """int64 (128,): where each number of a variant's descriptor stood before."""
    count = _CELLS * _CELLS * _ORIENTATIONS
    places = np.arange(count, dtype=np.int64).reshape(_CELLS, _CELLS, _ORIENTATIONS)
    if variant.mirrored:
        places = places[::-1][:, :, -np.arange(_ORIENTATIONS) % _ORIENTATIONS]
    if variant.inverted:
        places = places[::-1, ::-1]
    return places.reshape(-1)


def shared_points(
    query: Keypoints, reference: Keypoints, variant: Variant
) -> tuple[Float32Array, Float32Array]:
    """float32 (M, 2) twice: points of the reference and of the query that look the same."""
    if len(query.points) < 2 or len(reference.points) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)
    # Of unit vectors the largest inner product is the nearest; (2 - 2 s) is the squared distance.
    likeness = query.as_if(variant) @ reference.descriptors.T
    nearest = np.argpartition(-likeness, 1, axis=1)[:, :2]
    values = np.take_along_axis(likeness, nearest, axis=1)
    first = np.argmax(values, axis=1)
    rows = np.arange(len(values))
    best, second = values[rows, first], values[rows, 1 - first]
    chosen = nearest[rows, first]
    distinct = (1.0 - best) < _RATIO**2 * (1.0 - second)
    # Both ways: each is the nearest of the other.
    mutual = likeness.argmax(axis=0)[chosen] == rows
    kept = distinct & mutual
    return reference.points[chosen[kept]], query.points[kept]
