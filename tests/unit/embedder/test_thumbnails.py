"""Thumbnails are small, one per half second, of the frames that are embedded."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from common.settings import ThumbnailSettings
from embedder.clip_opening import SampledFrames
from embedder.thumbnails import make_thumbnails

ON = ThumbnailSettings(enabled=True)
TIMES = np.array([8.0, 8.25, 8.4995, 9.0, 9.5])


@pytest.fixture
def sampled(rng: np.random.Generator) -> SampledFrames:
    frames = rng.integers(0, 256, (len(TIMES), 180, 320, 3), dtype=np.uint8)
    return SampledFrames(frames, np.ones(len(TIMES), bool), TIMES)


def test_there_is_one_picture_per_half_second_of_the_stated_size(sampled: SampledFrames) -> None:
    made = list(make_thumbnails(sampled, ON))
    assert [one.seconds for one in made] == [8.0, 8.4995, 9.0, 9.5]
    for one in made:
        picture = cv2.imdecode(np.frombuffer(one.webp, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (90, 160, 3)
        # Noise is the largest picture there is.
        assert 0 < len(one.webp) <= ON.max_bytes


def test_a_picture_that_cannot_be_small_enough_is_left_out(sampled: SampledFrames) -> None:
    large = ThumbnailSettings(enabled=True, long_side=320, max_bytes=512)
    assert list(make_thumbnails(sampled, large)) == []
