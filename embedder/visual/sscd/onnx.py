"""SSCD from an ONNX file, through ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import WeightsDamagedError, WeightsMissingError
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.onnx_runtime import open_session
from embedder.visual.sscd.preprocessing import normalised, squashed
from embedder.visual.sscd.weights import WAY_OUT

_BATCH = 8


class OnnxNetwork:
    """One session; its calls may come from any thread. `open` gives the one of a process."""

    batch_pictures = _BATCH

    @staticmethod
    @cache
    def open(path: Path, side: int, threads: int) -> OnnxNetwork:
        """The one instance of a process. Raises WeightsMissingError without ONNX Runtime,
        WeightsDamagedError for another file."""
        return OnnxNetwork(path, side, threads)

    def __init__(self, path: Path, side: int, threads: int) -> None:
        self._side = side
        self._session = _open_session(path, threads)
        network_input = self._session.get_inputs()[0]
        self._input: str = network_input.name
        # The packaged file takes bytes and normalises them; an export of Meta's network takes floats.
        self._takes_bytes: bool = network_input.type == "tensor(uint8)"

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """float32 (B, 512) of any length."""
        described = np.empty((len(pictures), VISUAL_DIMENSION), dtype=np.float32)
        for start in range(0, len(pictures), _BATCH):
            small = squashed(pictures[start : start + _BATCH], self._side)
            batch = small if self._takes_bytes else normalised(small)
            (described[start : start + _BATCH],) = self._session.run(None, {self._input: batch})
        return described


def _open_session(path: Path, threads: int) -> Any:
    try:
        session = open_session(path, threads)
    except ImportError:
        raise WeightsMissingError(f"SSCD needs onnxruntime: {WAY_OUT}") from None
    except Exception as error:
        # ONNX Runtime raises types of its own that share no public base.
        reason = str(error).splitlines()[0][:120]
        raise WeightsDamagedError(
            f"{path} is not an ONNX or TorchScript file that can be loaded ({reason}); {WAY_OUT}"
        ) from None
    width = session.get_outputs()[0].shape[-1]
    if width != VISUAL_DIMENSION:
        raise WeightsDamagedError(
            f"{path} is not SSCD: expected {VISUAL_DIMENSION} outputs, got {width}; {WAY_OUT}"
        )
    return session
