"""Models of the hub: finds and checks their weights without torch.

A model is a folder with `config.json` and one file of weights: a snapshot in the hub's cache, or a folder
of the user's. Every error in it is found here, before torch is imported.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DependencyError, WeightsDamagedError, WeightsMissingError, WrongModelError
from common.extras import install_command
from embedder.weights.pinned import difference, noted_commit

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
PULLED_FILES = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A kind of model that StoryHash uses.

    name: as in `storyhash models pull NAME`. variable: the setting that names another one. kinds: what
    `model_type` in config.json may be. default: the hub's id. profiles: what to use without it.
    """

    name: str
    title: str
    variable: str
    kinds: tuple[str, ...]
    default: str
    licence: str
    megabytes: int
    instead: str


CLIP = HubModel(
    name="clip",
    title="CLIP ViT-B/32",
    variable="STORYHASH_CLIP__MODEL",
    kinds=("clip", "clip_vision_model"),
    default="openai/clip-vit-base-patch32",
    licence="MIT",
    megabytes=605,
    instead="--profile sscd-motion or offline, which need no download",
)
SAM2 = HubModel(
    name="sam2",
    title="SAM 2.1",
    variable="STORYHASH_SAM2__MODEL",
    kinds=("sam2_video", "edgetam_video"),
    default="facebook/sam2.1-hiera-tiny",
    licence="Apache-2.0",
    megabytes=156,
    instead="a profile that ends in -motion, whose tracker needs no download",
)
HUB_MODELS = {model.name: model for model in (CLIP, SAM2)}


@dataclass(frozen=True, slots=True)
class Weights:
    """A model whose files are present and complete."""

    folder: Path
    file: Path
    config: Mapping[str, Any]


def find_weights(model: HubModel, reference: str, revision: str | None = None) -> Weights:
    """Find the model `reference`, a folder or an id of the hub, on this machine. `revision`: its commit.
    Downloaded files are compared with their checksums.

    Raises WeightsMissingError, WeightsDamagedError or WrongModelError; the message says what to do.
    """
    if is_path(reference):
        folder = _local_folder(model, reference)
    else:
        folder = _cached(model, reference, revision)
    if revision is not None and revision != (noted_commit(folder) or folder.name):
        raise WrongModelError(
            f"{folder} is of {noted_commit(folder) or 'an unknown commit'}, expected {revision} "
            f"({model.variable.replace('MODEL', 'REVISION')}); {_again(model, reference)}"
        )
    config = _read_config(model, folder)
    file = next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)
    if file is None:
        raise WeightsMissingError(
            f"{folder} has a config.json but no weights ({' or '.join(WEIGHT_FILES)}); "
            f"{way_out(model, reference)}"
        )
    problem = damage(file)
    if problem:
        raise WeightsDamagedError(f"{file} is damaged ({problem}); {_again(model, reference)}")
    changed = difference(folder, file)
    if changed:
        raise WeightsDamagedError(
            f"{folder} differs from what was downloaded ({changed}); {_again(model, reference)}"
        )
    return Weights(folder, file, config)


def is_path(reference: str) -> bool:
    """Whether a reference names a folder. An id of the hub has exactly one slash, and no folder has this
    name."""
    path = Path(reference).expanduser()
    return path.exists() or path.is_absolute() or reference[0] in ".~" or reference.count("/") != 1


def way_out(model: HubModel, reference: str) -> str:
    """What to do if the weights are missing."""
    fetch = (
        f"set {model.variable} to a folder with the model"
        if is_path(reference)
        else (
            f"download them with: storyhash models pull {model.name}, or set {model.variable} "
            "to a folder"
        )
    )
    return f"{fetch}; or use {model.instead}"


def cache_folder() -> Path:
    """The hub's cache folder, as its environment variables say."""
    hub_package()
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def hub_package() -> Any:
    """huggingface_hub. Raises DependencyError where it is not installed."""
    try:
        import huggingface_hub
    except ImportError:
        raise DependencyError(
            f"the package huggingface-hub is not installed: {install_command('models')}"
        ) from None
    return huggingface_hub


def _local_folder(model: HubModel, reference: str) -> Path:
    folder = Path(reference).expanduser()
    if not (folder / "config.json").is_file():
        problem = "has no config.json" if folder.is_dir() else "is not a folder"
        raise WeightsMissingError(
            f"{model.variable}={reference} {problem}; {way_out(model, reference)}"
        )
    return folder


def _cached(model: HubModel, reference: str, revision: str | None) -> Path:
    cached = hub_package().try_to_load_from_cache(
        reference, "config.json", cache_dir=cache_folder(), revision=revision
    )
    if not isinstance(cached, str):
        raise WeightsMissingError(
            f"the weights of {model.title} ({reference}) are not in {cache_folder()}; "
            f"{way_out(model, reference)}"
        )
    return Path(cached).parent


def _read_config(model: HubModel, folder: Path) -> Mapping[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise WeightsDamagedError(f"{path} is damaged; {_again(model, str(folder))}") from None
    if kind not in model.kinds:
        raise WrongModelError(
            f"{folder} has a model of type {kind!r}, expected {' or '.join(model.kinds)}; "
            f"set {model.variable} to {model.title}, or unset it"
        )
    return dict(config)


def _again(model: HubModel, reference: str) -> str:
    if is_path(reference):
        return f"copy the model there again; or use {model.instead}"
    return f"download it again with: storyhash models pull {model.name} --force"


def damage(file: Path) -> str:
    """What is wrong with a file of weights; empty if nothing is.

    A safetensors file names its length, and a torch file is a zip archive with its index at the end: both
    reveal a truncated copy.
    """
    if file.suffix == ".safetensors":
        return _safetensors_damage(file)
    return "" if zipfile.is_zipfile(file) else "not a torch archive"


def _safetensors_damage(file: Path) -> str:
    # 8 bytes, little endian: length of the JSON header that follows; then the tensors, end to end.
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(size - 8, 100_000_000):
            return "no safetensors header"
        try:
            header = json.loads(opened.read(length))
            ends = [
                tensor["data_offsets"][1] for key, tensor in header.items() if key != "__metadata__"
            ]
        except (ValueError, KeyError, TypeError, IndexError):
            return "unreadable safetensors header"
    expected = 8 + length + max(ends, default=0)
    return "" if size == expected else f"{size} bytes, expected {expected}"
