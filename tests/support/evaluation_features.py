"""Features of a query made by hand, as the evaluation caches them."""

from __future__ import annotations

import numpy as np

from common.types import Float32Array
from embedder.normalise import unit
from embedder.query.features import QueryFeatures, ViewFeatures
from evaluation.data.feature_cache import CachedQuery
from evaluation.records import CopiedRange


def seen(
    rng: np.random.Generator, direction: Float32Array, noise: float, seconds: float = 4.0
) -> CachedQuery:
    """A copy of a whole video at 2 frames per second, upright and mirrored. direction: float32 (512,),
    what every frame shows, each with `noise` of its own."""
    count = round(2 * seconds)
    views = []
    for name in ("identity", "flip_h"):
        rows = unit(direction + rng.normal(0, noise, (count, 512))).astype(np.float32)
        views.append(ViewFeatures(name, rows, np.ones(count, dtype=bool), np.arange(count) / 2))
    still = np.zeros((1, 15), dtype=np.float32)
    query = QueryFeatures(seconds, np.array([[0.0, seconds]]), still, tuple(views))
    return CachedQuery(query, (CopiedRange(0.0, seconds, 0.0, seconds),))
