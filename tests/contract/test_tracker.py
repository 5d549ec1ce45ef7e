"""What every tracker promises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from common.settings import DeviceSettings
from common.types import FrameBatch
from embedder.action import action_features
from embedder.scene_graph import scene_graph
from embedder.tracking.base import Tracker
from embedder.tracking.motion import MotionTracker
from embedder.tracking.objects import MAX_THINGS, ObjectTracker
from embedder.tracking.proposals import Proposer
from storyhash.samples import FRAMES_PER_SECOND, film
from tests.support.segmenters import PerfectSegmenter


def _sam2(request: pytest.FixtureRequest) -> Tracker:
    from embedder.tracking.sam2.segmenter import sam2_tracker

    settings = request.getfixturevalue("random_sam2")
    return sam2_tracker(settings, DeviceSettings(name="cpu", precision="fp32"))


def _objects(_: pytest.FixtureRequest) -> Tracker:
    return ObjectTracker("objects", PerfectSegmenter(), Proposer(0.5, 0.5), 4.0)


MAKERS: dict[str, Callable[[pytest.FixtureRequest], Tracker]] = {
    "motion": lambda _: MotionTracker(),
    "sam2": _sam2,
    "objects": _objects,
}


@pytest.fixture(scope="module", params=MAKERS)
def tracker(request: pytest.FixtureRequest) -> Tracker:
    return MAKERS[request.param](request)


def drawn(seconds: float, rate: float) -> FrameBatch:
    step = round(FRAMES_PER_SECOND / rate)
    frames = np.stack(list(film(4, seconds)))[::step]
    return FrameBatch(frames, np.arange(len(frames)) * step / FRAMES_PER_SECOND)


def test_tracks_are_in_fractions_and_of_the_moments_given(tracker: Tracker) -> None:
    batch = drawn(3.0, tracker.frames_per_second)
    tracks = tracker.track(batch)
    assert tracks.pts_seconds.tolist() == batch.pts_seconds.tolist()
    assert tracks.visible.shape[0] == len(batch.frames)
    assert tracks.visible.shape[1] <= MAX_THINGS
    assert tracks.visible.any(axis=0).all()
    assert 0 <= tracks.quality <= 1
    places, areas = tracks.centroids[tracks.visible], tracks.areas[tracks.visible]
    assert ((places >= 0) & (places <= 1)).all()
    # The whole picture is w h / (w^2 + h^2), at most a half.
    assert ((areas > 0) & (areas <= 0.5)).all()


def test_the_same_frames_give_the_same_tracks(tracker: Tracker) -> None:
    batch = drawn(1.0, tracker.frames_per_second)
    one, other = tracker.track(batch), tracker.track(batch)
    np.testing.assert_array_equal(one.centroids, other.centroids)
    np.testing.assert_array_equal(one.visible, other.visible)


@pytest.mark.parametrize("count", [0, 1])
def test_one_picture_or_none_gives_no_tracks(tracker: Tracker, count: int) -> None:
    batch = drawn(1.0, tracker.frames_per_second)
    tracks = tracker.track(FrameBatch(batch.frames[:count], batch.pts_seconds[:count]))
    assert tracks.visible.shape == (count, 0)


def test_stillness_and_blackness_have_features_too(tracker: Tracker) -> None:
    black = np.zeros((6, 90, 160, 3), dtype=np.uint8)
    tracks = tracker.track(FrameBatch(black, np.arange(6) / tracker.frames_per_second))
    assert np.isfinite(action_features(tracks)).all()
    assert np.isfinite(scene_graph(tracks)).all()


def test_it_names_itself(tracker: Tracker) -> None:
    assert tracker.name
    assert tracker.fingerprint
    assert tracker.frames_per_second > 0
