"""Dark queries: which pictures are brightened, and what becomes of those that are only too dark."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from common.brightness import brightened
from common.spool import DecodedVideo, SegmentSpool
from common.types import FrameBatch, Segment, SegmentRef, UInt8Array
from common.video import encode_clip
from embedder.query.embedder import QueryEmbedder
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from embedder.visual.frame_quality import informative
from embedder.visual.views import BRIGHTENED, apply_view
from storyhash.samples import film
from tests.support.counting import CountingBackend, CountingTracker


def frames(light: float) -> UInt8Array:
    """Two seconds of a drawn film, with a share of its light."""
    return np.stack([(frame * light).astype(np.uint8) for frame in islice(film(3, 2.0), 16)])


def level(picture: UInt8Array) -> float:
    return float(np.percentile(picture @ (0.299, 0.587, 0.114), 99))


def test_a_dark_picture_gets_the_levels_of_a_bright_one() -> None:
    dark = frames(0.2)[0]
    brighter = brightened(dark)
    assert brighter is not None
    assert level(brighter) == pytest.approx(235, abs=8)
    gain = 235 / level(dark)
    shown = dark.astype(np.float32) * gain
    assert np.abs(brighter - np.minimum(shown, 255)).max() <= 0.05 * 255


def test_a_picture_that_is_bright_or_black_stays_as_it_is(rng: np.random.Generator) -> None:
    assert brightened(frames(1.0)[0]) is None
    assert brightened(np.zeros((48, 64, 3), np.uint8)) is None
    assert brightened(rng.integers(0, 20, (48, 64, 3), np.uint8)) is None
    assert brightened(np.full((1, 1, 3), 255, np.uint8)) is None


def test_the_view_brightens_the_dark_pictures_alone() -> None:
    bright, dark = frames(1.0)[:2], frames(0.2)[2:4]
    assert apply_view(bright, BRIGHTENED) is None
    seen = apply_view(np.concatenate([bright, dark]), BRIGHTENED)
    assert seen is not None
    np.testing.assert_array_equal(seen[:2], bright)
    np.testing.assert_array_equal(seen[2:], apply_view(dark, BRIGHTENED))


def query(light: float) -> DecodedVideo:
    batch = FrameBatch(frames(light), np.arange(16) / 8.0)
    segments = SegmentSpool()
    clip = encode_clip(batch, start_seconds=0.0, max_bytes=1 << 22)
    segments.add(Segment(SegmentRef("query", 0.0, 2.0), clip))
    return DecodedVideo(segments, 2.0)


@pytest.mark.parametrize("name", ["first", "closer"])
def test_a_query_that_is_only_too_dark_is_embedded_brightened(name: str) -> None:
    assert not informative(frames(0.1)).any()
    backend = CountingBackend()
    embedder = QueryEmbedder(EmbedderStage("t", backend, CountingTracker(), sampling="none"))
    with QuerySession(embedder, "query", query(0.1)) as dark:
        features = dark.features("first" if name == "first" else "closer")
    assert all(view.informative.any() for view in features.views)
    with QuerySession(embedder, "query", query(0.0)) as black:
        features = black.features("first" if name == "first" else "closer")
    assert not any(view.informative.any() for view in features.views)
