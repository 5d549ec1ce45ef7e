"""Unprompted tracking on made scenes: which things are found, and that they keep their numbers."""

from __future__ import annotations

import numpy as np
import pytest

from common.types import FrameBatch, Tracks
from embedder.tracking.mask_segmenter import Masks
from embedder.tracking.objects import MAX_THINGS, ObjectTracker
from embedder.tracking.proposals import Proposer, pairwise_iou
from tests.support.segmenters import (
    BLUE,
    GREEN,
    HEIGHT,
    RED,
    WHITE,
    WIDTH,
    Path,
    PerfectSegmenter,
    PerfectSession,
    scene,
)

DIAGONAL = float(np.hypot(HEIGHT, WIDTH))


def rests(x: float, y: float, radius: float = 20.0) -> Path:
    return lambda _: (x, y, radius)


def goes(x: float, y: float, step: float, radius: float = 20.0) -> Path:
    return lambda moment: (x + step * moment, y, radius)


def track(batch: FrameBatch, segmenter: PerfectSegmenter | None = None) -> Tracks:
    return ObjectTracker("fake", segmenter or PerfectSegmenter(), Proposer(0.7, 0.8), 4.0).track(
        batch
    )


def column_near(tracks: Tracks, moment: int, x: float, y: float) -> int:
    """The track that is at a place, in pixels, at a moment."""
    away = np.linalg.norm(tracks.centroids[moment] * DIAGONAL - [x, y], axis=-1)
    away[~tracks.visible[moment]] = np.inf
    assert away.min() < 4
    return int(away.argmin())


def test_a_thing_that_moves_is_followed_where_it_goes() -> None:
    tracks = track(scene(12, {RED: goes(40, 90, 12)}))
    column = column_near(tracks, 0, 40, 90)
    assert tracks.visible[:, column].all()
    xs = tracks.centroids[:, column, 0] * DIAGONAL
    assert xs == pytest.approx(40 + 12 * np.arange(12), abs=2)
    area = np.pi * 20**2 / DIAGONAL**2
    assert tracks.areas[:, column] == pytest.approx(np.full(12, area), rel=0.1)


def test_what_moves_is_found_first_and_what_rests_by_the_grid() -> None:
    segmenter = PerfectSegmenter()
    tracks = track(scene(8, {RED: rests(80, 60), GREEN: goes(60, 130, 10)}), segmenter)
    assert column_near(tracks, 0, 60, 130) == 0
    assert column_near(tracks, 0, 80, 60) == 1
    assert tracks.visible.shape[1] == 2
    assert segmenter.sessions[0].followed[0] == [0, 1]


def test_one_thing_is_proposed_once_however_many_points_lie_on_it() -> None:
    tracks = track(scene(6, {BLUE: rests(160, 90, 60)}))
    assert tracks.visible.shape[1] == 1


def test_what_fills_the_picture_is_no_thing() -> None:
    batch = scene(6, {WHITE: rests(160, 90, 400), RED: rests(80, 60)})
    assert track(batch).visible.shape[1] == 0
    batch = scene(6, {RED: rests(80, 60), WHITE: rests(160, 90, 400)})
    assert track(batch).visible.shape[1] == 1


def test_a_thing_hidden_for_a_while_keeps_its_number() -> None:
    discs = {WHITE: rests(160, 90, 40), RED: goes(20, 90, 20, 16)}
    tracks = track(scene(16, discs))
    before = column_near(tracks, 1, 40, 90)
    after = column_near(tracks, 13, 280, 90)
    assert before == after
    hidden = ~tracks.visible[6:9, before]
    assert hidden.all()


@pytest.mark.parametrize("forgetful", [False, True])
def test_a_thing_that_leaves_and_comes_back_is_the_same(forgetful: bool) -> None:
    def comes_back(moment: int) -> tuple[float, float, float] | None:
        return None if 4 <= moment < 10 else (60 + 8 * moment, 60, 22)

    segmenter = PerfectSegmenter(forgetful=forgetful)
    tracks = track(scene(18, {RED: comes_back, BLUE: goes(250, 140, -5)}), segmenter)
    assert tracks.visible.shape[1] == 2
    before = column_near(tracks, 2, 76, 60)
    assert column_near(tracks, 15, 180, 60) == before
    assert not tracks.visible[5:9, before].any()


def test_another_thing_that_comes_later_is_another() -> None:
    def first(moment: int) -> tuple[float, float, float] | None:
        return (60 + 8 * moment, 60, 22) if moment < 4 else None

    def second(moment: int) -> tuple[float, float, float] | None:
        return (60 + 8 * moment, 60, 22) if moment >= 6 else None

    tracks = track(scene(16, {RED: first, GREEN: second}), PerfectSegmenter(forgetful=True))
    assert column_near(tracks, 2, 76, 60) != column_near(tracks, 14, 172, 60)


