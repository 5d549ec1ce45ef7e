"""The network that comes with StoryHash: one file, the same vectors from every runtime and thread."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.types import UInt8Array
from embedder.golden_image import sample_pictures
from embedder.normalise import unit
from embedder.self_check import check_golden
from embedder.visual.offline import OfflineBackend
from embedder.visual.offline.backend import WEIGHTS_PATH, prepared
from storyhash.samples import film
from tests.conftest import skip_or_fail

MAX_BYTES = 6_000_000


@pytest.fixture(scope="module")
def pictures() -> list[UInt8Array]:
    """Frames of four films, then drawn pictures of other sizes."""
    frames = [next(iter(islice(film(seed, 1.0), 3, 4))) for seed in (1, 2, 3, 4)]
    return [*frames, *sample_pictures()]


def test_the_file_is_small_enough_for_the_wheel() -> None:
    assert WEIGHTS_PATH.stat().st_size <= MAX_BYTES


def test_this_processor_computes_the_stored_vector() -> None:
    cosine = check_golden(OfflineBackend()).cosine
    assert cosine is not None
    assert cosine >= 0.999


@pytest.mark.skipif(
    int(cv2.__version__[0]) < 5, reason="older ones read no weights in half precision"
)
def test_another_runtime_computes_the_same_vectors(pictures: list[UInt8Array]) -> None:
    network = cv2.dnn.readNetFromONNX(str(WEIGHTS_PATH))
    network.setInput(prepared(pictures))
    other = unit(network.forward())
    cosines = (OfflineBackend().encode(pictures) * other).sum(axis=1)
    assert cosines.min() >= 0.999


def test_threads_within_and_around_it_change_nothing(pictures: list[UInt8Array]) -> None:
    alone = OfflineBackend(threads=1).encode(pictures)
    shared = OfflineBackend(threads=2)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(shared.encode, [pictures] * 8):
            assert (found * alone).sum(axis=1).min() >= 0.99999


def test_a_mirrored_or_darkened_picture_stays_nearer_than_any_other(
    pictures: list[UInt8Array],
) -> None:
    backend = OfflineBackend()
    frames = pictures[:4]
    originals = backend.encode(frames)
    for edited in ([frame[:, ::-1] for frame in frames], [frame // 4 for frame in frames]):
        similarity = backend.encode(edited) @ originals.T
        assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_an_exported_network_is_the_trained_one(tmp_path: Path) -> None:
    if not all(importlib.util.find_spec(name) for name in ("onnx", "torch")):
        skip_or_fail("models", "pip install -e '.[models,test]' to export the network")
    import torch

    from scripts.train_offline.export import LEAST_COSINE, agreement, export, load
    from scripts.train_offline.network import CopyNetwork

    torch.manual_seed(2)
    network = CopyNetwork()
    for weights in network.parameters():
        # Norms and shortcuts that do something, as after training.
        torch.nn.init.normal_(weights, std=0.05) if weights.ndim > 1 else weights.data.uniform_(
            0.5, 1
        )
    torch.save({name: one.half() for name, one in network.state_dict().items()}, tmp_path / "n.pt")
    trained = load(tmp_path / "n.pt")
    export(trained, tmp_path / "n.onnx")
    assert agreement(trained, tmp_path / "n.onnx") >= LEAST_COSINE
    other = OfflineBackend(path=tmp_path / "n.onnx")
    assert other.fingerprint != OfflineBackend().fingerprint
    assert np.isfinite(other.encode(sample_pictures())).all()
