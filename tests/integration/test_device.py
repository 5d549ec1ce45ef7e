"""Out of memory halves the batch and goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import DeviceMemoryError
from common.settings import ClipSettings, DeviceSettings
from common.types import UInt8Array
from embedder.device import Device
from embedder.visual.clip import ClipBackend
from tests.conftest import quadrants


def _error(kind: str) -> Exception:
    import torch

    if kind == "cuda":
        return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(models: Path, kind: str) -> None:
    import torch

    device = Device(DeviceSettings(name="cpu", batch_size=32))
    seen: list[int] = []

    def forward(pictures: Sequence[UInt8Array]) -> Any:
        seen.append(len(pictures))
        if len(pictures) > 5:
            raise _error(kind)
        return torch.tensor([[float(picture[0, 0, 0])] for picture in pictures])

    pictures = [np.full((2, 2, 3), value, dtype=np.uint8) for value in range(40)]
    rows = np.concatenate(device.encode(forward, pictures))
    assert rows[:, 0].tolist() == list(range(40))
    assert seen[:4] == [32, 16, 8, 4]
    assert device.batch_size == 4
    assert max(seen[4:]) == 4


def test_one_picture_that_does_not_fit_is_an_error_with_a_way_out(models: Path) -> None:
    device = Device(DeviceSettings(name="cpu"))

    def forward(_: Sequence[UInt8Array]) -> Any:
        raise _error("cuda")

    with pytest.raises(DeviceMemoryError, match="STORYHASH_DEVICE__NAME=cpu"):
        device.encode(forward, [quadrants()] * 3)


def test_other_errors_are_not_taken_for_memory(models: Path) -> None:
    device = Device(DeviceSettings(name="cpu"))

    def forward(_: Sequence[UInt8Array]) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        device.encode(forward, [quadrants()])
    assert device.batch_size == 32


def test_clip_goes_on_when_memory_runs_out(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ClipSettings(model=str(models / "clip"))
    backend = ClipBackend(settings, DeviceSettings(precision="fp32", batch_size=7))
    pictures = [quadrants(40 + number, 40) for number in range(9)]
    expected = backend.encode(pictures)
    network = backend.network
    plain = network.model.forward

    def scarce(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["pixel_values"]) > 2:
            raise _error("cuda")
        return plain(*args, **kwargs)

    monkeypatch.setattr(network.model, "forward", scarce)
    np.testing.assert_allclose(backend.encode(pictures), expected, atol=1e-5)
    assert backend.batch_pictures <= 2
