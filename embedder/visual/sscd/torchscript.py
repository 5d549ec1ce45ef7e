"""SSCD from Meta's TorchScript file, through torch on any device."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import WeightsDamagedError
from common.settings import DeviceSettings
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.device import Device, check_device
from embedder.golden_image import sample_pictures
from embedder.visual.sscd.preprocessing import normalised, squashed
from embedder.visual.sscd.weights import WAY_OUT


class TorchScriptNetwork:
    """The loaded network; `open` gives the one instance of a process."""

    def __init__(self, path: Path, side: int, settings: DeviceSettings) -> None:
        import torch

        self._torch = torch
        self._side = side
        self._device = Device(settings)
        self._mixed = False
        try:
            with warnings.catch_warnings():
                # torch calls TorchScript deprecated on every load; Meta publishes nothing else.
                warnings.simplefilter("ignore")
                self._network = torch.jit.load(path, map_location=self._device.target).eval()
            width = self.encode(sample_pictures()[:1]).shape[-1]
        except RuntimeError as error:
            raise WeightsDamagedError(
                f"{path} is not a TorchScript file that can be run "
                f"({str(error).splitlines()[0][:120]}); {WAY_OUT}"
            ) from None
        if width != VISUAL_DIMENSION:
            raise WeightsDamagedError(
                f"{path} is not SSCD: expected {VISUAL_DIMENSION} outputs, got {width}; {WAY_OUT}"
            )
        self._mixed = self._device.trusts_mixed(self._with_precision)

    @staticmethod
    def open(path: Path, side: int, settings: DeviceSettings) -> TorchScriptNetwork:
        """Load it once. Raises DeviceError or WeightsDamagedError; an incomplete archive is found before
        torch is imported."""
        check_device(settings)
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            spoilt = archive.testzip()
        if spoilt or not any(name.endswith("/data.pkl") for name in names):
            problem = f"{spoilt} in it is damaged" if spoilt else "it has no network"
            raise WeightsDamagedError(
                f"{path} is not a complete TorchScript file ({problem}); {WAY_OUT}"
            )
        return _load_once(path.resolve(), side, settings)

    @property
    def batch_pictures(self) -> int:
        """Pictures per batch."""
        return self._device.batch_size

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """float32 (B, 512) of any length."""
        if not len(pictures):
            return np.zeros((0, VISUAL_DIMENSION), dtype=np.float32)
        return np.concatenate(self._device.encode(self._forward, pictures))

    def _forward(self, pictures: Sequence[UInt8Array]) -> Any:
        batch = self._torch.from_numpy(normalised(squashed(pictures, self._side)))
        with self._device.precision(self._mixed):
            return self._network(batch.to(self._device.target))

    def _with_precision(self, mixed: bool) -> Float32Array:
        self._mixed = mixed
        return self.encode(sample_pictures())


@cache
def _load_once(path: Path, side: int, settings: DeviceSettings) -> TorchScriptNetwork:
    return TorchScriptNetwork(path, side, settings)
