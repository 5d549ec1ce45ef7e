"""The offline descriptor behind the visual seam."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.visual.offline.features import picture_features
from embedder.visual.offline.projection import Projection
from embedder.visual.views import IDENTITY, REGION_NAMES
from embedder.weights.checksum import weights_checksum

WEIGHTS_PATH = Path(__file__).with_name("weights.npz")
_RECIPE = "offline-1"


class OfflineBackend:
    """Deterministic, on one core, with nothing to install. Thread-safe."""

    name = "offline"
    frames_per_second = 2.0
    batch_pictures = 1
    pooling: Literal["mean", "median"] = "mean"
    views = (IDENTITY,)
    closer_views = (
        "flip_h", "flip_v", "rotate_90", "rotate_180", "rotate_270", "negative", *REGION_NAMES,
    )  # fmt: skip

    def __init__(self) -> None:
        checksum = weights_checksum(WEIGHTS_PATH)
        self.fingerprint = f"{_RECIPE} {checksum} {self.pooling} {self.frames_per_second}"
        self._projection = Projection.load(WEIGHTS_PATH)

    def encode(self, pictures: Sequence[UInt8Array], *, reference: bool = False) -> Float32Array:
        """See `VisualBackend.encode`; references and queries are described alike."""
        if not len(pictures):
            return np.zeros((0, VISUAL_DIMENSION), dtype=np.float32)
        return self._projection.describe([picture_features(picture) for picture in pictures])
