"""SSCD as a visual backend: one preprocessing, two ways to run the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from common.runtime_tuning import usable_cores
from common.settings import DeviceSettings, SscdSettings
from common.types import Float32Array, UInt8Array
from embedder.normalise import unit
from embedder.visual.sscd.weights import is_torchscript, weights_path
from embedder.visual.views import BRIGHTENED, FIRST_VIEWS, OTHER_REGIONS
from embedder.weights.checksum import weights_checksum

# Pictures are scaled to a square, so nothing is cut off. A side of 288 finds small insets that 224 misses
# (see `preprocessing.squashed`).
_SIDE = 288


class Network(Protocol):
    """The network itself, from one kind of file."""

    @property
    def batch_pictures(self) -> int:
        """Pictures per batch that use it fully."""
        ...

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """float32 (B, 512) of any length."""
        ...


class SscdBackend:
    """SSCD as a visual backend. Thread-safe.

    An ONNX file runs on the CPU; a TorchScript file on the device of the settings.
    """

    name = "sscd"
    frames_per_second = 2.0
    pooling: Literal["mean", "median"] = "mean"
    views = FIRST_VIEWS
    # The network is nearly blind to mirroring and to rotations by 90 and 180 degrees: the whole picture
    # finds them at a similarity of 0.75 and more. `middle` found no copy that another view does not find.
    closer_views = ("negative", BRIGHTENED, *(name for name in OTHER_REGIONS if name != "middle"))

    def __init__(
        self,
        settings: SscdSettings,
        device: DeviceSettings | None = None,
        side: int = _SIDE,
    ) -> None:
        """Load the weights. Raises WeightsMissingError, WeightsDamagedError or DeviceError.

        device: for TorchScript; ONNX Runtime uses every core that this process may run on. side: of the
        square that pictures are scaled to, in pixels.
        """
        path = weights_path(settings)
        self._network: Network
        if is_torchscript(path):
            from embedder.visual.sscd.torchscript import TorchScriptNetwork

            self._network = TorchScriptNetwork.open(path, side, device or DeviceSettings())
        else:
            from embedder.visual.sscd.onnx import OnnxNetwork

            self._network = OnnxNetwork.open(path.resolve(), side, usable_cores())
        checksum = weights_checksum(path)
        self.fingerprint = (
            f"sscd {checksum} squash-{side}-area {self.pooling} {self.frames_per_second}"
        )

    @property
    def batch_pictures(self) -> int:
        """See `VisualBackend.batch_pictures`."""
        return self._network.batch_pictures

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """See `VisualBackend.encode`; references and queries are described alike."""
        return unit(self._network.encode(pictures))
