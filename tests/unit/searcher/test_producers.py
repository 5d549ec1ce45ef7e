"""What the searcher says of producers: a version that comes too late, an id that two of them share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.errors import FutureVersionError
from common.messaging.events import Deletion, Event
from common.messaging.handler import Item
from common.messaging.transport import ReceivedMessage
from common.messaging.wire import VERSION_AHEAD_MS, Envelope, from_message, to_message
from common.metrics import Metrics
from common.types import Segment, SegmentRef
from searcher.local_index import LocalIndex
from searcher.log.consumer import IndexHandler
from tests.support.embeddings import video
from tests.support.memory_transport import MemoryTransport
from tests.unit.searcher.log.test_consumer import end, open_index

DAY_MS = 86_400_000


class Bench:
    """An index, and what its handler counts."""

    def __init__(self, index: LocalIndex) -> None:
        self.index = index
        self.metrics = Metrics.create("search")
        self._handler = IndexHandler(
            index, "log", batch_messages=100, match_new_videos=lambda: True, metrics=self.metrics
        )

    def feed(self, *events: Event, offset: int = 0) -> None:
        received = ReceivedMessage("log", 0, offset, b"", b"")
        self._handler.process([Item(Envelope(event), received) for event in events])

    def counted(self, outcome: str) -> float:
        labels = {"stage": "search", "outcome": outcome}
        found = self.metrics.registry.get_sample_value("storyhash_videos_total", labels)
        return found or 0.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_index(tmp_path / "data") as index:
        yield Bench(index)


@pytest.mark.parametrize("why", ["deleted", "newer"])
def test_a_version_that_comes_too_late_is_told_and_counted(
    bench: Bench, rng: np.random.Generator, caplog: pytest.LogCaptureFixture, why: str
) -> None:
    if why == "deleted":
        bench.feed(Deletion("a", 9))
    else:
        bench.feed(*video(rng, "a", 1, version=9), end("a", 1, 9))
    with caplog.at_level(logging.WARNING):
        bench.feed(*video(rng, "a", 1, version=5), replace(end("a", 1, 5), origin="host/1"))
    assert bench.counted("stale") == 1
    told = {"deleted": "the video was deleted", "newer": "version 9 is newer"}[why]
    assert f"version 5 of 'a', from host/1, is dropped: {told}" in caplog.text


def test_what_is_only_read_again_is_not_told_as_too_late(
    bench: Bench, rng: np.random.Generator
) -> None:
    bench.index.staging.set_new_from({0: 10})
    bench.feed(Deletion("a", 9), offset=3)
    bench.feed(*video(rng, "a", 1, version=5), end("a", 1, 5), offset=4)
    assert bench.counted("stale") == 0
    bench.feed(*video(rng, "b", 1), end("b", 1), offset=9)
    bench.feed(*video(rng, "c", 1), end("c", 1), offset=10)
    assert [one[0] for one in bench.index.staging.unmatched()] == ["c"]


@pytest.mark.parametrize("origins", [("one", "two"), ("one", "one"), ("", "two")])
@pytest.mark.parametrize("seconds", [8.0, 9.0])
def test_an_id_that_two_producers_give_to_two_videos_is_told(
    bench: Bench, rng: np.random.Generator, origins: tuple[str, str], seconds: float
) -> None:
    first, second = origins
    bench.feed(*video(rng, "a", 2), replace(end("a", 2), origin=first))
    later = replace(end("a", 2, 2), origin=second, duration_seconds=seconds)
    bench.feed(*video(rng, "a", 2, version=2), later)
    row = bench.index.videos.get("a")
    assert row is not None
    assert row.version == 2
    shared = origins == ("one", "two") and seconds == 9.0
    assert bench.counted("shared_id") == shared
    assert row.error_code == ("shared_id" if shared else "")
    if shared:
        assert "of producer one" in row.to_json()["error"]["message"]


def lies_there(event: Event, clock: int) -> ReceivedMessage:
    """An event as it is read from a log whose clock said so when it was written."""
    transport = MemoryTransport(partitions=1, clock=lambda: clock)
    transport.publisher().publish(to_message("log", Envelope(event)))
    (received,) = transport.scan("log")
    return received


@pytest.mark.parametrize("by_log", [True, False])
def test_a_version_later_than_its_message_is_refused_whenever_it_is_read(by_log: bool) -> None:
    now = 1_795_000_000_000
    latest = now + VERSION_AHEAD_MS + (0 if by_log else DAY_MS)
    for ahead in (30_000, latest - now):
        event = Segment(SegmentRef("a", 0.0, 4.0, now + ahead), b"clip")
        assert from_message(replace(lies_there(event, now), by_log=by_log)).event == event
    for version in (latest + 1, 4_102_444_800_000):
        event = Segment(SegmentRef("a", 0.0, 4.0, version), b"clip")
        with pytest.raises(FutureVersionError, match="later than its message"):
            from_message(replace(lies_there(event, now), by_log=by_log))


def test_a_deletion_covers_what_was_sent_before_it_and_no_more() -> None:
    now = 1_795_000_000_000
    received = lies_there(Deletion("a", 4_102_444_800_000), now)
    assert from_message(received).event == Deletion("a", now + VERSION_AHEAD_MS)
    assert from_message(lies_there(Deletion("a", now), now)).event == Deletion("a", now)
