"""The network of `offline` as a visual backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from common.resize import shrink
from common.runtime_tuning import usable_cores
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.normalise import unit
from embedder.onnx_runtime import open_session
from embedder.visual.views import BRIGHTENED, FIRST_VIEWS, OTHER_REGIONS
from embedder.weights.checksum import weights_checksum

WEIGHTS_PATH = Path(__file__).with_name("network.onnx")
# With 160 the network finds slightly more, in 1.4 times the time (docs/offline.md).
INPUT_SIDE = 128
_BATCH = 8


class OfflineBackend:
    """Runs on the CPU through ONNX Runtime, in single precision. Thread-safe."""

    name = "offline"
    frames_per_second = 2.0
    batch_pictures = _BATCH
    pooling: Literal["mean", "median"] = "mean"
    views = FIRST_VIEWS
    # The network was trained to ignore mirroring, so `flip_h` would equal `identity` and `flip_v` would
    # equal `rotate_180`.
    closer_views = ("rotate_90", "rotate_180", "rotate_270", "negative", BRIGHTENED, *OTHER_REGIONS)

    def __init__(self, threads: int | None = None, path: Path = WEIGHTS_PATH) -> None:
        """threads: cores that one call may use; None means all cores that this process may use."""
        self.fingerprint = (
            f"offline {weights_checksum(path)} squash-{INPUT_SIDE}-area {self.pooling} "
            f"{self.frames_per_second}"
        )
        self._session = _session(path, threads or usable_cores())

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """See `VisualBackend.encode`."""
        described = np.empty((len(pictures), VISUAL_DIMENSION), dtype=np.float32)
        for start in range(0, len(pictures), _BATCH):
            batch = prepared(pictures[start : start + _BATCH])
            (described[start : start + _BATCH],) = self._session.run(None, {"pictures": batch})
        return unit(described)


def prepared(pictures: Sequence[UInt8Array]) -> Float32Array:
    """Pictures as float32 (B, 3, side, side) in 0..1, where side is INPUT_SIDE. The complete picture is
    stretched to a square, so that nothing at its edges is lost."""
    squares = np.stack([shrink(picture, INPUT_SIDE, INPUT_SIDE) for picture in pictures])
    return np.ascontiguousarray(squares.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


# One per process, file and number of threads.
_session = cache(open_session)
