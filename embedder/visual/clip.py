"""CLIP image embeddings (Radford et al., 2021) through transformers: the visual backend of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from common.errors import WrongModelError
from common.settings import ClipSettings, DeviceSettings
from common.types import VISUAL_DIMENSION, Float32Array, UInt8Array
from embedder.device import Device, check_device
from embedder.golden_image import sample_pictures
from embedder.normalise import unit
from embedder.visual.views import BRIGHTENED, FIRST_VIEWS, OTHER_REGIONS
from embedder.weights.checksum import weights_checksum
from embedder.weights.hub import CLIP, Weights, find_weights
from embedder.weights.loader import load_pretrained, loading

# Pictures with a larger aspect ratio are cut before they are enlarged.
_MAX_ASPECT = 4


class ClipBackend:
    """CLIP as a visual backend: 2 frames per second, median over time, on any device."""

    name = "clip"
    frames_per_second = 2.0
    pooling: Literal["mean", "median"] = "median"
    # The network knows only upright pictures, so a rotated copy is found only after it is rotated back.
    views = FIRST_VIEWS
    closer_views = (
        "flip_h", "flip_v", "rotate_90", "rotate_180", "rotate_270", "negative", BRIGHTENED,
        *OTHER_REGIONS,
    )  # fmt: skip

    def __init__(self, settings: ClipSettings, device: DeviceSettings) -> None:
        """Load the weights. Raises the errors of `check_clip`, and WeightsDamagedError if the file turns
        out to be damaged during loading."""
        weights = check_clip(settings, device)
        with loading(CLIP, weights):
            self.network = _load_once(weights.folder.resolve(), device)
        self.fingerprint = (
            f"clip {weights_checksum(weights.file)} {self.pooling} {self.frames_per_second}"
        )

    @property
    def batch_pictures(self) -> int:
        """See `VisualBackend.batch_pictures`."""
        return self.network.device.batch_size

    @property
    def precision(self) -> str:
        """`mixed` or `fp32`: the precision chosen for this device."""
        return "mixed" if self.network.mixed else "fp32"

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        """See `VisualBackend.encode`."""
        if not len(pictures):
            return np.zeros((0, VISUAL_DIMENSION), dtype=np.float32)
        return unit(np.concatenate(self.network.encode(pictures)))


def central(picture: UInt8Array) -> UInt8Array:
    """The part of a strip (H, W, 3) that CLIP's central crop can use. Other pictures are returned
    unchanged.

    The processor enlarges the short side to 224 pixels before it crops, so 2 x 2000 pixels would need
    half a gigabyte.
    """
    height, width = picture.shape[:2]
    long, short = max(height, width), min(height, width)
    if long <= _MAX_ASPECT * short:
        return picture
    length = _MAX_ASPECT * short
    first = (long - length) // 2
    part = slice(first, first + length)
    return picture[:, part] if width > height else picture[part]


class _Network:
    """The loaded model: one instance per process and device settings."""

    def __init__(self, folder: Path, settings: DeviceSettings) -> None:
        import torch
        from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

        self._torch = torch
        self.device = Device(settings)
        self.model = self.device.place(load_pretrained(CLIPVisionModelWithProjection, folder))
        described = (folder / "preprocessor_config.json").is_file()
        self._processor = (
            CLIPImageProcessor.from_pretrained(folder) if described else CLIPImageProcessor()
        )
        self.mixed = False
        self.mixed = self.device.trusts_mixed(self._with_precision)

    def prepare(self, pictures: Sequence[UInt8Array]) -> Any:
        """Pictures as float32 (B, 3, 224, 224) on the device, prepared by CLIPImageProcessor."""
        tensors = [
            self._torch.from_numpy(np.ascontiguousarray(central(picture))).permute(2, 0, 1)
            for picture in pictures
        ]
        prepared = self._processor(tensors, return_tensors="pt", device=self.device.target)
        return prepared["pixel_values"]

    def encode(self, pictures: Sequence[UInt8Array]) -> list[Any]:
        return self.device.encode(self._forward, pictures)

    def _forward(self, pictures: Sequence[UInt8Array]) -> Any:
        with self.device.precision(self.mixed):
            return self.model(pixel_values=self.prepare(pictures)).image_embeds

    def _with_precision(self, mixed: bool) -> Float32Array:
        self.mixed = mixed
        return np.concatenate(self.encode(sample_pictures()))


@cache
def _load_once(folder: Path, settings: DeviceSettings) -> _Network:
    return _Network(folder, settings)


def check_clip(settings: ClipSettings, device: DeviceSettings) -> Weights:
    """Check weights and device without importing torch.

    Raises WeightsMissingError, WeightsDamagedError, WrongModelError or DeviceError.
    """
    weights = find_weights(CLIP, settings.model, settings.revision)
    width = weights.config.get("projection_dim", VISUAL_DIMENSION)
    if width != VISUAL_DIMENSION:
        raise WrongModelError(
            f"{CLIP.variable}: this model has {width} dimensions per image, expected "
            f"{VISUAL_DIMENSION}; set it to a ViT-B model, or unset it"
        )
    check_device(device)
    return weights
