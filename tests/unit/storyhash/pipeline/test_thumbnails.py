"""Thumbnails are small, one per half second, of the video that is being indexed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from common.settings import ThumbnailSettings
from common.types import SegmentRef
from embedder.clip_opening import SampledFrames
from searcher.storage.thumbnails import ThumbnailStore
from storyhash.pipeline.thumbnails import Thumbnails, thumbnails

ON = ThumbnailSettings(enabled=True)
TIMES = np.array([8.0, 8.25, 8.4995, 9.0, 9.5])


@pytest.fixture
def sampled(rng: np.random.Generator) -> SampledFrames:
    frames = rng.integers(0, 256, (len(TIMES), 180, 320, 3), dtype=np.uint8)
    return SampledFrames(frames, np.ones(len(TIMES), bool), TIMES)


def test_there_is_one_picture_per_half_second_of_the_stated_size(sampled: SampledFrames) -> None:
    made = list(thumbnails(sampled, ON))
    assert [one.seconds for one in made] == [8.0, 8.4995, 9.0, 9.5]
    for one in made:
        picture = cv2.imdecode(np.frombuffer(one.webp, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (90, 160, 3)
        # Noise is the largest picture there is.
        assert 0 < len(one.webp) <= ON.max_bytes


def test_a_picture_that_cannot_be_small_enough_is_left_out(sampled: SampledFrames) -> None:
    large = ThumbnailSettings(enabled=True, long_side=320, max_bytes=512)
    assert list(thumbnails(sampled, large)) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_only_a_finished_version_has_pictures_and_only_where_they_are_wanted(
    tmp_path: Path, sampled: SampledFrames, enabled: bool
) -> None:
    store = ThumbnailStore(tmp_path)
    making = Thumbnails(store, ThumbnailSettings(enabled=enabled))
    ref = SegmentRef("a.mp4", 8.0, 12.0, version=3)
    # Queries are embedded by the same stage.
    making.take(ref, sampled)
    making.begin("a.mp4", 3)
    making.take(ref, sampled)
    making.take(SegmentRef("another", 8.0, 12.0), sampled)
    assert store.read("a.mp4", 8.0) is None
    making.finish("a.mp4", 3)
    assert (store.read("a.mp4", 9.1) is not None) is enabled
    making.begin("a.mp4", 4)
    making.take(SegmentRef("a.mp4", 8.0, 12.0, version=4), sampled)
    making.drop_all()
    assert store.count("a.mp4") == enabled
    assert store.count("another") == 0
