"""Laws of pooling, action, graph, fusion and views."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.types import Tracks
from embedder.action import action_features, raw_features
from embedder.frame_sampling import sample_indices
from embedder.fusion import ACTION_SHARE, fuse, split
from embedder.pooling import pool, pool_windows
from embedder.scene_graph import scene_graph
from embedder.visual.frame_quality import informative
from embedder.visual.letterbox import within_border
from embedder.visual.views import BRIGHTENED, WHOLE_NAMES, apply_view
from storyhash.samples import film
from tests.conftest import checkerboard, quadrants

quick = settings(max_examples=30, deadline=None)


def wandering(seed: int, moments: int = 24, things: int = 3, rate: float = 8.0) -> Tracks:
    """Things that wander smoothly about the middle of a 16:9 picture."""
    rng = np.random.default_rng(seed)
    time = np.arange(moments) / rate
    phase, pace = rng.uniform(0, 6, (2, things, 2)), rng.uniform(0.3, 2.0, (things, 2))
    reach = rng.uniform(0.02, 0.2, (things, 2))
    middle = np.array([0.436, 0.245])
    places = middle + reach * np.sin(pace * time[:, None, None] + phase[0])
    areas = np.tile(rng.uniform(0.002, 0.03, things), (moments, 1))
    visible = np.ones((moments, things), dtype=bool)
    for thing in range(things):
        visible[: rng.integers(0, moments // 3), thing] = False
    return Tracks(places.astype(np.float32), areas.astype(np.float32), visible, time, 1.0)


def moved(tracks: Tracks, centroids: np.ndarray) -> Tracks:
    return Tracks(
        centroids.astype(np.float32), tracks.areas, tracks.visible, tracks.pts_seconds, 1.0
    )


seeds = st.integers(0, 10_000)


@quick
@given(seeds, st.floats(0, 2 * np.pi), st.sampled_from([1, -1]))
def test_turning_and_mirroring_leave_action_unchanged(seed: int, angle: float, mirror: int) -> None:
    tracks = wandering(seed)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([mirror, 1.0])
    turned = moved(tracks, (tracks.centroids - 0.3) @ matrix.T + 0.3)
    assert action_features(turned) == pytest.approx(action_features(tracks), abs=2e-3)


@quick
@given(seeds)
def test_the_order_of_tracks_leaves_action_and_graph_unchanged(seed: int) -> None:
    tracks = wandering(seed)
    order = np.random.default_rng(seed).permutation(3)
    shuffled = Tracks(
        tracks.centroids[:, order],
        tracks.areas[:, order],
        tracks.visible[:, order],
        tracks.pts_seconds,
        1.0,
    )
    assert action_features(shuffled) == pytest.approx(action_features(tracks), abs=1e-4)
    assert scene_graph(shuffled) == pytest.approx(scene_graph(tracks), abs=1e-6)


@quick
@given(seeds)
def test_another_frame_rate_changes_speed_little(seed: int) -> None:
    coarse = raw_features(wandering(seed, 24, rate=8.0))
    fine = raw_features(wandering(seed, 72, rate=24.0))
    assert fine[0] == pytest.approx(coarse[0], rel=0.35, abs=0.02)
    assert fine[7] == pytest.approx(coarse[7], rel=0.35, abs=0.02)


def test_twice_as_fast_is_twice_the_speed_and_four_times_the_acceleration() -> None:
    slow = wandering(5, 65, rate=16.0)
    fast = Tracks(slow.centroids, slow.areas, slow.visible, slow.pts_seconds / 2, 1.0)
    assert raw_features(fast)[0] == pytest.approx(2 * raw_features(slow)[0], rel=0.15)
    assert raw_features(fast)[3] == pytest.approx(4 * raw_features(slow)[3], rel=0.3)


def test_nothing_that_moves_is_no_evidence() -> None:
    nobody = Tracks(
        np.zeros((8, 0, 2), np.float32),
        np.zeros((8, 0), np.float32),
        np.zeros((8, 0), bool),
        np.arange(8) / 8,
        1.0,
    )
    assert not action_features(nobody).any()
    assert not scene_graph(nobody).any()
    visual = np.eye(512, dtype=np.float32)[0]
    assert np.linalg.norm(fuse(visual, action_features(nobody))) == pytest.approx(1.0, abs=1e-6)


@quick
@given(seeds)
def test_mirroring_swaps_left_and_right_and_turning_over_swaps_above_and_below(seed: int) -> None:
    tracks = wandering(seed)
    graph = scene_graph(tracks)
    mirrored = scene_graph(moved(tracks, tracks.centroids * [-1, 1] + [0.9, 0]))
    assert mirrored == pytest.approx(graph[[1, 0, 2, 3, 4, 5, 6, 7]], abs=1e-6)
    over = scene_graph(moved(tracks, tracks.centroids * [1, -1] + [0, 0.5]))
    assert over == pytest.approx(graph[[0, 1, 3, 2, 4, 5, 6, 7]], abs=1e-6)


def test_a_small_thing_left_of_a_large_one_that_outlives_it() -> None:
    places = np.zeros((6, 2, 2), np.float32)
    places[:, 0] = (0.2, 0.3)
    places[:, 1] = (0.6, 0.3)
    areas = np.tile(np.array([0.01, 0.05], np.float32), (6, 1))
    visible = np.ones((6, 2), bool)
    visible[4:, 0] = False
    graph = scene_graph(Tracks(places, areas, visible, np.arange(6) / 8, 1.0))
    assert graph.tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


units = arrays(np.float32, (2, 527), elements=st.floats(-1, 1, width=32))


@quick
@given(units)
def test_fused_products_are_the_weighted_sum_of_both_cosines(values: np.ndarray) -> None:
    values = values + np.float32(1e-3)
    visual = values[:, :512] / np.linalg.norm(values[:, :512], axis=1, keepdims=True)
    action = values[:, 512:]
    fused = fuse(visual, action)
    assert np.linalg.norm(fused, axis=1) == pytest.approx(np.ones(2), abs=1e-4)
    cosine = action[0] @ action[1] / np.linalg.norm(action[0]) / np.linalg.norm(action[1])
    expected = (1 - ACTION_SHARE) * (visual[0] @ visual[1]) + ACTION_SHARE * cosine
    assert fused[0] @ fused[1] == pytest.approx(expected, abs=1e-3)


def test_the_published_fusion_lifts_strangers_as_it_lifts_copies() -> None:
    rng = np.random.default_rng(3)
    visual = rng.normal(size=(2, 512)).astype(np.float32)
    visual /= np.linalg.norm(visual, axis=1, keepdims=True)
    action = rng.normal(size=(2, 15)).astype(np.float32)
    ours, published = fuse(visual, action), fuse(visual, action, "paper")
    assert abs(ours[0] @ ours[1]) < 0.2 < 0.5 < published[0] @ published[1]
    assert not split(fuse(visual, action, "visual"))[1].any()


def test_frames_without_information_do_not_vote() -> None:
    rows = np.eye(4, dtype=np.float32)
    some = np.array([True, True, False, False])
    expected = np.array([0.5, 0.5, 0, 0]) / np.sqrt(0.5)
    assert pool(rows, some, "mean") == pytest.approx(expected)
    assert pool(rows, np.zeros(4, bool), "mean") is None
    pts = np.array([0.0, 0.5, 1.0, 1.5])
    starts, ends = np.array([0.0, 1.0]), np.array([0.6, 2.0])
    pooled, known = pool_windows(rows, some, pts, starts, ends, "mean")
    assert known.tolist() == [True, False]
    assert pooled[0] == pytest.approx(expected)
    assert not pooled[1].any()


def test_the_median_forgets_one_frame_that_is_off() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    assert pool(rows, np.ones(3, bool), "median") == pytest.approx(np.array([1, 0]))


def test_sampling_takes_the_first_frame_of_each_slot_of_the_absolute_grid() -> None:
    pts = np.array([3.9, 4.0, 4.2, 4.499, 4.6, 5.7])
    assert sample_indices(pts, 2.0).tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("view", sorted({*WHOLE_NAMES} - {BRIGHTENED}))
def test_a_view_and_its_inverse_give_the_picture_back(view: str) -> None:
    inverse = {"rotate_90": "rotate_270", "rotate_270": "rotate_90"}.get(view, view)
    frames = quadrants()[None]
    seen = apply_view(frames, view)
    assert seen is not None
    back = apply_view(seen, inverse)
    assert back is not None
    assert np.array_equal(back, frames)
    if view != "identity":
        assert seen.shape != frames.shape or (seen != frames).any()


@pytest.mark.parametrize(
    ("view", "turns"), [("rotate_90", 1), ("rotate_180", 2), ("rotate_270", 3)]
)
def test_a_rotation_turns_every_frame_counter_clockwise(view: str, turns: int) -> None:
    frames = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    for part in (frames, frames[:, ::-1], frames[:, :, 1:4], frames[:0]):
        seen = apply_view(part, view)
        assert seen is not None
        np.testing.assert_array_equal(seen, np.rot90(part, turns, axes=(1, 2)))


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match="rotate_45"):
        apply_view(quadrants()[None], "rotate_45")


def bars() -> np.ndarray:
    return np.repeat(np.repeat(np.arange(8) * 30 + 20, 16)[None, :, None], 96, 0).repeat(3, 2)


def test_flat_faded_and_striped_frames_show_nothing_and_real_ones_do() -> None:
    flat = np.full((96, 128, 3), 128)
    faded = checkerboard(128, 96, 16) // 50
    ramp = np.tile(np.linspace(0, 255, 128)[None, :, None], (96, 1, 3))
    frames = np.stack([flat, faded, bars(), ramp, checkerboard(128, 96, 16), quadrants(128, 96)])
    assert informative(frames.astype(np.uint8)).tolist() == [False] * 4 + [True] * 2


def trimmed(frame: np.ndarray) -> np.ndarray:
    return frame[within_border(frame)]


def test_bars_and_pages_around_a_picture_are_trimmed() -> None:
    picture = next(film(3, 1.0))
    barred = cv2.copyMakeBorder(picture, 60, 60, 0, 0, cv2.BORDER_CONSTANT, value=(4, 4, 4))
    assert trimmed(barred).shape == picture.shape
    page = cv2.copyMakeBorder(picture, 90, 80, 30, 30, cv2.BORDER_CONSTANT, value=(244, 244, 240))
    cv2.putText(page, "look at this", (40, 50), 0, 1.0, (20, 20, 20), 2)
    assert trimmed(page).shape == picture.shape
    np.testing.assert_array_equal(trimmed(page), picture)
    assert trimmed(picture).shape == picture.shape
    # A film of one colour is all page; what is left of it must still be a picture.
    assert min(trimmed(np.full((90, 160, 3), 200, np.uint8)).shape[:2]) > 0


def test_what_a_thing_did_while_it_was_gone_is_not_made_up() -> None:
    time = np.arange(24) / 4
    places = np.full((24, 1, 2), 0.2, np.float32)
    places[16:] = 0.7
    areas = np.full((24, 1), 0.01, np.float32)
    seen = np.ones((24, 1), bool)
    seen[8:16] = False
    gone = raw_features(Tracks(places, areas, seen, time, 1.0))
    assert gone[0:6] == pytest.approx(np.zeros(6), abs=1e-6)
    # Half a second out of sight is bridged.
    seen[:] = True
    seen[15] = False
    bridged = raw_features(Tracks(places, areas, seen, time, 1.0))
    assert bridged[2] > 0.5
