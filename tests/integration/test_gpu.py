"""On a GPU: the same vectors and masks as on the CPU, and real memory that runs out."""

from __future__ import annotations

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from common.settings import ClipSettings, DeviceSettings, Sam2Settings, SscdSettings
from embedder.tracking.sam2.segmenter import Sam2Segmenter
from embedder.visual.clip import ClipBackend
from embedder.visual.sscd import SscdBackend
from storyhash.samples import film
from tests.conftest import skip_or_fail
from tests.support.networks import torchscript_sscd

CPU = DeviceSettings(name="cpu", precision="fp32")


def _present() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return next((name for name, there in here.items() if there), None)


@pytest.fixture(scope="module")
def gpu() -> str:
    """`cuda` or `mps`."""
    return _present() or skip_or_fail(
        "gpu", "run on a machine with CUDA or Apple silicon, with pip install -e '.[models]'"
    )


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_clip_gives_the_vectors_of_the_cpu(gpu: str, models: Path, precision: str) -> None:
    settings = ClipSettings(model=str(models / "clip"))
    device = DeviceSettings.model_validate({"name": gpu, "precision": precision})
    pictures = [frame for seed in (1, 2) for frame in islice(film(seed, 1.0), 5)]
    one, other = ClipBackend(settings, CPU), ClipBackend(settings, device)
    assert one.fingerprint == other.fingerprint
    cosines = (one.encode(pictures) * other.encode(pictures)).sum(axis=1)
    assert cosines.min() >= (0.9999 if precision == "fp32" else 0.999)


def test_torchscript_gives_the_vectors_of_the_cpu(gpu: str, models: Path, tmp_path: Path) -> None:
    settings = SscdSettings(path=torchscript_sscd(tmp_path / "sscd.pt"))
    pictures = list(islice(film(1, 1.0), 6))
    one = SscdBackend(settings, CPU, side=64)
    other = SscdBackend(settings, DeviceSettings(name=gpu), side=64)
    assert (one.encode(pictures) * other.encode(pictures)).sum(axis=1).min() >= 0.999


def test_sam2_gives_the_masks_of_the_cpu(gpu: str, random_sam2: Sam2Settings) -> None:
    points = np.array([[0.3, 0.4], [0.6, 0.5]])
    frames = list(islice(film(3, 2.0), 8))
    logits = []
    for device in (CPU, DeviceSettings.model_validate({"name": gpu, "precision": "fp32"})):
        session = Sam2Segmenter(random_sam2, device).start(len(frames))
        masks = []
        for moment, frame in enumerate(frames):
            masks.append(session.look(frame))
            if moment == 0:
                masks[0] = session.follow([0, 1], points)
        logits.append(np.stack([one.logits for one in masks]))
    # Memories are kept as bfloat16, which rounds.
    assert np.corrcoef(logits[0].ravel(), logits[1].ravel())[0, 1] >= 0.999


def test_memory_that_really_runs_out_halves_the_batch(gpu: str, models: Path) -> None:
    if gpu != "cuda":
        skip_or_fail("gpu", "only CUDA lets a process take less than all memory")
    import torch

    settings = ClipSettings(model=str(models / "clip"))
    backend = ClipBackend(settings, DeviceSettings(name="cuda", precision="fp32", batch_size=4096))
    pictures = list(islice(film(1, 1.0), 8)) * 512
    expected = backend.encode(pictures[:8])
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, 2**29 / total))
    try:
        vectors = backend.encode(pictures)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert backend.batch_pictures < 4096
    np.testing.assert_allclose(vectors[:8], expected, atol=1e-4)
