"""SSCD from Meta's TorchScript and from ONNX is one network: the same preparation, the same vectors."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from common.errors import WeightsDamagedError
from common.settings import DeviceSettings, SscdSettings
from embedder.visual.sscd import SscdBackend
from storyhash.samples import film
from tests.conftest import skip_or_fail
from tests.support.networks import onnx_sscd, torchscript_sscd

FULL = DeviceSettings(name="cpu", precision="fp32")


def test_the_same_weights_give_the_same_vectors(models: Path, tmp_path: Path) -> None:
    if not all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime")):
        skip_or_fail("onnx", "pip install -e '.[test]'")
    torchscript = SscdSettings(path=torchscript_sscd(tmp_path / "sscd.torchscript.pt"))
    onnx = SscdSettings(path=onnx_sscd(tmp_path / "sscd.onnx"))
    pictures = [frame for seed in (1, 2) for frame in islice(film(seed, 1.0), 5)]
    one = SscdBackend(torchscript, FULL, side=64).encode(pictures)
    other = SscdBackend(onnx, side=64).encode(pictures)
    assert (one * other).sum(axis=1).min() >= 0.99999
    assert np.abs(one - other).max() < 1e-4


def test_the_source_of_the_weights_is_in_the_fingerprint(models: Path, tmp_path: Path) -> None:
    path = torchscript_sscd(tmp_path / "sscd.pt")
    backend = SscdBackend(SscdSettings(path=path), FULL, side=64)
    assert backend.fingerprint != SscdBackend(SscdSettings(path=path), FULL, side=96).fingerprint
    assert backend.batch_pictures == 32


def test_what_is_no_sscd_is_refused(models: Path, tmp_path: Path) -> None:
    wide = torchscript_sscd(tmp_path / "wide.pt", width=128)
    with pytest.raises(WeightsDamagedError, match="expected 512 outputs, got 128"):
        SscdBackend(SscdSettings(path=wide), FULL, side=64)


def test_a_torchscript_file_with_a_changed_byte_is_refused(models: Path, tmp_path: Path) -> None:
    path = torchscript_sscd(tmp_path / "sscd.pt")
    content = bytearray(path.read_bytes())
    middle = content.index(b"data/0") + 600
    content[middle] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(WeightsDamagedError, match="damaged"):
        SscdBackend(SscdSettings(path=path), FULL, side=64)
