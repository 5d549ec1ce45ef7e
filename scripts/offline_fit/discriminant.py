"""Probabilistic discriminant analysis in closed form (Ioffe, 2006), from the covariances alone."""

from __future__ import annotations

import numpy as np

from common.types import Array, Float32Array


def fit_discriminant(
    groups: Array, dimensions: int, shrinkage: float
) -> tuple[Float32Array, Float32Array]:
    """Mean float32 (D,) and map float32 (D, dimensions), best direction first.

    groups: float32 (images, variants, D): what is one image, seen differently. With Sw the pooled
    covariance within images and Sb that of their means less what Sw adds to it, solves
    Sb v = lambda (Sw + shrinkage tr(Sw) / D I) v and scales v by sqrt(lambda / (1 + 2 lambda)).
    """
    images, variants, dimension = groups.shape
    means = groups.mean(axis=1)
    within = (groups - means[:, None]).reshape(-1, dimension).astype(np.float64)
    scatter = within.T @ within / (images * (variants - 1))
    mean = means.mean(axis=0)
    between = np.cov(means.T.astype(np.float64)) - scatter / variants
    regular = scatter + shrinkage * np.trace(scatter) / dimension * np.eye(dimension)
    # The symmetric form of the generalised problem: whiten by the Cholesky factor of the right side.
    factor = np.linalg.inv(np.linalg.cholesky(regular))
    values, vectors = np.linalg.eigh(factor @ between @ factor.T)
    values = np.maximum(values[::-1][:dimensions], 1e-6)
    directions = (factor.T @ vectors)[:, ::-1][:, :dimensions]
    scaled = directions * np.sqrt(values / (1 + 2 * values))
    return mean.astype(np.float32), scaled.astype(np.float32)


def fit_patches(
    patches: Float32Array, dimensions: int, centres: int, rng: np.random.Generator
) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Mean (128,), whitened basis (128, dimensions) and k-means centres (centres, dimensions).

    Axes are divided by eigenvalue^0.25, half-way to whitening.
    """
    mean = patches.mean(axis=0, dtype=np.float32)
    values, vectors = np.linalg.eigh(np.cov((patches - mean).T))
    exact = vectors[:, ::-1][:, :dimensions] / values[::-1][:dimensions] ** 0.25
    basis = exact.astype(np.float32)
    reduced: Float32Array = ((patches - mean) @ basis).astype(np.float32)
    return mean, basis, _k_means(reduced, centres, rng)


def _k_means(points: Float32Array, count: int, rng: np.random.Generator) -> Float32Array:
    """Lloyd's algorithm from random points; an empty centre takes a random point."""
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(40):
        distance = np.square(centres).sum(axis=1)[None] - 2 * points @ centres.T
        nearest = distance.argmin(axis=1)
        for number in range(count):
            members = points[nearest == number]
            centres[number] = (
                members.mean(axis=0) if len(members) else points[rng.integers(len(points))]
            )
    return centres
