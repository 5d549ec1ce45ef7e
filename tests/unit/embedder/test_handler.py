"""The embedder behind a transport: every segment has its embedding, every end is passed on, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

from common.errors import StoryHashError, VideoError, WireError
from common.messaging.events import Deletion, Event, SegmentFailed, VideoEnd
from common.messaging.handler import Item
from common.messaging.transport import Message, ReceivedMessage
from common.messaging.wire import Envelope, decode_event, to_message
from common.metrics import Metrics
from common.types import VECTOR_DIMENSION, CatalogEntry, Embedding, Segment, SegmentRef
from embedder.encoders import StageClock
from embedder.handler import EmbedHandler
from embedder.stage import EmbedderStage

LOG = "embeddings"


class FakeStage:
    """A segment's embedding points along the axis that its clip names."""

    def __init__(self) -> None:
        self.clock = StageClock()
        self.encoders: Mapping[str, str] = {"visual encode": "sscd", "track": "flow"}
        self.segments_at_once = 7
        self.batches: list[int] = []

    def process(self, segments: Sequence[Segment]) -> list[Embedding]:
        self.batches.append(len(segments))
        with self.clock.measure("visual encode"):
            return [self._embed(segment) for segment in segments]

    def _embed(self, segment: Segment) -> Embedding:
        if segment.clip == b"poison":
            raise VideoError("the clip does not decode")
        vector = np.zeros(VECTOR_DIMENSION, dtype=np.float32)
        vector[int(segment.clip)] = 1
        return Embedding(segment.ref, vector, np.zeros(8, dtype=np.float32), True, "sscd-1")


class Bench:
    def __init__(self) -> None:
        self.stage = FakeStage()
        self.metrics = Metrics.create("embed")
        self.handler = EmbedHandler(cast(EmbedderStage, self.stage), LOG, self.metrics)

    def process(self, *events: Event) -> list[Message]:
        return self.handler.process([item(event) for event in events])

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"storyhash_{name}", labels) or 0.0


def item(event: Event) -> Item:
    envelope = Envelope(event, 1000.5, "trace")
    sent = to_message("segments", envelope)
    return Item(envelope, ReceivedMessage("segments", 3, 14, sent.key, sent.value, sent.headers))


def segment(video_id: str, number: int, clip: bytes = b"0") -> Segment:
    return Segment(SegmentRef(video_id, 4.0 * number, 4.0 * number + 4, 9, "shows"), clip)


END = VideoEnd(CatalogEntry("a", "/films/a", "shows", "A", {"n": 1}), 9, "complete", 8.0, 2)


def events(messages: Sequence[Message]) -> list[Any]:
    return [decode_event(message.value or b"") for message in messages]


def test_each_segment_becomes_its_own_embedding_and_ends_stay_in_their_place() -> None:
    made = Bench().process(segment("a", 0, b"5"), END, segment("b", 0, b"6"), segment("a", 1, b"7"))
    first, end, other, second = events(made)
    assert [one.ref.segment_id for one in (first, other, second)] == [
        *("a@0-4000", "b@0-4000", "a@4000-8000")
    ]
    assert [int(one.vector.argmax()) for one in (first, other, second)] == [5, 6, 7]
    assert end == END
    assert {message.topic for message in made} == {LOG}
    assert (first.ref.version, first.ref.bank, first.model_id) == (9, "shows", "sscd-1")


def test_a_video_stays_in_one_partition_and_keeps_its_trace_and_its_time() -> None:
    made = Bench().process(segment("a", 0), segment("a", 1), END)
    assert {message.partition_key for message in made} == {b"a"}
    for message in made:
        headers = dict(message.headers)
        assert (headers["trace-id"], headers["produced-at"]) == (b"trace", b"1000.5")


def test_done_again_it_writes_the_same_under_the_same_keys() -> None:
    bench = Bench()
    batch = (segment("a", 0), segment("a", 1), END)
    assert bench.process(*batch) == bench.process(*batch)


def test_segments_of_a_batch_are_embedded_together() -> None:
    bench = Bench()
    bench.process(segment("a", 0), END, segment("b", 0))
    assert bench.stage.batches == [2]
    assert bench.handler.batch_messages == 7


def test_a_batch_of_ends_alone_asks_nothing_of_the_network() -> None:
    bench = Bench()
    assert events(bench.process(END)) == [END]
    assert bench.stage.batches == []


def test_an_event_out_of_place_is_refused_before_any_work() -> None:
    bench = Bench()
    with pytest.raises(WireError, match="Deletion does not belong in the segments topic"):
        bench.process(segment("a", 0), Deletion("a", 5))
    assert bench.stage.batches == []


def test_a_segment_that_cannot_be_used_is_told_to_the_searcher_in_its_place() -> None:
    bench = Bench()
    spoilt = segment("a", 1, b"poison")
    poison = item(spoilt)
    with pytest.raises(VideoError):
        bench.handler.process([poison])
    (message,) = bench.handler.refused(poison, VideoError("the clip does not decode"))
    assert events([message]) == [SegmentFailed(spoilt.ref, "unreadable")]
    assert message.partition_key == b"a"
    assert dict(message.headers)["trace-id"] == b"trace"


@pytest.mark.parametrize(
    ("error", "code"),
    [(WireError("no"), "wire"), (KeyError("x"), "internal"), (StoryHashError("no"), "failed")],
)
def test_the_searcher_is_told_the_reason_of_the_dead_letter(error: Exception, code: str) -> None:
    (told,) = events(Bench().handler.refused(item(segment("a", 0)), error))
    assert told.error_code == code


def test_nothing_takes_the_place_of_what_is_no_segment() -> None:
    bench = Bench()
    assert bench.handler.refused(item(Deletion("a", 5)), WireError("no place")) == []
    assert bench.handler.refused(item(END), WireError("no")) == []
    assert bench.metric("segments_total", stage="embed", outcome="failed") == 0


def test_segments_are_counted_by_what_became_of_them_and_ends_are_not() -> None:
    bench = Bench()
    bench.process(segment("a", 0), segment("a", 1), END)
    bench.handler.refused(item(segment("b", 0)), VideoError("no"))
    with pytest.raises(VideoError):
        bench.process(segment("c", 0), segment("c", 1, b"poison"))
    assert bench.metric("segments_total", stage="embed", outcome="done") == 2
    assert bench.metric("segments_total", stage="embed", outcome="failed") == 1


def test_the_time_of_every_call_of_a_network_is_observed_under_its_name() -> None:
    bench = Bench()
    bench.process(segment("a", 0))
    with bench.stage.clock.measure("track"):
        pass
    with bench.stage.clock.measure("decode"):
        pass
    assert bench.metric("encode_duration_seconds_count", model="sscd") == 1
    assert bench.metric("encode_duration_seconds_count", model="flow") == 1
