"""Queries of any length: in pieces, one candidate at a time, and the same answers as ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import searcher.matching.indexed_query
from common.cancellation import Cancellation
from common.errors import CancelledError
from common.settings import SearcherSettings
from common.spool import DecodedVideo, SegmentSpool, Spool
from common.types import Float32Array, Hit, PassName, QueryEmbedding, Segment, SegmentRef, TimeSpans
from embedder.fusion import fuse
from embedder.pooling import pool_windows
from embedder.query.embedder import QueryEmbedder, window_grid, windows_of
from embedder.query.features import QueryFeatures, ViewFeatures
from embedder.query.pieces import PIECE_SECONDS, pieces_of
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from searcher.index.shard import Shard
from searcher.index.state import VideoSegments
from searcher.matching.alignment.alignment import align
from searcher.matching.alignment.run import Spans
from searcher.matching.cascade import match_cascade
from searcher.matching.indexed_query import indexed_query_pieces
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.report.match_json import report_to_json
from searcher.storage.video import Video
from tests.support import reference_alignment
from tests.support.counting import CountingBackend, CountingTracker, segment
from tests.support.embeddings import MODEL_ID, unit_rows
from tests.support.made_films import FPS, copied, embeddings, film, query
from tests.unit.searcher.matching.test_matcher import make_matcher, ranges

SIX_HOURS = 6 * 3600.0
# Pieces a fifth as long as those of a service, so that shorter films have as many.
SHORT_PIECE = PIECE_SECONDS / 5


@settings(deadline=None, max_examples=12)
@given(st.floats(0.2, SIX_HOURS / 24), st.just(PIECE_SECONDS / 24))
@example(SIX_HOURS - 0.3, PIECE_SECONDS)
def test_every_window_of_a_query_is_in_one_of_its_pieces(
    seconds: float, piece_seconds: float
) -> None:
    whole = {*zip(*(ends.tolist() for ends in window_grid(seconds)), strict=True)}
    pieces = pieces_of(seconds, piece_seconds)
    assert len(pieces) == 1 or max(piece.seconds for piece in pieces) <= piece_seconds + 0.5
    told: list[tuple[float, float]] = []
    for piece in pieces:
        grid = window_grid(seconds, piece.start_seconds, piece.end_seconds)
        told += zip(*(ends.tolist() for ends in grid), strict=True)
    assert len(told) == len(whole)
    assert {*told} == whole


def test_a_window_is_the_same_in_its_piece_as_in_the_whole(rng: np.random.Generator) -> None:
    seconds = 2 * PIECE_SECONDS + 61.3
    times = np.arange(0, seconds, 0.5)
    spans = np.array([(start, min(start + 4, seconds)) for start in np.arange(0, seconds, 4.0)])
    actions = rng.normal(size=(len(spans), 15)).astype(np.float32)
    rows, known = unit_rows(rng, len(times), 512), rng.random(len(times)) < 0.7
    rows[~known] = 0

    def seen(first: float, last: float) -> QueryFeatures:
        """Whole segments, as a piece sees them."""
        chosen = (spans[:, 1] > first) & (spans[:, 0] < last)
        low, high = spans[chosen][0, 0], spans[chosen][-1, 1]
        shown = (times >= low) & (times < high)
        view = ViewFeatures("identity", rows[shown], known[shown], times[shown])
        return QueryFeatures(seconds, spans[chosen], actions[chosen], (view,))

    whole = windows_of("q", "m", seen(0, seconds), "mean")
    found = 0
    for piece in pieces_of(seconds):
        part = windows_of(
            "q", "m", seen(piece.start_seconds, piece.end_seconds + 4), "mean", piece=piece
        )
        inside = (whole.window_start_seconds >= piece.start_seconds) & (
            whole.window_start_seconds < piece.end_seconds
        )
        found += int(inside.sum())
        assert np.array_equal(part.informative[0], whole.informative[0, inside])
        assert np.allclose(part.vectors[0], whole.vectors[0, inside], atol=1e-6)
    assert found == len(whole.window_start_seconds)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.integers(1, 160), st.integers(1, 60), st.booleans())
def test_runs_are_those_of_the_plain_alignment(
    seed: int, windows: int, segments: int, copied_in_part: bool
) -> None:
    rng = np.random.default_rng(seed)
    starts, ends = window_grid(windows / 4)
    spans = np.arange(segments, dtype=np.float64) * 4.0
    similarity = rng.uniform(-0.2, 0.5, (len(starts), segments)).astype(np.float32)
    if copied_in_part:
        at = rng.uniform(0, 4 * segments) + rng.choice([0.5, 1.0, 2.0, -1.0]) * starts
        there = np.abs(at[:, None] - spans[None] - 2) < 4
        similarity[there & (starts > rng.uniform(0, windows / 4))[:, None]] += 0.45
    usable = rng.random(len(starts)) < rng.choice([0.2, 0.9, 1.0])
    given_ = similarity, usable, Spans(starts, ends), Spans(spans, spans + 4), 0.1
    plain = reference_alignment.align(*given_)
    found = align(*given_)
    assert len(found) == len(plain)
    for run, wanted in zip(found, plain, strict=True):
        assert (run.pairs, run.tempo, run.score) == (wanted.pairs, wanted.tempo, wanted.score)
        told = [run.query_start_seconds, run.query_end_seconds]
        told += [run.ref_start_seconds, run.ref_end_seconds]
        expected = [wanted.query_start_seconds, wanted.query_end_seconds]
        expected += [wanted.ref_start_seconds, wanted.ref_end_seconds]
        assert told == pytest.approx(expected, abs=1e-4)


def long_query(
    frames: Float32Array, usable: np.ndarray | None = None, piece_seconds: float = SHORT_PIECE
) -> list[QueryEmbedding]:
    """A query of two frames a second in the pieces an embedder gives."""
    seconds = len(frames) / FPS
    seen = np.ones(len(frames), dtype=bool) if usable is None else usable
    made = []
    for piece in pieces_of(seconds, piece_seconds):
        starts, ends = window_grid(seconds, piece.start_seconds, piece.end_seconds)
        pooled, known = pool_windows(
            frames, seen, np.arange(len(frames)) / FPS, starts, ends, "mean"
        )
        still = np.zeros((len(pooled), 15), dtype=np.float32)
        vectors = np.where(known[:, None], fuse(pooled, still), np.float32(0))
        made.append(
            QueryEmbedding(
                *("query.mp4", seconds, MODEL_ID, ("identity",), starts, ends),
                vectors[None],
                known[None],
                number=piece.number,
                pieces=piece.pieces,
            )
        )
    return made


def matched(matcher: Matcher, pieces: list[QueryEmbedding]) -> MatchReport:
    answer = matcher.begin()
    for piece in pieces:
        answer.add(piece)
    return answer.report()


def copies(report: MatchReport) -> list[int]:
    return [number for number, decision in enumerate(report.decisions) if decision == "copy"]


def test_a_query_of_one_piece_is_answered_as_it_was(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    films = [film(rng, 60) for _ in range(4)]
    for number, frames in enumerate(films):
        shard.add(embeddings(f"film-{number}", frames))
    matcher = make_matcher(shard)
    asked = query(copied(rng, films[2][20:80]))
    assert matched(matcher, [asked]) == matcher.match(asked)
    assert asked.pieces == 1


@pytest.mark.parametrize("way", ["forwards", "backwards", "faster"])
def test_a_copy_that_goes_on_over_several_pieces_is_one_match(
    rng: np.random.Generator, way: str
) -> None:
    source = film(rng, 300)
    shard = Shard(SearcherSettings())
    shard.add(embeddings("source", source))
    shard.add(embeddings("other", film(rng, 60)))
    shown = {"forwards": source, "backwards": source[::-1], "faster": np.repeat(source, 2, axis=0)}
    frames = copied(rng, np.concatenate([film(rng, 20), shown[way]]))
    seconds = len(frames) / FPS
    pieces = long_query(frames)
    assert len(pieces) >= 3
    report = matched(make_matcher(shard), pieces)
    assert copies(report) == [0]
    assert report.matches[0].video_id == "source"
    assert ranges(report) == pytest.approx([20, seconds, 0, 300], abs=6.0)
    assert report.matches[0].coverage == pytest.approx((seconds - 20) / seconds, abs=0.01)
    assert len(report.matches[0].evidence["pairs"]) == 4


def test_parts_of_two_films_in_a_long_query_are_told_apart(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    films = {name: film(rng, 140) for name in ("one", "two")}
    for name, frames in films.items():
        shard.add(embeddings(name, frames))
    host = np.concatenate([films["one"][40:240], film(rng, 20), films["two"][:80], film(rng, 60)])
    report = matched(make_matcher(shard), long_query(copied(rng, host)))
    found = {report.matches[number].video_id: ranges(report, number) for number in copies(report)}
    assert len(copies(report)) == 2
    assert found["one"] == pytest.approx([0, 100, 20, 120], abs=4.0)
    assert found["two"] == pytest.approx([120, 160, 0, 40], abs=4.0)


def test_what_comes_twice_is_not_made_one(rng: np.random.Generator) -> None:
    """The second showing begins where a piece begins, and the first ends there."""
    shard = Shard(SearcherSettings())
    part = film(rng, 60)
    shard.add(embeddings("part", part))
    host = copied(rng, np.concatenate([film(rng, 48), part, part, film(rng, 48)]))
    assert pieces_of(len(host) / FPS, SHORT_PIECE)[1].start_seconds == 108
    report = matched(make_matcher(shard), long_query(host))
    told = sorted(ranges(report, number) for number in copies(report))
    assert len(told) == 2
    assert told[0] == pytest.approx([48, 108, 0, 60], abs=3.0)
    assert told[1] == pytest.approx([108, 168, 0, 60], abs=3.0)


def test_a_long_video_of_the_index_is_one_match_with_its_copy(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searcher.matching.indexed_query, "PIECE_SEGMENTS", 90)
    seconds = 4.0 * (2 * 90 + 10)
    source = film(rng, seconds)
    shard = Shard(SearcherSettings())
    shard.add(embeddings("source", source))
    shard.add(embeddings("copy", copied(rng, source)))
    video = Video("copy", "/films/copy", duration_seconds=seconds)
    assert len(list(indexed_query_pieces(video, shard.vectors_of("copy"), MODEL_ID))) == 3
    report = make_matcher(shard).match_video(video)
    assert [match.video_id for match in report.matches] == ["source"]
    assert ranges(report) == pytest.approx([0, seconds, 0, seconds], abs=1.0)


class Untouchable:
    """An index that must not be asked."""

    def search(self, *_: object) -> list[list[Hit]]:
        raise AssertionError("searched")

    def vectors_of(self, video_id: str) -> VideoSegments:
        raise AssertionError(video_id)


def test_for_a_black_film_of_six_hours_there_is_nothing_to_do() -> None:
    from searcher.matching.scoring.policy import Policies, default_policy
    from tests.support.fixed_calibrations import fixed_calibration

    calibration = fixed_calibration("offline")
    matcher = Matcher(Untouchable(), MODEL_ID, calibration, Policies(default_policy(calibration)))
    nothing = np.zeros((int(SIX_HOURS * FPS), 512), dtype=np.float32)
    pieces = long_query(nothing, np.zeros(len(nothing), dtype=bool), PIECE_SECONDS)
    assert len(pieces) == 36
    report = matched(matcher, pieces)
    assert report.reason == "no frame of the query shows anything to recognise"


def test_a_long_query_is_looked_at_closely_piece_by_piece(rng: np.random.Generator) -> None:
    source = film(rng, 260)
    shard = Shard(SearcherSettings())
    shard.add(embeddings("source", source))
    shard.add(embeddings("other", film(rng, 60)))
    hidden = long_query(copied(rng, source))
    looks: list[PassName] = []

    def look(name: PassName, within: TimeSpans) -> Iterator[QueryEmbedding]:
        looks.append(name)
        for number, piece in enumerate(hidden):
            if name == "first":
                away = unit_rows(np.random.default_rng(number), piece.vectors.shape[1], 527)
                yield replace(piece, vectors=away[None])
            else:
                yield replace(piece, views=("flip_h",))

    report = match_cascade(make_matcher(shard), look)
    assert looks == ["first", "closer"]
    assert copies(report) == [0]
    assert report.matches[0].view == "flip_h"
    assert ranges(report) == pytest.approx([0, 260, 0, 260], abs=2.0)


def test_what_of_a_query_is_damaged_is_told(rng: np.random.Generator) -> None:
    shard = Shard(SearcherSettings())
    shard.add(embeddings("film", film(rng, 20)))
    stage = EmbedderStage("t", CountingBackend(), CountingTracker(), sampling="none")
    matcher = make_matcher(shard)
    for damaged in ("3 packets cannot be decoded", ""):
        segments = SegmentSpool()
        segments.add(segment("q", 0))
        decoded = DecodedVideo(segments, 2.0, damaged)
        with QuerySession(QueryEmbedder(stage), "q", decoded) as session:
            (piece,) = session.pieces("first")
        report = matcher.match(replace(piece, model_id=MODEL_ID))
        assert report.damaged == damaged
        assert report_to_json(report, str)["query"].get("damaged", "") == damaged


def test_matching_stops_soon_after_it_is_cancelled(rng: np.random.Generator) -> None:
    cancellation = Cancellation()
    asked: list[str] = []

    class Cancelling(Shard):
        def vectors_of(self, video_id: str) -> VideoSegments:
            asked.append(video_id)
            cancellation.cancel()
            return super().vectors_of(video_id)

    shard = Cancelling(SearcherSettings())
    for number in range(5):
        shard.add(embeddings(f"film-{number}", film(rng, 20)))
    with pytest.raises(CancelledError):
        make_matcher(shard).match(query(film(rng, 10)), cancellation=cancellation)
    assert len(asked) == 1
    with pytest.raises(CancelledError):
        make_matcher(shard).match(query(film(rng, 10)), cancellation=cancellation)
    assert len(asked) == 1


def test_a_spool_gives_back_what_it_was_given() -> None:
    with Spool() as spool:
        for block in (b"one", b"", b"three" * 1000):
            spool.append(block)
        assert [spool.read(number) for number in range(3)] == [b"one", b"", b"three" * 1000]
        assert (len(spool), spool.size_bytes) == (3, 5003)
    with SegmentSpool() as segments:
        for number in range(5):
            ref = SegmentRef("q", 4.0 * number, 4.0 * number + 4)
            segments.add(Segment(ref, bytes([number + 1])))
        found = [one.clip[0] for one in segments.between(4.0, 12.5)]
        assert found == [2, 3, 4]
        assert segments.end_seconds == 20


# A piece of a query through twenty-one views, against three candidates of six hours each.
_LARGE = """
import resource
import numpy as np
from common.types import Hit, QueryEmbedding, SegmentRef
from embedder.query.embedder import window_grid
from tests.support.fixed_calibrations import fixed_calibration
from searcher.matching.matcher import Matcher
from searcher.matching.scoring.policy import Policies, default_policy
from searcher.index.state import VideoSegments
from tests.support.embeddings import unit_rows

