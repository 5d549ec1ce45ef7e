"""CLIP here is CLIP as transformers runs it: the same preparation, the same vectors."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from common.settings import ClipSettings, DeviceSettings
from common.types import UInt8Array
from embedder.visual.clip import ClipBackend
from storyhash.samples import film
from tests.conftest import quadrants

FULL = DeviceSettings(precision="fp32", batch_size=4)


@pytest.fixture(scope="module")
def pictures() -> list[UInt8Array]:
    """Wide, tall and small ones."""
    wide = [frame for seed in (1, 2) for frame in islice(film(seed, 1.0), 4)]
    return [*wide, np.ascontiguousarray(np.rot90(wide[0])), quadrants(50, 40)]


def test_the_whole_model_gives_the_same_vectors(
    tmp_path: Path, models: Path, pictures: list[UInt8Array]
) -> None:
    import torch
    import transformers
    from PIL import Image

    from scripts.random_weights import clip_config

    torch.manual_seed(11)
    text = transformers.CLIPTextConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    config = transformers.CLIPConfig(
        text_config=text.to_dict(), vision_config=clip_config(tiny=True).to_dict()
    )
    reference = transformers.CLIPModel(config).eval()
    reference.save_pretrained(tmp_path)
    processor = transformers.CLIPImageProcessor()
    processor.save_pretrained(tmp_path)
    backend = ClipBackend(ClipSettings(model=str(tmp_path)), FULL)
    images = [Image.fromarray(picture) for picture in pictures]
    inputs = [processor(images=image, return_tensors="pt") for image in images]
    with torch.inference_mode():
        expected = [reference.get_image_features(**one).pooler_output[0].numpy() for one in inputs]
    for row, vector in zip(backend.encode(pictures), expected, strict=True):
        assert row @ vector / np.linalg.norm(vector) >= 0.9999


def test_every_frame_is_prepared_as_by_the_processor(
    models: Path, pictures: list[UInt8Array]
) -> None:
    import transformers
    from PIL import Image

    backend = ClipBackend(ClipSettings(model=str(models / "clip")), FULL)
    processor = transformers.CLIPImageProcessor()
    for picture in pictures:
        ours = backend.network.prepare([picture]).numpy()
        theirs = processor(images=Image.fromarray(picture), return_tensors="np")["pixel_values"]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_mixed_precision_is_taken_only_where_it_keeps_the_vectors(
    models: Path, pictures: list[UInt8Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedder import device

    monkeypatch.setattr(device, "cpu_multiplies_bfloat16", lambda: True)
    settings = ClipSettings(model=str(models / "clip"))
    full = ClipBackend(settings, FULL)
    mixed = ClipBackend(settings, DeviceSettings(name="cpu", batch_size=5))
    assert (full.precision, mixed.precision) == ("fp32", "mixed")
    cosines = (full.encode(pictures) * mixed.encode(pictures)).sum(axis=1)
    assert cosines.min() >= 0.999
    assert full.fingerprint == mixed.fingerprint
    monkeypatch.setattr(device, "MIN_COSINE", 1.1)
    strict = ClipBackend(settings, DeviceSettings(name="cpu", batch_size=6))
    assert strict.precision == "fp32"


def test_one_process_holds_one_instance(models: Path) -> None:
    settings = ClipSettings(model=str(models / "clip"))
    one, other = ClipBackend(settings, FULL), ClipBackend(settings, FULL)
    assert one.network is other.network
