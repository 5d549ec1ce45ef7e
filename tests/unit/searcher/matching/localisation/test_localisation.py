"""Ranges to half a second: frames are random directions, so where a copy begins can be seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.frame_codes import FRAME_SECONDS, encode_frames
from common.types import VISUAL_DIMENSION, Float32Array, Int8Array, QueryEmbedding, SegmentRef
from embedder.fusion import fuse
from embedder.query.embedder import windows_of
from embedder.query.features import QueryFeatures, ViewFeatures
from searcher.index.state import VideoSegments
from searcher.matching.alignment.alignment import align
from searcher.matching.alignment.run import Run, Spans
from searcher.matching.alignment.temporal_fit import ordered_range
from searcher.matching.localisation.frame_similarity import FrameSimilarity, QueryFrames
from searcher.matching.localisation.localisation import refine
from searcher.matching.query_windows import QueryWindows
from tests.support.embeddings import unit_rows

STRANGERS = 0.1
A_SEGMENT = 8


def walk(rng: np.random.Generator, frames: int, step: float = 0.5) -> Float32Array:
    """Frames of a film in which neighbours are alike: (T, 512), two a second. step: how far they move."""
    steps = rng.normal(0, step, (frames, VISUAL_DIMENSION))
    rows = np.cumsum(steps, axis=0) + rng.normal(0, 1, VISUAL_DIMENSION)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def quick(rng: np.random.Generator) -> Float32Array:
    """59 s of a film that moves fast: (T, 512), eight frames a second. After a second nothing of a frame
    is left."""
    some = np.cumsum(rng.normal(0, 1, (8 * 60, VISUAL_DIMENSION)), axis=0)
    rows = some[8:] - some[:-8]
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Reference:
    """A film in segments of 4 s, as the index holds it."""

    def __init__(self, rows: Float32Array) -> None:
        self.refs: list[SegmentRef] = []
        self.codes: list[Int8Array] = []
        visual = []
        for start in range(0, len(rows), A_SEGMENT):
            part = rows[start : start + A_SEGMENT]
            mean = part.mean(axis=0)
            visual.append(mean / np.linalg.norm(mean))
            self.codes.append(encode_frames(part, np.ones(len(part), dtype=bool), visual[-1]))
            begin = start * FRAME_SECONDS
            self.refs.append(SegmentRef("film", begin, begin + len(part) * FRAME_SECONDS))
        action = np.ones((len(visual), 15), dtype=np.float32)
        vectors = fuse(np.array(visual, dtype=np.float32), action)
        self.segments = VideoSegments(self.refs, vectors, self.codes)


def query_of(rows: Float32Array) -> QueryEmbedding:
    times = np.arange(len(rows), dtype=np.float64) * FRAME_SECONDS
    duration = len(rows) * FRAME_SECONDS
    view = ViewFeatures("identity", rows, np.ones(len(rows), dtype=bool), times)
    action = np.ones((1, 15), dtype=np.float32)
    seen = QueryFeatures(duration, np.array([[0.0, duration]]), action, (view,))
    return windows_of("query", "model", seen, "mean")


def around(run: Run, query: QueryEmbedding, film: Reference) -> FrameSimilarity:
    found = FrameSimilarity.around(
        run, QueryFrames.of_view(QueryWindows.of(query), 0), film.segments
    )
    assert found is not None
    return found


def rough(query: QueryEmbedding, ref: tuple[float, float]) -> Run:
    """What segments tell: all of the query, all of the segments it touches."""
    return Run(0.0, query.duration_seconds, *ref, 0.8, 1.0, ((0, 0, 0.8),))


def ranges(run: Run) -> tuple[float, float, float, float]:
    return (
        run.query_start_seconds,
        run.query_end_seconds,
        run.ref_start_seconds,
        run.ref_end_seconds,
    )


def test_an_excerpt_of_a_single_segment_is_placed_in_it(rng: np.random.Generator) -> None:
    rows = walk(rng, 10)
    film, query = Reference(rows), query_of(rows[3:9])
    run = rough(query, (0.0, 5.0))
    found = refine(run, around(run, query, film), STRANGERS)
    assert ranges(found) == pytest.approx((0.0, 3.0, 1.5, 4.5), abs=0.15)


def test_a_single_frame_is_placed(rng: np.random.Generator) -> None:
    rows = walk(rng, 10)
    film, query = Reference(rows), query_of(rows[5:6])
    found = refine(
        rough(query, (0.0, 5.0)), around(rough(query, (0.0, 5.0)), query, film), STRANGERS
    )
    assert ranges(found) == pytest.approx((0.0, 0.5, 2.5, 3.0), abs=0.3)


def test_an_insert_is_cut_out_of_what_is_around_it(rng: np.random.Generator) -> None:
    rows = walk(rng, 40)
    strange = unit_rows(rng, 20, VISUAL_DIMENSION)
    film, query = Reference(rows), query_of(np.concatenate([strange[:9], rows[21:29], strange[9:]]))
    run = replace(rough(query, (8.0, 16.0)), query_start_seconds=3.0, query_end_seconds=10.0)
    found = refine(run, around(run, query, film), STRANGERS)
    assert ranges(found) == pytest.approx((4.5, 8.5, 10.5, 14.5), abs=0.3)
    assert found.tempo == 1.0
    # What the run is worth is not the frames' to say.
    assert (found.score, found.pairs) == (run.score, run.pairs)


@pytest.mark.parametrize("tempo", [0.5, 2.0])
def test_another_tempo_is_told(rng: np.random.Generator, tempo: float) -> None:
    rows = walk(rng, 32)
    film = Reference(rows)
    query = query_of(rows[(np.arange(int(24 / tempo)) * tempo).astype(int) + 4])
    run = rough(query, (0.0, 16.0))
    found = refine(run, around(run, query, film), STRANGERS)
    assert found.tempo == tempo
    assert ranges(found)[2:] == pytest.approx((2.0, 14.0), abs=0.6)


@pytest.mark.parametrize("tempo", [25 / 24, 1.5])
def test_a_tempo_between_those_that_are_tried_is_told(
    rng: np.random.Generator, tempo: float
) -> None:
    rows = quick(rng)
    film, query = Reference(rows[::4]), query_of(rows[(np.arange(60) * 4 * tempo).astype(int) + 64])
    run = rough(query, (8.0, 8.0 + 30 * tempo))
    found = refine(run, around(run, query, film), STRANGERS)
    assert found.tempo == pytest.approx(tempo, abs=0.02)
    assert ranges(found) == pytest.approx((0.0, 30.0, 8.0, 8.0 + 30 * tempo), abs=0.6)


def test_a_tempo_beyond_those_that_are_tried_is_not_told(rng: np.random.Generator) -> None:
    rows = quick(rng)
    film, query = Reference(rows[::4]), query_of(rows[(np.arange(60) * 4 * 0.35).astype(int) + 64])
    run = rough(query, (8.0, 18.5))
    assert refine(run, around(run, query, film), STRANGERS).tempo is None


def test_what_is_out_of_order_has_the_range_of_all_that_is_shown(rng: np.random.Generator) -> None:
    rows = walk(rng, 40)
    film, query = Reference(rows), query_of(np.concatenate([rows[20:28], rows[8:16]]))
    run = rough(query, (4.0, 16.0))
    found = refine(run, around(run, query, film), STRANGERS)
    assert found.tempo is None
    assert ranges(found) == pytest.approx((0.0, 8.0, 4.0, 14.0), abs=0.3)


def test_another_run_beside_it_is_left_alone(rng: np.random.Generator) -> None:
    rows = walk(rng, 40)
    strange = unit_rows(rng, 6, VISUAL_DIMENSION)
    film, query = Reference(rows), query_of(np.concatenate([rows[:6], strange, rows[6:12]]))
    run = replace(rough(query, (0.0, 4.0)), query_end_seconds=3.0)
    found = refine(run, around(run, query, film), STRANGERS)
    assert ranges(found) == pytest.approx((0.0, 3.0, 0.0, 3.0), abs=0.3)


def test_where_nothing_moves_segments_tell_the_ranges(rng: np.random.Generator) -> None:
    still = np.repeat(unit_rows(rng, 1, VISUAL_DIMENSION), 16, axis=0)
    # All the same to the eye, and yet one frame is a little more like the query than its neighbours.
    noise = rng.normal(0, 0.02, still.shape).astype(np.float32)
    noise[5] = 0.0
    rows = still + noise
    film = Reference(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    query = query_of(still[:12])
    run = rough(query, (0.0, 8.0))
    assert refine(run, around(run, query, film), STRANGERS) == run


def test_a_still_part_of_the_reference_does_not_hold_the_range_where_its_codes_are_best(
    rng: np.random.Generator,
) -> None:
    still, loss = unit_rows(rng, 2, VISUAL_DIMENSION)
    moving = walk(rng, 9)
    # 5.5 s of a still picture, the last 1.5 s with the least loss, then 4.5 s that move.
    rows = np.concatenate(
        [
            np.repeat([still + 0.7 * loss], A_SEGMENT, axis=0),
            np.repeat([still + 0.63 * loss], 3, axis=0),
            moving,
        ]
    )
    film = Reference(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    query = query_of(np.concatenate([np.repeat([still], 9, axis=0), moving[:3]]))
    found = refine(
        rough(query, (0.5, 6.5)), around(rough(query, (0.5, 6.5)), query, film), STRANGERS
    )
    assert ranges(found) == pytest.approx((0.0, 6.0, 1.0, 7.0), abs=0.5)
    assert found.tempo == 1.0


def test_where_some_codes_lost_more_than_others_the_line_still_tells_the_range() -> None:
    right = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        rows = walk(rng, 32, step=0.2)
        loss = rng.uniform(0, 0.03, (32, 1)) * rng.normal(0, 1, rows.shape)
        seen = (rows + loss).astype(np.float32)
        film = Reference(seen / np.linalg.norm(seen, axis=1, keepdims=True))
        query = query_of(rows[6:18])
        run = rough(query, (2.5, 8.5))
        found = refine(run, around(run, query, film), STRANGERS)
        right += ranges(found) == pytest.approx((0.0, 6.0, 3.0, 9.0), abs=0.75)
    assert right >= 18


def test_a_picture_that_is_held_in_the_query_alone_is_no_such_case(
    rng: np.random.Generator,
) -> None:
    rows = walk(rng, 24)
    held = np.repeat(rows[11:12], 8, axis=0)
    film, query = Reference(rows), query_of(np.concatenate([rows[:12], held, rows[12:]]))
    run = rough(query, (0.0, 12.0))
    found = refine(run, around(run, query, film), STRANGERS)
    assert ranges(found) == pytest.approx((0.0, 16.0, 0.0, 12.0), abs=0.3)


def test_frames_of_strangers_change_nothing(rng: np.random.Generator) -> None:
    film, query = Reference(walk(rng, 16)), query_of(unit_rows(rng, 8, VISUAL_DIMENSION))
    run = rough(query, (0.0, 8.0))
    assert refine(run, around(run, query, film), 0.9) == run


def test_where_frames_are_not_known_there_is_nothing_to_refine_with(
    rng: np.random.Generator,
) -> None:
    film, query = Reference(walk(rng, 16)), query_of(walk(rng, 8))
    none = [np.zeros((0, 64), dtype=np.int8) for _ in film.codes]
    run = rough(query, (0.0, 8.0))
    assert (
        FrameSimilarity.around(
            run, QueryFrames.of_view(QueryWindows.of(query), 0), film.segments._replace(frames=none)
        )
        is None
    )


def test_runs_that_are_very_long_keep_the_ranges_of_their_segments(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("searcher.matching.localisation.frame_similarity._MAX_PAIRS", 50)
    rows = walk(rng, 16)
    film, query = Reference(rows), query_of(rows)
    run = rough(query, (0.0, 8.0))
    assert (
        FrameSimilarity.around(run, QueryFrames.of_view(QueryWindows.of(query), 0), film.segments)
        is None
    )


def test_a_run_with_no_segment_near_it_has_nothing_to_refine_with(rng: np.random.Generator) -> None:
    # Between two segments that show something lies a minute that does not.
    film, query = Reference(walk(rng, 8)), query_of(walk(rng, 8))
    far = [replace(film.refs[0], start_seconds=64.0, end_seconds=68.0)]
    video = film.segments._replace(
        refs=[*film.refs, *far],
        vectors=np.repeat(film.segments.vectors, 2, axis=0),
        frames=film.codes * 2,
    )
    run = rough(query, (30.0, 34.0))
    assert (
        FrameSimilarity.around(run, QueryFrames.of_view(QueryWindows.of(query), 0), video) is None
    )


@given(
    st.floats(-20, 40, allow_nan=False),
    st.floats(-20, 40, allow_nan=False),
    st.floats(0.1, 30, allow_nan=False),
)
def test_a_range_is_never_empty_nor_beyond_the_reference(
    first: float, last: float, end_seconds: float
) -> None:
    start, end = ordered_range(first, last, end_seconds)
    assert 0 <= start < end <= end_seconds


def sparse(rows: Float32Array, shown: list[int], cut_off_seconds: float = 0.0) -> QueryEmbedding:
    """A query with a frame of `rows`, two per second, at each of these numbers."""
    duration = len(rows) * FRAME_SECONDS - cut_off_seconds
    times = np.array(shown) * FRAME_SECONDS
    view = ViewFeatures("inner", rows[shown], np.ones(len(shown), dtype=bool), times)
    action = np.ones((1, 15), dtype=np.float32)
    seen = QueryFeatures(duration, np.array([[0.0, duration]]), action, (view,))
    return windows_of("query", "model", seen, "mean")


@pytest.mark.parametrize(
    ("seconds", "copied", "shown", "expected"),
    [
        # The second frame is so near the end that it has no window of its own.
        (3.4, (0, 4), [0, 6], (0.0, 3.4)),
        # Of a short query they are a second apart.
        (3.4, (0, 4), [0, 2, 4, 6], (0.0, 3.4)),
        (6, (0, 3), [0, 3, 6, 9], (0.0, 2.25)),
        # No frame lies behind the last one, so nothing says that the copy ends there.
        (11, (0, 11), [0, 6, 12, 18], (0.0, 11.0)),
        # Half-way to the next frame.
        (11, (0, 8), [0, 6, 12, 18], (0.0, 7.5)),
        (11, (5, 11), [0, 6, 12, 18], (4.5, 11.0)),
        # The view shows nothing in a part of the query.
        (20, (0, 11), [0, 6, 12, 18], (0.0, 10.5)),
        (20, (9, 20), [18, 24, 30, 36], (7.5, 20.0)),
        # The view shows nothing in the middle of the query.
        (20, (6, 10), [16, 28, 36], (6.5, 9.5)),
        # One moment.
        (2, (0, 2), [0], (0.0, 2.0)),
        (3, (0, 3), [0], (0.0, 3.0)),
        (20, (8, 12), [18], (7.5, 10.5)),
    ],
)
def test_frames_of_a_closer_pass_locate_a_copy_to_half_of_their_distance(
    rng: np.random.Generator,
    seconds: float,
    copied: tuple[int, int],
    shown: list[int],
    expected: tuple[float, float],
) -> None:
    count = math.ceil(2 * seconds)
    rows, film = unit_rows(rng, count, VISUAL_DIMENSION), walk(rng, count)
    part = slice(2 * copied[0], 2 * copied[1])
    rows[part] = film[part]
    query = QueryWindows.of(sparse(rows, shown, count * FRAME_SECONDS - seconds))
    view, segments = query.views[0], Reference(film).segments
    usable = view.mask(len(query.windows.starts))
    similarity = np.zeros((len(usable), len(segments.refs)), dtype=np.float32)
    similarity[view.windows] = view.vectors @ segments.vectors.T
    starts = np.array([ref.start_seconds for ref in segments.refs])
    ends = np.array([ref.end_seconds for ref in segments.refs])
    run = align(similarity, usable, query.windows, Spans(starts, ends), STRANGERS)[0]
    assert (run.query_start_seconds, run.query_end_seconds) == pytest.approx(expected, abs=0.01)


# Three seconds apart, a second apart, and one alone.
SPARSE = pytest.mark.parametrize("shown", [[0, 6, 12, 18], [0, 2, 4], [4]])


@SPARSE
def test_frames_of_a_closer_pass_tell_the_place_in_the_reference(
    rng: np.random.Generator, shown: list[int]
) -> None:
    rows = walk(rng, 60)
    film, query = Reference(rows), sparse(rows[17:41], shown)
    run = rough(query, (6.0, 18.0))
    found = refine(run, around(run, query, film), STRANGERS)
    assert ranges(found) == pytest.approx((0.0, 12.0, 8.5, 20.5), abs=0.15)
    assert (found.score, found.pairs) == (run.score, run.pairs)


@SPARSE
def test_frames_of_a_closer_pass_move_no_range_where_nothing_moves(
    rng: np.random.Generator, shown: list[int]
) -> None:
    still = np.repeat(unit_rows(rng, 1, VISUAL_DIMENSION), 40, axis=0)
    film, query = Reference(still), sparse(still[:24], shown)
    run = rough(query, (6.0, 18.0))
    assert refine(run, around(run, query, film), STRANGERS) == run
