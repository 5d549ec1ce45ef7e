"""The first pass that is made while a query is still being decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from common.cancellation import Cancellation
from common.errors import CancelledError, VideoError
from common.spool import DecodedVideo, SegmentSpool
from common.types import Float32Array, Segment, SegmentRef
from embedder.query import first_pass_ahead
from embedder.query.embedder import QueryEmbedder
from embedder.query.one_ahead import one_ahead
from embedder.query.session import QuerySession
from embedder.stage import EmbedderStage
from tests.support.counting import CountingBackend, CountingTracker, segment

OnSegment = Callable[[Segment], None]


def at(start_seconds: float, seed: int, clip: bytes = b"") -> Segment:
    ref = SegmentRef("query", start_seconds, start_seconds + 2.0)
    return Segment(ref, clip or segment("query", seed).clip)


SEGMENTS = [at(2.0 * number, number) for number in range(3)]


def query_embedder() -> tuple[QueryEmbedder, CountingBackend]:
    visual = CountingBackend()
    return QueryEmbedder(EmbedderStage("t", visual, CountingTracker(), sampling="none")), visual


def decoded(segments: list[Segment], on_segment: OnSegment = lambda _: None) -> DecodedVideo:
    spool = SegmentSpool()
    for one in segments:
        spool.add(one)
        on_segment(one)
    return DecodedVideo(spool, 2.0 * len(segments))


def test_a_pass_made_ahead_gives_the_same_vectors_and_embeds_no_frame_twice() -> None:
    embedder, visual = query_embedder()
    with QuerySession(embedder, "q", decoded(SEGMENTS)) as after:
        (expected,) = after.pieces("first")
    pictures = sum(visual.calls)
    with QuerySession.decoding(embedder, "q", lambda add: decoded(SEGMENTS, add)) as query:
        assert sum(visual.calls) == 2 * pictures
        (made,) = query.pieces("first")
        assert sum(visual.calls) == 2 * pictures
        np.testing.assert_array_equal(made.vectors, expected.vectors)
        np.testing.assert_array_equal(made.informative, expected.informative)
        # What was embedded ahead is taken once; a repeated pass embeds again.
        (again,) = query.pieces("first")
        np.testing.assert_array_equal(again.vectors, expected.vectors)


def test_segments_for_which_there_is_no_room_are_embedded_by_the_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedder, visual = query_embedder()
    with QuerySession(embedder, "q", decoded(SEGMENTS)) as after:
        (expected,) = after.pieces("first")
    monkeypatch.setattr(first_pass_ahead, "PIECE_SECONDS", 3.0)
    before = sum(visual.calls)
    with QuerySession.decoding(embedder, "q", lambda add: decoded(SEGMENTS, add)) as query:
        ahead = sum(visual.calls) - before
        (made,) = query.pieces("first")
    assert 0 < ahead < sum(visual.calls) - before
    np.testing.assert_array_equal(made.vectors, expected.vectors)


def test_embedding_begins_before_decoding_ends() -> None:
    begun = threading.Event()

    class Telling(CountingBackend):
        def encode(self, *pictures: Any, **more: Any) -> Float32Array:
            begun.set()
            return super().encode(*pictures, **more)

    stage = EmbedderStage("t", Telling(), CountingTracker(), sampling="none")
    embedder = QueryEmbedder(stage)

    def decode(add: OnSegment) -> DecodedVideo:
        video = decoded(SEGMENTS, add)
        assert begun.wait(300)
        return video

    QuerySession.decoding(embedder, "q", decode).close()


def test_a_damaged_clip_is_an_error_of_the_pass_and_not_of_decoding() -> None:
    embedder, _ = query_embedder()
    damaged = [SEGMENTS[0], at(2.0, 1, b"no clip"), SEGMENTS[2]]
    with (
        QuerySession.decoding(embedder, "q", lambda add: decoded(damaged, add)) as query,
        pytest.raises(VideoError),
    ):
        list(query.pieces("first"))


@pytest.mark.parametrize("error", [VideoError("no frame"), CancelledError("gone")])
def test_where_decoding_fails_the_embedding_ends(error: Exception) -> None:
    embedder, _ = query_embedder()
    threads = threading.active_count()

    def decode(add: OnSegment) -> DecodedVideo:
        add(SEGMENTS[0])
        raise error

    with pytest.raises(type(error), match=str(error)):
        QuerySession.decoding(embedder, "q", decode)
    assert threading.active_count() == threads


def test_a_caller_that_leaves_after_decoding_gives_the_space_back() -> None:
    embedder, _ = query_embedder()
    cancellation = Cancellation()
    videos: list[DecodedVideo] = []

    def decode(add: OnSegment) -> DecodedVideo:
        videos.append(decoded(SEGMENTS, add))
        cancellation.cancel()
        return videos[0]

    with pytest.raises(CancelledError):
        QuerySession.decoding(embedder, "q", decode, cancellation)
    with pytest.raises(ValueError, match="got none"):
        list(videos[0].segments.between(0.0, 9.0))


def test_the_next_item_is_worked_on_while_one_is_used() -> None:
    begun: list[int] = []
    second = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 2:
            second.set()
        return 10 * item

    results = one_ahead(work, [1, 2, 3])
    assert next(results) == (1, 10)
    assert second.wait(300)
    assert begun == [1, 2]
    assert list(results) == [(2, 20), (3, 30)]
