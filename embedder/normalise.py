"""Normalisation of vectors."""

from __future__ import annotations

import numpy as np

from common.types import Array


def unit(values: Array) -> Array:
    """Rows scaled to unit norm along the last axis; zero stays zero."""
    norm = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.maximum(norm, 1e-9)
