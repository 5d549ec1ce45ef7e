"""Queries: which moments are looked at, and how what is seen becomes windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from common.spool import DecodedVideo, SegmentSpool
from common.types import (
    ACTION_DIMENSION,
    EVERYWHERE,
    VISUAL_DIMENSION,
    Float32Array,
    Float64Array,
    FrameBatch,
    PassName,
    Segment,
    SegmentRef,
    TimeSpans,
    UInt8Array,
)
from common.video import encode_clip
from embedder.encoders import DecodedClip
from embedder.query.embedder import QueryEmbedder, distinct_windows, window_grid, windows_of
from embedder.query.features import QueryFeatures, ViewFeatures
from embedder.query.passes import CLOSER, FIRST, PASSES, THOROUGH
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from embedder.visual.regions import CELL_NAMES
from embedder.visual.views import FIRST_VIEWS
from tests.support.counting import CountingBackend, CountingTracker, segment


class Whole(CountingBackend):
    """With the views of the backends of the product, and one region. The fourth value of a vector is the
    brightness of the picture."""

    views = FIRST_VIEWS
    closer_views: tuple[str, ...] = ("left",)

    def encode(self, pictures: Sequence[UInt8Array]) -> Float32Array:
        rows = np.zeros((len(pictures), VISUAL_DIMENSION), dtype=np.float32)
        share = np.array([picture.mean() / 255.0 for picture in pictures])
        rows[:, 3], rows[:, 4] = share, 1.0 - share
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class WithCells(Whole):
    """With the cells of a grid."""

    closer_views = ("left", *CELL_NAMES)


def seen_by(backend: Whole, frames: UInt8Array) -> dict[PassName, QueryFeatures]:
    """What each pass sees of a query of three segments, each with these frames in two seconds."""
    embedder = QueryEmbedder(EmbedderStage("t", backend, CountingTracker(), sampling="none"))
    clips = SegmentSpool()
    for start in (0.0, 2.0, 4.0):
        batch = FrameBatch(frames, start + np.arange(16) / 8.0)
        clip = encode_clip(batch, start_seconds=start, max_bytes=1 << 22)
        clips.add(Segment(SegmentRef("query", start, start + 2.0), clip))
    with QuerySession(embedder, "query", DecodedVideo(clips, 6.0)) as query:
        return {name: query.features(name) for name in PASSES}


def moments(count: int) -> Float64Array:
    """Times of so many frames, two per second."""
    return np.arange(count, dtype=np.float64) * 0.5


def view(name: str, pts: np.ndarray, usable: np.ndarray | None = None) -> ViewFeatures:
    """Every frame shows its own direction."""
    rows = np.zeros((len(pts), VISUAL_DIMENSION), dtype=np.float32)
    rows[np.arange(len(pts)), np.arange(len(pts))] = 1
    seen = np.ones(len(pts), dtype=bool) if usable is None else usable
    return ViewFeatures(name, np.where(seen[:, None], rows, np.float32(0)), seen, pts)


def seen(seconds: float, *views: ViewFeatures) -> QueryFeatures:
    actions = np.zeros((1, ACTION_DIMENSION), dtype=np.float32)
    return QueryFeatures(seconds, np.array([[0.0, seconds]]), actions, views)


def test_first_and_second_pass_have_a_moment_every_three_seconds_and_a_thorough_one_every_second() -> (
    None
):
    pts = moments(24)
    assert pts[FIRST.chosen(pts, 12.0)].tolist() == [0.0, 3.0, 6.0, 9.0]
    assert pts[CLOSER.chosen(pts, 12.0)].tolist() == [0.0, 3.0, 6.0, 9.0]
    assert pts[THOROUGH.chosen(pts, 12.0)].tolist() == list(range(12))
    assert list(PASSES) == ["first", "closer", "thorough"]


def test_the_cache_key_of_a_pass_keeps_the_text_it_had_when_caches_were_filled() -> None:
    expected = "Look(name='closer', first=False, step_seconds=3.0, moments=24, least=4)"
    assert CLOSER.cache_key == expected


def test_a_long_query_is_looked_at_closely_at_no_more_moments_than_a_short_one() -> None:
    pts = moments(7200)
    assert CLOSER.chosen(pts, 3600.0).sum() == 24
    assert FIRST.chosen(pts, 3600.0).sum() == 1200
    assert THOROUGH.chosen(pts, 3600.0).sum() == 3600


def test_a_short_query_is_looked_at_closely_at_several_moments_a_second_or_more_apart() -> None:
    def chosen(seconds: float) -> list[float]:
        pts = moments(round(2 * seconds))
        found: list[float] = pts[CLOSER.chosen(pts, seconds)].tolist()
        return found

    assert chosen(10.0) == [0.0, 2.5, 5.0, 7.5]
    assert chosen(6.0) == [0.0, 1.5, 3.0, 4.5]
    assert chosen(2.5) == [0.0, 1.0, 2.0]
    assert chosen(0.5) == [0.0]


def test_moments_are_the_same_whichever_segment_they_are_looked_for_in() -> None:
    pts = moments(24)
    found, before = [], -1.0
    for part in (pts[pts < 4], pts[(pts >= 4) & (pts < 8)], pts[pts >= 8]):
        found += part[CLOSER.chosen(part, 12.0, before)].tolist()
        before = part[-1]
    assert found == pts[CLOSER.chosen(pts, 12.0)].tolist()


def test_a_second_pass_over_parts_of_a_query_sees_those_of_its_moments_that_lie_in_them() -> None:
    pts = moments(24)
    within = ((3.0, 6.5), (9.5, 20.0))
    assert pts[CLOSER.chosen(pts, 12.0, within=within)].tolist() == [3.0, 6.0]
    assert not CLOSER.chosen(pts, 12.0, within=()).any()


def test_the_whole_picture_is_embedded_at_every_frame_and_one_within_it_at_fewer(
    rng: np.random.Generator,
) -> None:
    """A first pass has a moment every three seconds for it, a second pass over a short query more, a
    thorough pass one every second."""
    frames = rng.integers(0, 60, (16, 96, 128, 3)).astype(np.uint8)
    bright = rng.integers(150, 255, (16, 6, 8, 3)).astype(np.uint8)
    frames[:, 24:72, 24:88] = bright.repeat(8, axis=1).repeat(8, axis=2)
    passes = seen_by(Whole(), frames)

    def times(name: PassName) -> dict[str, list[float]]:
        seen = (view for view in passes[name].views if view.name in ("identity", "left", "inner"))
        return {view.name: view.pts_seconds.tolist() for view in seen}

    assert times("first") == {"identity": moments(12).tolist(), "inner": [0.0, 3.0]}
    assert times("closer") == {"left": [0.0, 1.5, 3.0, 4.5]}
    every_second = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert times("thorough") == {"left": every_second, "inner": every_second}
    # What is described is the bright picture within the dark one.
    assert passes["first"].view("inner").rows[:, 3].min() > 0.8


def test_a_second_pass_sees_each_cell_of_a_grid_of_pictures(rng: np.random.Generator) -> None:
    frames = np.zeros((16, 90, 144, 3), dtype=np.uint8)
    # Each cell is brighter than the one before.
    for number in range(6):
        top, left = 45 * (number // 3), 48 * (number % 3)
        levels = rng.integers(40 * number, 40 * number + 30, (16, 5, 6, 1)).astype(np.uint8)
        frames[:, top : top + 45, left : left + 48] = levels.repeat(9, axis=1).repeat(8, axis=2)
    passes = seen_by(WithCells(), frames)
    seen = {view.name: view for view in passes["closer"].views if len(view.rows)}
    assert list(seen) == ["left", *CELL_NAMES[:6]]
    brightness = [seen[name].rows[:, 3].mean() for name in CELL_NAMES[:6]]
    assert brightness == sorted(brightness)
    assert seen["cell_1"].pts_seconds.tolist() == [0.0, 1.5, 3.0, 4.5]
    assert [view.name for view in passes["first"].views] == list(FIRST_VIEWS)


def test_of_windows_that_hold_the_same_frames_the_most_central_is_kept() -> None:
    starts, ends = np.array([0.0, 0.5, 1.0, 1.5]), np.array([2.0, 2.5, 3.0, 3.5])
    assert distinct_windows(np.array([1.9]), starts, ends).tolist() == [False, False, True, False]
    assert distinct_windows(np.array([0.1, 3.2]), starts, ends).tolist() == [
        True, False, False, True,
    ]  # fmt: skip
    every = distinct_windows(moments(8), starts, ends)
    assert every.all()


def test_windows_hold_the_mean_of_their_frames_in_every_view() -> None:
    pts = np.arange(12) * 0.5
    query = windows_of("q", "m", seen(6.0, view("identity", pts), view("left", pts[::6])), "mean")
    assert query.views == ("identity", "left")
    starts, ends = window_grid(6.0)
    assert query.window_start_seconds.tolist() == starts.tolist()
    lengths = ends - starts
    whole = int(np.flatnonzero((lengths == 4) & (starts == 1))[0])
    held = query.vectors[0, whole, :VISUAL_DIMENSION]
    assert np.flatnonzero(held).tolist() == list(range(2, 10))
    frame = int(np.flatnonzero((lengths == 0.5) & (starts == 3))[0])
    assert np.flatnonzero(query.vectors[1, frame]).tolist() == [1]
    assert np.linalg.norm(query.vectors[query.informative], axis=1) == pytest.approx(1)
    assert not query.vectors[~query.informative].any()


def test_a_view_that_saw_nothing_is_left_out_but_for_the_picture_as_it_is() -> None:
    pts = np.arange(4) * 0.5
    blind = np.zeros(4, dtype=bool)
    query = windows_of(
        "q", "m", seen(2.0, view("identity", pts, blind), view("left", pts, blind)), "mean"
    )
    assert query.views == ("identity",)
    assert not query.informative.any()
    nothing = windows_of("q", "m", seen(2.0, view("left", pts, blind)), "mean")
    assert nothing.vectors.shape[0] == 0


def decoded(seed: int) -> DecodedVideo:
    segments = SegmentSpool()
    segments.add(segment("query", seed))
    return DecodedVideo(segments, 2.0)


def test_what_moves_is_followed_once_in_however_many_passes() -> None:
    tracker = CountingTracker()
    embedder = QueryEmbedder(EmbedderStage("t", CountingBackend(), tracker, sampling="none"))
    with QuerySession(embedder, "query", decoded(0)) as query:
        first, closer = (query.features(name) for name in ("first", "closer"))
        assert tracker.calls == 1
        np.testing.assert_array_equal(first.actions, closer.actions)
    with QuerySession(embedder, "other", decoded(1)) as other:
        assert np.abs(other.features("first").actions - first.actions).max() > 0.01
    assert tracker.calls == 2


def long_video(clips: int) -> DecodedVideo:
    """The same two seconds again and again."""
    segments, one = SegmentSpool(), segment("query", 0)
    for number in range(clips):
        ref = SegmentRef("query", 2.0 * number, 2.0 * number + 2.0)
        segments.add(replace(one, ref=ref))
    return DecodedVideo(segments, 2.0 * clips)


def test_a_part_of_a_long_query_is_looked_at_as_often_as_a_short_query() -> None:
    embedder = QueryEmbedder(
        EmbedderStage("t", CountingBackend(), CountingTracker(), sampling="none")
    )
    with QuerySession(embedder, "query", long_video(60)) as query:
        assert query.duration_seconds == 120.0

        def moments_in(within: TimeSpans) -> list[float]:
            (piece,) = query.pieces("closer", within)
            frames = np.isclose(piece.window_end_seconds - piece.window_start_seconds, 0.5)
            return piece.window_start_seconds[frames & piece.informative[0]].tolist()

        assert moments_in(EVERYWHERE) == [5.0 * number for number in range(24)]
        assert moments_in(((90.0, 102.0),)) == [90.0, 93.0, 96.0, 99.0]


def test_clips_outside_the_parts_of_a_second_pass_are_not_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = EmbedderStage("t", CountingBackend(), CountingTracker(), sampling="none")
    opened: list[float] = []
    open_segment = stage.open

    def noted(one: Segment, *, tracks: bool) -> DecodedClip:
        opened.append(one.ref.start_seconds)
        return open_segment(one, tracks=tracks)

    monkeypatch.setattr(stage, "open", noted)
    with QuerySession(QueryEmbedder(stage), "query", long_video(6)) as query:
        list(query.pieces("first"))
        opened.clear()
        (whole,) = query.pieces("closer")
        assert opened == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        opened.clear()
        (part,) = query.pieces("closer", ((5.0, 9.5),))
    assert opened == [4.0, 6.0, 8.0]
    assert part.views == whole.views
    frames = np.isclose(whole.window_end_seconds - whole.window_start_seconds, 0.5)
    seen = [one.window_start_seconds[frames & one.informative[0]].tolist() for one in (whole, part)]
    assert seen == [[0.0, 3.0, 6.0, 9.0], [6.0, 7.0, 8.0, 9.0]]
    both = frames & part.informative[0] & whole.informative[0]
    np.testing.assert_array_equal(part.vectors[:, both], whole.vectors[:, both])
