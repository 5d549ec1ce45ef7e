"""The network of our own behind the visual seam."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.resize import shrink
from common.runtime_tuning import usable_cores
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.normalise import unit
from embedder.visual.views import IDENTITY, REGION_NAMES
from embedder.weights.checksum import weights_checksum

WEIGHTS_PATH = Path(__file__).with_name("network.onnx")
# At 160 the network finds a little more (docs/offline_network.md), but takes longer than the hand-made
# features of `offline` do.
INPUT_SIDE = 128
_BATCH = 8


class OfflineNetBackend:
    """Runs on the CPU through ONNX Runtime, in single precision. Thread-safe."""

    name = "offline-net"
    frames_per_second = 2.0
    batch_pictures = _BATCH
    pooling: Literal["mean", "median"] = "mean"
    views = (IDENTITY,)
    # The network was trained to see no difference between a picture and its mirror image, so that
    # `flip_h` is `identity`, and `flip_v` is `rotate_180`.
    closer_views = ("rotate_90", "rotate_180", "rotate_270", "negative", *REGION_NAMES)

    def __init__(self, threads: int | None = None, path: Path = WEIGHTS_PATH) -> None:
        """threads: cores one call may use; None takes every core this process may run on."""
        self.fingerprint = (
            f"offline-net {weights_checksum(path)} squash-{INPUT_SIDE}-area {self.pooling} "
            f"{self.frames_per_second}"
        )
        self._session = _open_session(path, threads or usable_cores())

    def encode(self, pictures: Sequence[UInt8Array], *, reference: bool = False) -> Float32Array:
        """See `VisualBackend.encode`; references are looked at as queries are."""
        described = np.empty((len(pictures), VISUAL_DIMENSION), dtype=np.float32)
        for start in range(0, len(pictures), _BATCH):
            batch = prepared(pictures[start : start + _BATCH])
            (described[start : start + _BATCH],) = self._session.run(None, {"pictures": batch})
        return unit(described)


def prepared(pictures: Sequence[UInt8Array]) -> Float32Array:
    """float32 (B, 3, side, side) in 0..1, side INPUT_SIDE: the whole picture, its aspect lost, so that
    nothing at its edge is."""
    squares = np.stack([shrink(picture, INPUT_SIDE, INPUT_SIDE) for picture in pictures])
    return np.ascontiguousarray(squares.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)


@cache
def _open_session(path: Path, threads: int) -> Any:
    """One per process, file and number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait would take the cores from the decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
