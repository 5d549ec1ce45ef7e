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


def fit_probability(fitting: int, points: int) -> float:
    """The probability, 0 to 1, that a map is true which `fitting` of `points` points fit (Brown and
    Lowe, equation 10)."""
    log_odds = (
        math.log(_PRIOR / (1 - _PRIOR))
        + fitting * math.log(_TRUE_FITS / _FALSE_FITS)
        + (points - fitting) * math.log((1 - _TRUE_FITS) / (1 - _FALSE_FITS))
    )
    return 1.0 / (1.0 + math.exp(min(700.0, -log_odds)))


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
    # Several keypoints at one place are one piece of evidence.
    places = np.unique(np.round(query_points[fits] / _FIT_PIXELS), axis=0)
    if not _is_an_edit(made) or (np.linalg.det(made[:, :2]) < 0) != variant.mirrored:
        return None
    missed = len(reference_points) - int(fits.sum())
    return Registration(variant, made, len(places), len(places) + missed)


def _is_an_edit(matrix: Float64Array) -> bool:
    across, down = matrix[:, 0], matrix[:, 1]
    width, height = float(np.hypot(*across)), float(np.hypot(*down))
    low, high = min(width, height), max(width, height)
    if low < 1 / _MAX_SCALE or high > _MAX_SCALE or high > _MAX_STRETCH * low:
        return False
    return abs(float(across @ down)) <= _MAX_SHEAR * width * height
