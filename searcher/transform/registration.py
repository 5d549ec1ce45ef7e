"""The affine map from one picture into another, from shared keypoints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from common.types import Float32Array, Float64Array
from searcher.transform.keypoints import Variant

# A point fits if it lands within this many pixels.
_FIT_PIXELS = 3.0
_ITERATIONS, _CERTAINTY = 2000, 0.999
_LEAST_POINTS = 6
# Maps that no edit makes: the picture is scaled more than this, one axis is stretched more than this
# against the other, or the axes are sheared (cosine of the angle between them).
_MAX_SCALE, _MAX_STRETCH, _MAX_SHEAR = 8.0, 2.6, 0.25
# Brown and Lowe, "Automatic Panoramic Image Stitching using Invariant Features" (2007), section 3.2: a
# point fits a true map with probability 0.6 and a false one with 0.1; a map is true with 1e-6.
_TRUE_FITS, _FALSE_FITS, _PRIOR = 0.6, 0.1, 1e-6
# A projective map is used if it fits this many times as many points as an affine one. It is looked for
# among the points that the affine one puts within so many pixels of their place.
_MORE_FITTING, _NEAR_PIXELS = 1.1, 16.0


@dataclass(frozen=True, slots=True)
class Registration:
    """How a reference's picture lies in a query's picture.

    matrix: float64 (2, 3), from pixels of the reference to pixels of the query. fitting: how many of the
    shared `points` fit it.
    """

    variant: Variant
    matrix: Float64Array
    fitting: int
    points: int

    @property
    def confidence(self) -> float:
        """Probability that the map is true, from the numbers of points."""
        return fit_probability(self.fitting, self.points)

    @property
    def log_odds(self) -> float:
        """The logarithm of the odds that the map is true."""
        return fit_log_odds(self.fitting, self.points)

    def projective(
        self, reference_points: Float32Array, query_points: Float32Array
    ) -> Float64Array:
        """float64 (3, 3): the projective map near this one if clearly more points fit it, else this one.

        A picture that was filmed from the side is no affine map of the reference. Points as for
        `register`.
        """
        affine = np.vstack([self.matrix, (0.0, 0.0, 1.0)])
        landed = reference_points @ self.matrix[:, :2].T + self.matrix[:, 2]
        near = np.linalg.norm(landed - query_points, axis=1) <= _NEAR_PIXELS
        if near.sum() < _LEAST_POINTS:
            return affine
        matrix, mask = cv2.findHomography(
            reference_points[near],
            query_points[near],
            method=cv2.RANSAC,
            ransacReprojThreshold=_FIT_PIXELS,
            maxIters=_ITERATIONS,
            confidence=_CERTAINTY,
        )
        if matrix is None or not np.isfinite(matrix).all():
            return affine
        fitting = _places(query_points[near][mask.ravel().astype(bool)])
        return np.asarray(matrix, np.float64) if fitting > _MORE_FITTING * self.fitting else affine


def fit_probability(fitting: int, points: int) -> float:
    """The probability, 0 to 1, that a map is true which `fitting` of `points` points fit (Brown and
    Lowe, equation 10)."""
    return 1.0 / (1.0 + math.exp(min(700.0, -fit_log_odds(fitting, points))))


def fit_log_odds(fitting: int, points: int) -> float:
    """The logarithm of the odds of `fit_probability`, which saturates."""
    return (
        math.log(_PRIOR / (1 - _PRIOR))
        + fitting * math.log(_TRUE_FITS / _FALSE_FITS)
        + (points - fitting) * math.log((1 - _TRUE_FITS) / (1 - _FALSE_FITS))
    )


def register(
    variant: Variant, reference_points: Float32Array, query_points: Float32Array
) -> Registration | None:
    """The affine map that most points fit; None if there are too few, or if no edit makes such a map.

    reference_points, query_points: float32 (M, 2), xy in pixels, as `shared_points` gives them.
    """
    if len(reference_points) < _LEAST_POINTS:
        return None
    matrix, mask = cv2.estimateAffine2D(
        reference_points,
        query_points,
        method=cv2.RANSAC,
        ransacReprojThreshold=_FIT_PIXELS,
        maxIters=_ITERATIONS,
        confidence=_CERTAINTY,
    )
    if matrix is None or not np.isfinite(matrix).all():
        return None
    made = np.asarray(matrix, dtype=np.float64)
    fits = mask.ravel().astype(bool)
    if not _is_an_edit(made) or (np.linalg.det(made[:, :2]) < 0) != variant.mirrored:
        return None
    missed = len(reference_points) - int(fits.sum())
    places = _places(query_points[fits])
    return Registration(variant, made, places, places + missed)


def _places(points: Float32Array) -> int:
    """Distinct places of points: several keypoints at one place are one piece of evidence."""
    return len(np.unique(np.round(points / _FIT_PIXELS), axis=0))


def _is_an_edit(matrix: Float64Array) -> bool:
    across, down = matrix[:, 0], matrix[:, 1]
    width, height = float(np.hypot(*across)), float(np.hypot(*down))
    low, high = min(width, height), max(width, height)
    if low < 1 / _MAX_SCALE or high > _MAX_SCALE or high > _MAX_STRETCH * low:
        return False
    return abs(float(across @ down)) <= _MAX_SHEAR * width * height