rng = np.random.default_rng(1)
refs = {n: [SegmentRef(n, 4.0 * i, 4.0 * i + 4) for i in range(5400)] for n in "abc"}
vectors = unit_rows(rng, 5400, 527)
none = [np.zeros((0, 64), dtype=np.int8)] * 5400

class Index:
    def search(self, asked, k, only):
        return [[Hit(refs[n][0], 0.5) for n in "abc"] for _ in asked]
    def vectors_of(self, name):
        return VideoSegments(refs[name], vectors, none)

def look(views, share):
    starts, ends = window_grid(21600.0, 0.0, 600.0)
    known = rng.random((len(views), len(starts))) < share
    made = np.zeros((len(views), len(starts), 527), dtype=np.float32)
    for number, some in enumerate(known):
        made[number, some] = unit_rows(rng, int(some.sum()), 527)
    return QueryEmbedding("q", 21600.0, "m", views, starts, ends, made, known, number=1, pieces=36)

calibration = fixed_calibration("offline")
matcher = Matcher(Index(), "m", calibration, Policies(default_policy(calibration)))
matcher.match(look(("identity",), 0.001))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
answer = matcher.begin()
answer.add(look(("identity",), 1.0), look(tuple(f"view-{n}" for n in range(20)), 0.05))
answer.report()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tells memory in KiB on Linux")
def test_a_piece_of_six_hours_against_films_of_six_hours_stays_under_500_mib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LARGE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 500, done.stdout