def test_a_thing_that_comes_in_later_is_found_by_its_motion() -> None:
    def late(moment: int) -> tuple[float, float, float] | None:
        return None if moment < 6 else (20 + 10 * (moment - 6), 130, 20)

    tracks = track(scene(16, {RED: goes(60, 50, 6), BLUE: late}))
    column = column_near(tracks, 14, 100, 130)
    assert not tracks.visible[:6, column].any()


def test_after_a_cut_new_things_are_proposed_and_old_ones_come_back_as_themselves() -> None:
    shot, other = scene(12, {RED: goes(60, 60, 6)}), scene(12, {GREEN: rests(200, 120, 40)})
    frames = shot.frames.copy()
    frames[4:8] = 255 - other.frames[4:8]
    tracks = track(FrameBatch(frames, shot.pts_seconds))
    red = column_near(tracks, 1, 66, 60)
    assert not tracks.visible[4:8, red].any()
    assert column_near(tracks, 10, 120, 60) == red
    assert column_near(tracks, 6, 200, 120) != red


def test_there_are_never_more_than_eight() -> None:
    rng = np.random.default_rng(3)
    discs = {
        (int(40 + 17 * k), int(220 - 13 * k), int(rng.integers(0, 255))): rests(
            30 + 65 * (k % 5), 40 + 50 * (k // 5), 16
        )
        for k in range(13)
    }
    tracks = track(scene(5, discs))
    assert 5 <= tracks.visible.shape[1] <= MAX_THINGS


def test_what_the_segmenter_does_not_trust_is_left_out() -> None:
    batch = scene(6, {RED: goes(60, 60, 8)})
    assert track(batch, PerfectSegmenter(sureness=0.6)).visible.shape[1] == 0
    assert track(batch, PerfectSegmenter(sureness=0.6)).quality == 0
    assert track(batch, PerfectSegmenter(sureness=0.9)).quality == pytest.approx(0.9, abs=0.01)


def test_two_things_that_become_one_are_counted_once() -> None:
    class Merging(PerfectSegmenter):
        """From the fourth look on every mask is the first thing's. It has one session."""

        def start(self, moments: int) -> PerfectSession:
            return self.sessions[0] if self.sessions else super().start(moments)

    batch = scene(8, {RED: rests(80, 60), BLUE: rests(240, 120)})
    segmenter = Merging()
    session = segmenter.start(8)
    plain = session.look

    looks = iter(range(100))

    def look(picture: np.ndarray) -> Masks:
        masks = plain(picture)
        if next(looks) >= 4 and len(masks.trust) == 2:
            return Masks(np.stack([masks.logits[0]] * 2), masks.trust)
        return masks

    session.look = look  # type: ignore[method-assign]
    tracks = track(batch, segmenter)
    assert tracks.visible.sum(axis=0).tolist() == [8, 4]


@pytest.mark.parametrize("moments", [0, 1])
def test_a_picture_or_none_has_no_tracks(moments: int) -> None:
    tracks = track(scene(moments, {RED: rests(80, 60)}))
    assert tracks.visible.shape == (moments, 0)


def test_mirrored_scenes_have_mirrored_tracks() -> None:
    batch = scene(8, {RED: rests(80, 60), GREEN: goes(60, 130, 10)})
    mirrored = FrameBatch(np.ascontiguousarray(batch.frames[:, :, ::-1]), batch.pts_seconds)
    one, other = track(batch), track(mirrored)
    assert one.visible.sum() == other.visible.sum()
    moving = column_near(other, 0, WIDTH - 60, 130)
    xs = other.centroids[:, moving, 0] * DIAGONAL
    assert xs == pytest.approx(WIDTH - 60 - 10 * np.arange(8), abs=3)


def test_iou_of_masks_by_hand() -> None:
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[0, :2] = True
    masks[1, 1:3] = True
    expected = [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]]
    assert pairwise_iou(masks) == pytest.approx(np.array(expected))
    assert pairwise_iou(np.zeros((0, 1, 1), dtype=bool)).shape == (0, 0)


def test_stability_is_the_share_that_a_stricter_outline_keeps() -> None:
    logits = np.full((2, 4, 4), -5, dtype=np.float32)
    logits[0, 0, :2] = 3
    logits[0, 0, 2:] = 0.5
    masks = Masks(logits, np.ones(2, dtype=np.float32))
    assert masks.stability.tolist() == [0.5, 0.0]
    with pytest.raises(ValueError, match="trust"):
        Masks(logits, np.ones(3, dtype=np.float32))
