"""A made picture and what each backend should say of it: does this processor compute what ours did?

Int8 kernels differ between processors; without VNNI some saturate, and every vector is then a little
wrong. The picture is drawn with integer arithmetic alone, so it is the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.types import Float32Array, UInt8Array
from embedder.visual.base import VisualBackend

GOLDEN_PATH = Path(__file__).with_name("golden.npz")
MIN_COSINE = 0.99
_HEIGHT, _WIDTH = 270, 480


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """cosine between the vector computed here and the stored one; None when none is stored."""

    cosine: float | None
    message: str

    @property
    def ok(self) -> bool:
        return self.cosine is None or self.cosine >= MIN_COSINE


def golden_picture() -> UInt8Array:
    """uint8 (270, 480, 3): discs, bars and a ripple, by integers only."""
    y, x = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.int64)
    picture = (
        np.stack([(x * 255) // _WIDTH, (y * 255) // _HEIGHT, ((x * y) // 97) % 256], axis=-1) // 2
        + 40
    )
    for number in range(9):
        centre_x, centre_y = (number * 137 + 60) % _WIDTH, (number * 89 + 40) % _HEIGHT
        disc = (x - centre_x) ** 2 + (y - centre_y) ** 2 < (18 + number * 6) ** 2
        picture[disc] = [(number * 71) % 256, (number * 151 + 90) % 256, (number * 37 + 30) % 256]
    picture[(x // 12 + y // 30) % 11 == 0] = [230, 220, 200]
    return picture.astype(np.uint8)


def check_golden(backend: VisualBackend) -> GoldenResult:
    """Embed the made picture and compare it with the vector stored for this very backend."""
    with np.load(GOLDEN_PATH, allow_pickle=False) as stored:
        if backend.fingerprint not in stored.files:
            return GoldenResult(
                None, f"no golden vector is stored for {backend.fingerprint}: not compared"
            )
        expected: Float32Array = stored[backend.fingerprint]
    cosine = float(backend.encode([golden_picture()])[0] @ expected)
    if cosine >= MIN_COSINE:
        return GoldenResult(cosine, f"cosine {cosine:.4f} to the stored vector")
    return GoldenResult(
        cosine,
        f"cosine {cosine:.4f} to the stored vector, expected {MIN_COSINE} or more: this processor "
        "computes other vectors; never mix its index with another machine's, or use --profile offline",
    )
