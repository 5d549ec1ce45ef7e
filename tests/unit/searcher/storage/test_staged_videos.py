"""Videos that are not complete yet: counted as they come, listed, dropped; and never held up by a message
that cannot be read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import SchemaVersionError, WireError
from common.messaging.events import Event, SegmentFailed, VideoEnd, segments_digest
from common.messaging.transport import ReceivedMessage
from common.messaging.unreadable import stand_in
from common.messaging.wire import (
    Envelope,
    from_message,
    log_key,
    segment_key,
    to_message,
    video_key,
)
from common.metrics import Metrics
from common.types import Embedding, Segment, SegmentRef
from searcher.local_index import LocalIndex
from searcher.log.drop_staged import drop_staged
from searcher.metrics import watch_staged
from searcher.storage.database import Database
from searcher.storage.staged_videos import DROPPED
from tests.support.embeddings import video
from tests.unit.searcher.log.test_consumer import (
    end,
    feed,
    handler_of,
    item,
    keys_of,
    lose_catalogue,
    open_index,
    searchable,
)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[LocalIndex]:
    with open_index(tmp_path / "data") as opened:
        yield opened


def cut(rng: np.random.Generator, seconds: float, total: float, version: int) -> list[Embedding]:
    """A video `a` of so many seconds in segments of a length."""
    starts = np.arange(0, total, seconds)
    frames = video(rng, "a", len(starts), version=version)
    return [
        replace(one, ref=SegmentRef("a", float(at), min(float(at) + seconds, total), version))
        for one, at in zip(frames, starts, strict=True)
    ]


def counted(parts: list[Embedding], version: int = 1) -> VideoEnd:
    """An end with the digest of these segments."""
    digest = segments_digest(one.ref.segment_id for one in parts)
    return replace(end("a", len(parts), version), segments_digest=digest)


class Reading:
    """Rows that SQLite gives while a block runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        real = Database.query

        def query(database: Database, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
            found = real(database, sql, *arguments)
            self.rows += len(found)
            return found

        monkeypatch.setattr(Database, "query", query)

    def taken(self) -> int:
        rows, self.rows = self.rows, 0
        return rows


def test_a_message_reads_as_little_of_a_long_video_as_of_a_short_one(
    index: LocalIndex, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = video(rng, "a", 1500)
    handler = handler_of(index)
    reading = Reading(monkeypatch)
    handler.take([item(end("a", 1500))])
    costs = []
    for start in range(0, 1500, 10):
        reading.taken()
        handler.take([item(one) for one in parts[start : start + 10]])
        costs.append(reading.taken())
    # Those of the last batch are read as it becomes whole, once.
    assert max(costs[:-1]) == min(costs[:-1])
    assert max(costs[:-1]) < 20
    assert costs[-1] < 2 * 1500
    assert searchable(index) == {"a": (1, 1500)}


def test_a_segment_that_comes_twice_counts_once(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 3)
    failed = SegmentFailed(parts[0].ref, "unreadable")
    for events in ([parts[0], parts[0]], [failed], [parts[0], parts[1]], [failed, parts[1]]):
        feed(index, *events)
    feed(index, end("a", 3))
    ((one,), _) = index.staging.staged()
    assert (one.segments, one.expected_segments) == (2, 3)
    assert one.reason == "1 of 3 segments have not arrived"
    feed(index, parts[2])
    assert searchable(index) == {"a": (1, 3)}
    assert index.staging.staged() == ([], None)


def test_what_an_older_release_staged_is_counted(tmp_path: Path, rng: np.random.Generator) -> None:
    parts = video(rng, "a", 4)
    with open_index(tmp_path / "data") as index:
        feed(index, *parts[:3])
    database = Database(tmp_path / "data" / "videos.sqlite")
    with database.change() as execute:
        execute("DROP TABLE staged_videos")
    database.run_script("PRAGMA user_version = 0")
    database.close()
    with open_index(tmp_path / "data") as index:
        assert [one.segments for one in index.staging.staged()[0]] == [3]
        feed(index, end("a", 4), parts[3])
        assert searchable(index) == {"a": (1, 4)}


@pytest.mark.parametrize("seed", range(8))
def test_a_version_in_two_segmentations_becomes_whole_with_the_one_its_end_counts_in_any_order(
    index: LocalIndex, rng: np.random.Generator, seed: int
) -> None:
    wanted, other = cut(rng, 4.0, 40.0, 1), cut(rng, 6.0, 40.0, 1)[:4]
    events: list[Event] = [*wanted, *other, counted(wanted)]
    random.Random(seed).shuffle(events)
    for start in range(0, len(events), 3):
        feed(index, *events[start : start + 3])
    assert searchable(index) == {"a": (1, 10)}
    found = {ref.segment_id for ref in index.vectors_of("a").refs}
    assert found == {one.ref.segment_id for one in wanted}


@pytest.mark.parametrize("seed", range(4))
def test_a_version_whose_segments_are_not_those_of_its_end_is_never_whole_and_says_so(
    index: LocalIndex, rng: np.random.Generator, seed: int
) -> None:
    older = video(rng, "a", 2)
    feed(index, *older, end("a", 2))
    wanted, other = cut(rng, 4.0, 40.0, 5), cut(rng, 6.0, 40.0, 5)
    # 24 of 40 s, as many as its end counts.
    events: list[Event] = [*wanted[:6], *other[:4], counted(wanted, 5)]
    random.Random(seed).shuffle(events)
    for start in range(0, len(events), 3):
        feed(index, *events[start : start + 3])
    assert searchable(index) == {"a": (1, 2)}
    row = index.videos.get("a")
    assert row is not None
    assert (row.state, row.error_code) == ("failed", "segments_mixed")
    ((one,), _) = index.staging.staged()
    assert "differ from those that its end message lists" in one.reason
    # It is whole as soon as it can be.
    feed(index, *wanted[6:])
    assert searchable(index) == {"a": (5, 10)}
    assert index.staging.waiting_videos() == 0


def test_a_video_that_is_dropped_waits_no_more_and_its_older_version_stays(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 4, version=7)
    with open_index(tmp_path / "data") as index:
        feed(index, *video(rng, "a", 2), end("a", 2))
        feed(index, *parts[:2], end("a", 4, 7))
        drop_staged(index, "a", 7)
        assert index.staging.waiting_videos() == 0
        assert searchable(index) == {"a": (1, 2)}
        row = index.videos.get("a")
        assert row is not None
        assert (row.state, row.error_code, row.uri) == ("failed", DROPPED, "/films/a")
        # The log forgets what came of it, also what comes late; the word that it is dropped stays there.
        late = keys_of(feed(index, parts[2]))
        assert late == {segment_key(one.ref) for one in parts[:3]}
        feed(index, end("a", 4, 7), *parts)
        assert index.staging.waiting_videos() == 0
        assert searchable(index) == {"a": (1, 2)}
        # What is sent anew has a newer version.
        feed(index, *video(rng, "a", 3, version=8), end("a", 3, 8))
        assert searchable(index) == {"a": (8, 3)}


def test_what_waits_is_told_page_by_page_with_what_it_waits_for(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    for name in ("a@v9", "b", "c"):
        feed(index, *video(rng, name, 2)[:1])
    feed(index, *video(rng, "b", 1, version=12))
    feed(index, end("c", 2))
    found, cursor = [], ""
    while True:
        page, following = index.staging.staged(after=cursor, limit=1)
        found += page
        if following is None:
            break
        cursor = following
    assert [(one.video_id, one.version) for one in found] == [
        ("a@v9", 1),
        ("b", 1),
        ("b", 12),
        ("c", 1),
    ]
    assert found[0].reason == "its end message has not arrived"
    assert found[3].reason == "1 of 2 segments have not arrived"
    assert found[3].expected_segments == 2


def test_metrics_tell_how_many_wait_by_how_long_nothing_came(
    index: LocalIndex, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics.create("search")
    watch_staged(metrics, lambda: index)
    now = [1_000_000.0]
    monkeypatch.setattr("searcher.storage.staged_videos.time.time", lambda: now[0])
    for name, hours in (("a", 0.0), ("b", 25.0), ("c", 0.5), ("d", 2.0), ("e", 30.0)):
        now[0] = 1_000_000.0 - 3600 * hours
        feed(index, *video(rng, name, 1))
    now[0] = 1_000_000.0

    def told() -> list[float | None]:
        ages = ("under_10m", "under_1h", "under_1d", "over_1d")
        sample = metrics.registry.get_sample_value
        return [sample("storyhash_staged_videos", {"age": age}) for age in ages]

    assert told() == [1, 1, 1, 2]
    # Something comes of one of them.
    feed(index, end("b", 2))
    assert told() == [2, 1, 1, 1]
    feed(index, end("e", 1))
    assert told() == [2, 1, 1, 0]


def wire(event: Event) -> ReceivedMessage:
    """An event as it lies in a topic, and cannot be read."""
    message = to_message("log", Envelope(event))
    return ReceivedMessage("log", 0, 0, message.key, b"\xc1 damaged", message.headers)


def lost(received: ReceivedMessage) -> list[Event]:
    with pytest.raises(WireError) as raised:
        from_message(received)
    stood_in = stand_in(received, raised.value)
    return [] if stood_in is None else [stood_in]


@pytest.mark.parametrize("kind", ["a clip", "an embedding", "the word that it failed"])
def test_a_segment_that_cannot_be_read_has_failed_and_its_video_is_whole_without_it(
    index: LocalIndex, rng: np.random.Generator, kind: str
) -> None:
    parts = video(rng, "a@v3#x", 3, version=1_790_000_000_123)
    ref = parts[1].ref
    kinds: dict[str, Event] = {
        "a clip": Segment(ref, b"clip"),
        "an embedding": parts[1],
        "the word that it failed": SegmentFailed(ref, "unreadable"),
    }
    (stood_in,) = lost(wire(kinds[kind]))
    assert log_key(stood_in) == log_key(SegmentFailed(ref, "wire"))
    feed(index, parts[0], stood_in, parts[2], end("a@v3#x", 3, ref.version))
    assert searchable(index) == {"a@v3#x": (ref.version, 2)}
    # Once it can be read it joins.
    feed(index, parts[1])
    assert searchable(index) == {"a@v3#x": (ref.version, 3)}


def test_a_video_whose_end_cannot_be_read_has_failed(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    feed(index, *video(rng, "a", 2), end("a", 2))
    bad = wire(end("a", 3, 5))
    feed(index, *video(rng, "a", 3, version=5), *lost(bad))
    assert index.staging.waiting_videos() == 0
    row = index.videos.get("a")
    assert row is not None
    assert (row.state, row.error_code, row.uri) == ("failed", "end_unreadable", "/films/a")
    assert searchable(index) == {"a": (1, 2)}
    assert bad.key == video_key("a", 5)


@pytest.mark.parametrize(
    "key", [b"", b"noise", b"a", b"@v1", b"a@v0", b"a@5-5#1", b"a@9-5#1", b"\xff\xfe", b"a@deleted"]
)
def test_a_key_that_names_nothing_of_ours_stands_for_nothing(key: bytes) -> None:
    assert lost(ReceivedMessage("log", 0, 0, key, b"\xc1", ())) == []


def test_a_message_of_a_later_release_is_waited_for() -> None:
    received = wire(end("a", 1))
    assert stand_in(received, SchemaVersionError("video-end/9")) is None


def test_an_embedding_that_the_index_cannot_use_has_failed(
    index: LocalIndex, rng: np.random.Generator
) -> None:
    parts = video(rng, "a", 2)
    other = replace(parts[1], model_id="another-0000")
    handler = handler_of(index)
    told = handler.refused(item(other), WireError("of another model"))
    events = [
        from_message(ReceivedMessage("log", 0, 0, one.key, one.value, one.headers)).event
        for one in told
    ]
    assert [log_key(one) for one in events] == [log_key(SegmentFailed(other.ref, "wire"))]
    assert handler.refused(item(end("a", 1)), WireError("no")) == []
    feed(index, parts[0], *events, end("a", 2))
    assert searchable(index) == {"a": (1, 1)}


def test_the_same_is_made_of_a_log_that_is_read_again(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    wanted = cut(rng, 4.0, 40.0, 1)
    log: list[Event] = [*wanted[:5], *lost(wire(wanted[5])), *wanted[6:], counted(wanted)]
    found = []
    for _ in range(2):
        with open_index(tmp_path / "data") as index:
            feed(index, *log)
            feed(index, *log)
            found.append(searchable(index))
        lose_catalogue(tmp_path / "data")
    assert found == [{"a": (1, 9)}, {"a": (1, 9)}]
