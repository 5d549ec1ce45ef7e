"""Checks that this CPU computes the expected vector of a test picture for each backend.

Int8 kernels differ between CPUs; without VNNI some saturate, and every vector is then slightly wrong. The
picture is drawn with integer arithmetic, so it is equal everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.types import Float32Array
from embedder.golden_image import golden_picture
from embedder.visual.base import VisualBackend

GOLDEN_PATH = Path(__file__).with_name("golden.npz")
MIN_COSINE = 0.99


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """cosine: between the vector computed here and the stored one; None if none is stored."""

    cosine: float | None
    message: str

    @property
    def ok(self) -> bool:
        return self.cosine is None or self.cosine >= MIN_COSINE


def check_golden(backend: VisualBackend) -> GoldenResult:
    """Embed the test picture and compare it with the stored vector of the backend."""
    with np.load(GOLDEN_PATH, allow_pickle=False) as stored:
        if backend.fingerprint not in stored.files:
            return GoldenResult(
                None, f"no reference vector is stored for {backend.fingerprint}: not compared"
            )
        expected: Float32Array = stored[backend.fingerprint]
    cosine = float(backend.encode([golden_picture()])[0] @ expected)
    if cosine >= MIN_COSINE:
        return GoldenResult(cosine, f"cosine {cosine:.4f} to the stored vector")
    return GoldenResult(
        cosine,
        f"cosine {cosine:.4f} to the stored vector, expected {MIN_COSINE} or more: this "
        "CPU computes different vectors; do not use its index on another machine, or use "
        "--profile offline",
    )
