"""Estimates the camera's motion from a flow field."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from common.types import Float32Array, Float64Array

_STEP = 4
_ROUNDS = 6
# Residuals above this multiple of the median belong to moving objects, not to the camera.
_CUTOFF = 3.0


def camera_flow(flow: Float32Array) -> Float32Array:
    """float32 (H, W, 2): the affine motion of most of a flow field (H, W, 2), in pixels.

    It is fitted with iteratively reweighted least squares and Tukey's biweight (Holland and Welsch,
    1977). This needs no random numbers, so the same flow always gives the same result.
    """
    basis, rows = _basis(*flow.shape[:2])
    samples = flow[::_STEP, ::_STEP].reshape(-1, 2).astype(np.float64)
    return basis @ _robust_fit(rows, samples).astype(np.float32)


@lru_cache(maxsize=8)
def _basis(height: int, width: int) -> tuple[Float32Array, Float64Array]:
    """The values 1, x and y of every pixel, float32 (H, W, 3), and of the fitted pixels, float64 (n, 3).

    They are centred and scaled, so that the fit is well conditioned and a mirrored picture gives a
    mirrored result.
    """
    ys, xs = np.mgrid[0:height, 0:width] + 0.5
    basis = np.stack([np.ones((height, width)), xs / width - 0.5, ys / height - 0.5], axis=-1)
    return basis.astype(np.float32), basis[::_STEP, ::_STEP].reshape(-1, 3)


def _robust_fit(rows: Float64Array, flow: Float64Array) -> Float64Array:
    """Coefficients (3, 2). The fit starts from the median motion. rows: (n, 3). flow: (n, 2), pixels."""
    fit = np.zeros((3, 2))
    fit[0] = np.median(flow, axis=0)
    for _ in range(_ROUNDS):
        error = np.hypot(*(flow - rows @ fit).T)
        cutoff = _CUTOFF * max(float(np.median(error)), 0.05)
        weight = np.square(np.maximum(0.0, 1.0 - np.square(error / cutoff)))
        weighted = rows * weight[:, None]
        fit = np.linalg.solve(weighted.T @ rows + 1e-6 * np.eye(3), weighted.T @ flow)
    return fit
